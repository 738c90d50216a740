"""Search spaces over settings: for each setting a range or alternatives, declared by its configuration or given as text."""

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from foldin.errors import ConfigError
from foldin.training.config import Config, Option
from foldin.training.ranges import Range

__all__ = ["Space", "flat", "parse_space", "search_space", "setting_text", "value_of"]

Space = Mapping[str, Range | tuple[Any, ...]]


def search_space(config: Config, before: str = "") -> dict[str, Range | tuple[Any, ...]]:
    """Range or alternatives of each setting that declares them, by its name in `--set`.

    This includes the settings of the chosen options, but not those of the others, and those of configurations inside this one.
    """
    found: dict[str, Range | tuple[Any, ...]] = {}
    for field in dataclasses.fields(config):
        if field.metadata["range"] is not None:
            found[before + field.name] = field.metadata["range"]
        for name, one in _inner(config, field.name).items():
            found |= search_space(one, f"{before}{name}.")
    return found


def _inner(config: Config, field: str) -> dict[str, Config]:
    """The option or the configurations of models that a setting holds, by name."""
    value = getattr(config, field)
    if isinstance(value, Option):
        return {field: value}
    if isinstance(value, tuple):
        return {f"{field}.{at}": one for at, one in enumerate(value) if isinstance(one, Config)}
    return {}


def parse_space(config: Config, texts: Mapping[str, str]) -> dict[str, Range | tuple[Any, ...]]:
    """Range or alternatives of each setting, from texts such as `10:1000`, `1e-4:1e-2:log`, or `relu|gelu`.

    Raises:
        ConfigError: there is no such setting, a text is neither a range nor alternatives, or its values are not legal.
    """
    found: dict[str, Range | tuple[Any, ...]] = {}
    for name, text in texts.items():
        ends = text.split(":")
        if len(ends) == 1:
            values = tuple(text.split("|"))
            for value in values:
                try:
                    config.with_texts({name: value})
                except ConfigError as error:
                    raise ConfigError(
                        f"{error}; a range is LOW:HIGH or LOW:HIGH:log, and alternatives are A|B|C"
                    ) from None
            found[name] = values
            continue
        if len(ends) > 3 or ends[2:] not in ([], ["log"]):
            raise ConfigError(f"{name} = {text!r}: LOW:HIGH, LOW:HIGH:log or A|B|C was expected")
        low, high = (_number(config.with_texts({name: end}), name) for end in ends[:2])
        found[name] = Range(low, high, log=len(ends) == 3)
    return found


def _number(config: Config, name: str) -> float:
    value = value_of(config, name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name}: {value!r} is not a number; alternatives are separated by |, as in A|B|C")
    kind = typing.get_type_hints(type(config)).get(name)
    return float(value) if kind is float else value


def value_of(config: Config, name: str) -> Any:
    """The value of a setting, by its name in `--set`.

    Raises:
        ConfigError: there is no such setting.
    """
    found: Any = config
    for part in name.split("."):
        inside = dict(enumerate(found)) if isinstance(found, tuple) else {}
        if isinstance(found, Config) and part in found.__dataclass_fields__:
            found = getattr(found, part)
        elif part.isdecimal() and isinstance(inside.get(int(part)), Config):
            found = inside[int(part)]
        else:
            raise ConfigError(f"{type(config).__name__.removesuffix('Config')} has no setting {name!r} to search")
    return found


def flat(config: Config, before: str = "") -> dict[str, Any]:
    """The value of every setting, by its name in `--set`; an option's value is its name, and its settings are listed too.

    Likewise for configurations of models, whose value is the text of their classes.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value, inner = getattr(config, field.name), _inner(config, field.name)
        found[before + field.name] = setting_text(value) if inner else value
        for name, one in inner.items():
            found |= flat(one, f"{before}{name}.")
    return found


def setting_text(value: Any) -> str:
    """A value in the syntax of `--set`; of a configuration of a model, the name of its class."""
    if isinstance(value, Option):
        return value.name
    if isinstance(value, Config):
        return type(value).__qualname__.removesuffix("Config")
    if isinstance(value, tuple):
        return ",".join(map(setting_text if any(isinstance(one, Config) for one in value) else str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
