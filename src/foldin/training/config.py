"""Settings of models: immutable, checked when they are created, and readable from text."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from foldin.errors import ConfigError
from foldin.training.nested import (
    ModelNames,
    changed_configs,
    configs_of_dicts,
    dicts_of_configs,
    named_configs,
)
from foldin.training.ranges import Range

__all__ = ["Config", "Option", "legal", "options_of", "setting"]

S = TypeVar("S", bound="Config")


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] | None = None,
    range: Range | tuple[Any, ...] | None = None,
    names: ModelNames | None = None,
) -> Any:
    """A field of a `Config`.

    Args:
        default: value if none is given.
        help: meaning of the setting, as a sentence.
        low: smallest legal value.
        high: largest legal value.
        above: exclusive lower bound of the legal values.
        below: exclusive upper bound of the legal values.
        choices: the legal texts.
        range: what a search over settings draws from, a range of numbers or a tuple of alternatives; None if a search does not
            vary the setting.
        names: names of models, if the setting is a tuple of their configurations.
    """
    metadata = {
        **{"help": help, "low": low, "high": high, "above": above, "below": below, "choices": choices, "range": range},
        "names": names,
    }
    return dataclasses.field(default=default, metadata=metadata)


def legal(meta: Mapping[str, Any]) -> str:
    """The legal values of a setting in words."""
    if meta["choices"]:
        return "one of " + ", ".join(meta["choices"])
    signs = {"low": "≥", "above": ">", "high": "≤", "below": "<"}
    bounds = [f"{sign} {meta[name]:g}" for name, sign in signs.items() if meta[name] is not None]
    return " and ".join(bounds) or "finite"


def _inside(value: Any, meta: Mapping[str, Any]) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if meta["choices"]:
        return value in meta["choices"]
    return (
        (meta["low"] is None or value >= meta["low"])
        and (meta["above"] is None or value > meta["above"])
        and (meta["high"] is None or value <= meta["high"])
        and (meta["below"] is None or value < meta["below"])
    )


def _parse(text: str, kind: Any) -> Any:
    """The value of the annotated type that a text stands for; raises ValueError or KeyError if there is none."""
    if options := options_of(kind):
        if text.lower() == "none" and _may_be_none(kind):
            return None
        return options[text]()
    if isinstance(kind, types.UnionType):
        if text.lower() == "none" and _may_be_none(kind):
            return None
        return _parse(text, next(one for one in typing.get_args(kind) if one is not type(None)))
    if typing.get_origin(kind) is tuple:
        return tuple(_parse(part, typing.get_args(kind)[0]) for part in text.split(",") if part)
    if kind is bool:
        return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}[text.lower()]
    return kind(text)


def _chosen(value: Any, kind: Any) -> Any:
    """The value of a setting; the name of an option stands for that option with its default settings."""
    options = options_of(kind)
    if options and value == "none" and _may_be_none(kind):
        return None
    return options[value]() if options and isinstance(value, str) else value


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    if kind is type(None):
        return value is None
    if typing.get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(one, typing.get_args(kind)[0]) for one in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, type) and issubclass(kind, Option):
        return type(value) is kind  # a subclass could not be read back by its name
    return isinstance(value, kind)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base class of the settings of every model; each field is declared with `setting`.

    A field whose type is a subclass of `Option`, or a union of several, chooses among options, each of which has settings. In
    Python the choice is an object (`loss=GBCE(t=0.5)`); as text it is a name, and its settings follow a dot (`loss=gbce`,
    `loss.t=0.5`). A field whose values are configurations of models is described in `training/nested.py`.

    Raises:
        ConfigError: a value has the wrong type or is outside its range; the message gives the field, the value and the range.
    """

    model_class: ClassVar[type[Any]] = (
        object  # the model with these settings, set by the model class that has this class as its `Config`
    )

    def __post_init__(self) -> None:
        kinds = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), kinds[field.name]
            if not _fits(value, kind):
                raise ConfigError(f"{self._of()}: {field.name} = {value!r}: {_kind_name(kind)} was expected")
            for one in value if isinstance(value, tuple) else (value,):
                if one is not None and field.metadata and not _inside(one, field.metadata):
                    raise ConfigError(f"{self._of()}: {field.name} = {value!r}: must be {legal(field.metadata)}")

    @classmethod
    def _of(cls) -> str:
        return cls.__qualname__.removesuffix("Config")

    @classmethod
    def from_texts(cls: type[S], texts: Mapping[str, str]) -> S:
        """Settings from `name=value` texts, with defaults for all others.

        Raises:
            ConfigError: there is no such field, or a text is not a value of the field's type.
        """
        return cls().with_texts(texts)

    def with_texts(self: S, texts: Mapping[str, str]) -> S:
        """A copy of these settings, changed by `name=value` texts; `name.inner=value` changes a setting of the chosen option.

        Raises:
            ConfigError: there is no such field, or a text is not a value of the field's type.
        """
        return self._changed(texts, _parse)

    def with_settings(self: S, values: Mapping[str, Any]) -> S:
        """A copy of these settings, changed by name → value.

        An option may be given by its name, and a setting of the chosen option follows a dot (`"loss.t": 0.5`).

        Raises:
            ConfigError: there is no such field, or a value is not legal.
        """
        return self._changed(values, _chosen)

    def _changed(self: S, values: Mapping[str, Any], read: Callable[[Any, Any], Any]) -> S:
        kinds = typing.get_type_hints(type(self))
        fields = {field.name: field for field in dataclasses.fields(self)}
        changed: dict[str, Any] = {}
        inner: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            field, dot, rest = name.partition(".")
            self._check_field(field if dot else name)
            if dot:
                inner.setdefault(field, {})[rest] = value
                continue
            default, names = fields[name].default, fields[name].metadata.get("names")
            if names is not None:
                changed[name] = named_configs(value, names)
                continue
            if isinstance(default, Option) and value == default.name:
                changed[name] = default  # the default option, with the settings that this model gives it
                continue
            try:
                changed[name] = read(value, kinds[name])
            except (ValueError, KeyError) as error:
                expected = _kind_name(kinds[name])
                raise ConfigError(f"{self._of()}: {name} = {value!r}: {expected} was expected") from error
        for field, settings in inner.items():
            chosen = changed.get(field, getattr(self, field))
            if fields[field].metadata.get("names") is not None:
                where = f"{self._of()}: {field}"
                changed[field] = changed_configs(chosen, settings, lambda one, new: one._changed(new, read), where)
                continue
            if not isinstance(chosen, Option):
                first = next(iter(settings))
                inside = first.partition(".")[0]
                ways = [way for way, one in options_of(kinds[field]).items() if inside in one.__dataclass_fields__]
                hint = f"; choose a way that has it first: {field}={' or '.join(ways)}" if ways else ""
                raise ConfigError(f"{self._of()}: {field}.{first}: {field} = {chosen} has no settings{hint}")
            changed[field] = chosen._changed(settings, read)
        return dataclasses.replace(self, **changed)

    @classmethod
    def from_dict(cls: type[S], values: Mapping[str, Any]) -> S:
        """Settings from the result of `as_dict`, which may have been written to JSON and read back.

        Raises:
            ConfigError: there is no such field, or a value is not legal.
        """
        kinds = typing.get_type_hints(cls)
        fields = {field.name: field for field in dataclasses.fields(cls)}
        found = {}
        for name, value in values.items():
            cls._check_field(name)
            names = fields[name].metadata.get("names")
            if names is not None and isinstance(value, list | tuple):
                found[name] = configs_of_dicts(value, names, f"{cls._of()}: {name}")
            else:
                found[name] = cls._revived(name, value, kinds[name])
        return cls(**found)

    @classmethod
    def _revived(cls, name: str, value: Any, kind: Any) -> Any:
        if isinstance(value, list):
            return tuple(value)
        if not isinstance(value, Mapping):
            return value
        options, settings = options_of(kind), dict(value)
        chosen = settings.pop("name", None)
        if not isinstance(chosen, str) or chosen not in options:
            raise ConfigError(f"{cls._of()}: {name} = {chosen!r}: {_kind_name(kind)} was expected")
        return options[chosen].from_dict(settings)

    @classmethod
    def _check_field(cls, name: str) -> None:
        names = [field.name for field in dataclasses.fields(cls)]
        if name not in names:
            raise ConfigError(f"{cls._of()} has no setting {name!r}; there are {', '.join(names) or 'none'}")

    def as_dict(self) -> dict[str, Any]:
        """Field → value, ready for JSON; an option or a configuration is a dictionary of its name and its settings."""
        found: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value, names = getattr(self, field.name), field.metadata.get("names")
            if names is not None:
                found[field.name] = dicts_of_configs(value, names)
            else:
                found[field.name] = {"name": value.name, **value.as_dict()} if isinstance(value, Option) else value
        return found


class Option(Config):
    """Base class of the options among which a field chooses; a subclass has settings, and a `name` by which texts choose it."""

    name: ClassVar[str]


def options_of(kind: Any) -> dict[str, type[Option]]:
    """Name → class of the options that a field of this type chooses among; empty if its type is not an `Option`."""
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    return {one.name: one for one in kinds if isinstance(one, type) and issubclass(one, Option)}


def _may_be_none(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)


def _kind_name(kind: Any) -> str:
    if options := options_of(kind):
        return "one of " + ", ".join([*options, *(["none"] if _may_be_none(kind) else [])])
    if isinstance(kind, types.UnionType):
        return " or ".join(_kind_name(one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a list of {_kind_name(typing.get_args(kind)[0])}s"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "none"}
    return names.get(kind, "configuration" if kind is Config else str(kind))
