"""The docstring of a configuration: what `help(foldin.RecVAE)` shows of a model and its settings."""

import dataclasses
import textwrap
import typing
from typing import Any

from foldin.formulas import Formula, formulas_of
from foldin.training.config import Config, Option, legal, options_of
from foldin.training.ranges import Range
from foldin.training.search import setting_text

__all__ = ["described", "equation_text"]

_WIDTH = 110


def described(config: type[Config], model: type[Any]) -> str:
    """Docstring of a configuration: its model's summary and equations, and all settings with their defaults and ranges."""
    packages = model.__module__.split(".")[:2]
    # A model without a formula shows those of the first base class that has some.
    named = (formulas_of(".".join([*packages, one.__qualname__])) for one in model.__mro__)
    found = next((one for one in named if one), [])
    summary = getattr(model, "summary", None)
    head = f"Settings of {model.__name__}" + (f": {summary}." if summary else ".")
    kinds = typing.get_type_hints(config)
    fields = dataclasses.fields(config)
    parts = [head, *map(equation_text, found)]
    if fields:
        parts.append("Args:\n" + "\n".join(_setting(field, kinds[field.name]) for field in fields).rstrip("\n"))
    searched = next((field for field in fields if isinstance(field.metadata["range"], Range)), None)
    if packages == ["foldin", "models"]:
        chosen = "" if searched is None else f"{searched.name}={_other(searched)}"
        parts.append(f"Example:\n    >>> run = foldin.train(split, foldin.{model.__name__}({chosen}))")
    return "\n\n".join(parts) + "\n"


def _other(field: Any) -> Any:
    """A value of a setting that is searched and is not its default."""
    searched = field.metadata["range"]
    return searched.high if searched.low == field.default else searched.low


def equation_text(one: Formula) -> str:
    """A formula as the docstring of a configuration has it: title, source, text and symbols."""
    source = f" ({one.source})" if one.source else ""
    symbols = "".join(f"\n    * {symbol}: {meaning}" for symbol, meaning in one.symbols.items())
    return f"{one.title}{source}::\n\n    {one.plain}\n" + (f"\nwhere\n{symbols}" if symbols else "")


def _setting(field: Any, kind: Any, indent: str = "    ", bullet: str = "") -> str:
    """The entry of a setting: meaning, default, legal values, what a search draws from, and the settings of its options."""
    meta, options = field.metadata, options_of(kind)
    facts = [f"default {_default(field)}"]
    if options:
        facts.append(f"one of {', '.join(one.__name__ for one in options.values())}")
    elif legal(meta) != "finite":
        facts.append(legal(meta))
    if meta["range"] is not None:
        one = meta["range"]
        facts.append(f"searched {one if isinstance(one, Range) else ' | '.join(setting_text(v) or '()' for v in one)}")
    inside = indent + ("  " if bullet else "    ")
    text = _filled(f"{field.name}: {meta['help']} ({'; '.join(facts)})", indent + bullet, inside)
    inner = [_option(one, inside) for one in options.values()]
    return "\n\n".join([text, *inner]) + ("\n" if inner else "")


def _option(option: type[Option], indent: str) -> str:
    """The entry of an option below the setting that chooses it: where to import it from, what it is, and its settings."""
    summary = (option.__doc__ or "").strip().split("\n")[0]
    head = _filled(f"* {_public(option)}: {summary}", indent, indent + "  ")
    kinds = typing.get_type_hints(option)
    inner = [_setting(field, kinds[field.name], indent + "  ", "* ") for field in dataclasses.fields(option)]
    return "\n\n".join([head, *(["\n".join(inner).rstrip("\n")] if inner else [])])


def _public(option: type[Option]) -> str:
    """The name by which an option is imported: of this library, from its package."""
    module = option.__module__.split(".")
    return ".".join([*(module[:2] if module[0] == "foldin" else module), option.__name__])


def _filled(text: str, first: str, others: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=others, break_on_hyphens=False)


def _default(field: Any) -> str:
    """The default of a setting as Python; of configurations of models, the calls of their classes without arguments."""
    if field.metadata.get("names") is None:
        return repr(field.default)
    return f"({', '.join(f'{setting_text(one)}()' for one in field.default)})"
