"""Settings of models: frozen, checked on construction, and readable from text."""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from foldin.errors import ConfigError
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
) -> Any:
    """A field of a `Config`.

    Args:
        default: its value where none is given.
        help: what it means.
        low: smallest legal value.
        high: largest legal value.
        above: number below every legal value.
        below: number above every legal value.
        choices: the legal texts.
        range: what a search over settings draws from: a range of numbers, or a tuple of alternatives; None where a search leaves
            the setting as it is.
    """
    metadata = {
        **{"help": help, "low": low, "high": high, "above": above, "below": below, "choices": choices, "range": range}
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
    """A value of the annotated type from text; ValueError or KeyError when it is none."""
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
    """The value itself; a way by its name."""
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
        return type(value) is kind  # of a class of its own nothing could be read again
    return isinstance(value, kind)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every model's settings; a field is declared with `setting`.

    A field whose type is a class of `Option`, or a union of several, is one of several ways, each with settings of its own: in
    Python an object (`loss=GBCE(t=0.5)`), as text a name, and the way's settings behind a dot (`loss=gbce`, `loss.t=0.5`).

    Raises:
        ConfigError: a value of another type or outside its range; names the field, the value and the range.
    """

    model_class: ClassVar[type[Any]] = (
        object  # whose settings these are: set by the class that names this as its `Config`
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
        """Settings from `name=value` texts, the others at their defaults.

        Raises:
            ConfigError: no such field, or a text that is no value of its type.
        """
        return cls().with_texts(texts)

    def with_texts(self: S, texts: Mapping[str, str]) -> S:
        """These settings, changed by `name=value` texts; `name.inner=value` changes a setting of the way that is chosen.

        Raises:
            ConfigError: no such field, or a text that is no value of its type.
        """
        return self._changed(texts, _parse)

    def with_settings(self: S, values: Mapping[str, Any]) -> S:
        """These settings, changed by name → value: a way by its name, and a setting of the way behind a dot (`"loss.t": 0.5`).

        Raises:
            ConfigError: no such field, or a bad value.
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
            default = fields[name].default
            if isinstance(default, Option) and value == default.name:
                changed[name] = default  # the way that is there by default, with this model's settings of it
                continue
            try:
                changed[name] = read(value, kinds[name])
            except (ValueError, KeyError) as error:
                expected = _kind_name(kinds[name])
                raise ConfigError(f"{self._of()}: {name} = {value!r}: {expected} was expected") from error
        for field, settings in inner.items():
            chosen = changed.get(field, getattr(self, field))
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
        """Settings from what `as_dict` gave, after a journey through JSON.

        Raises:
            ConfigError: an unknown field, or a bad value.
        """
        kinds = typing.get_type_hints(cls)
        found = {}
        for name, value in values.items():
            cls._check_field(name)
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
        """Field → value, as JSON keeps them; of a chosen way its name and its settings."""
        found = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            found[field.name] = {"name": value.name, **value.as_dict()} if isinstance(value, Option) else value
        return found


class Option(Config):
    """One of several ways to do something, with settings of its own; a subclass sets `name`, by which texts choose it."""

    name: ClassVar[str]


def options_of(kind: Any) -> dict[str, type[Option]]:
    """Name → class of the ways that a field of this type chooses among; empty where it chooses among none."""
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
    return names.get(kind, str(kind))
