"""Settings of models: frozen, checked on construction, and readable from text."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from foldin.errors import ConfigError

__all__ = ["Config", "setting"]

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
) -> Any:
    """A field of a `Config`: its default, what it means, and its range (`low`, `high` inclusive; `above`, `below` not)."""
    metadata = {"help": help, "low": low, "high": high, "above": above, "below": below, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def _range(meta: Mapping[str, Any]) -> str:
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
    """A value of the annotated type from text; ValueError when it is none."""
    if isinstance(kind, types.UnionType):
        if text.lower() == "none" and type(None) in typing.get_args(kind):
            return None
        return _parse(text, next(one for one in typing.get_args(kind) if one is not type(None)))
    if typing.get_origin(kind) is tuple:
        return tuple(_parse(part, typing.get_args(kind)[0]) for part in text.split(",") if part)
    if kind is bool:
        return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}[text.lower()]
    return kind(text)


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
    return isinstance(value, kind)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every model's settings; a field is declared with `setting`.

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
                    raise ConfigError(f"{self._of()}: {field.name} = {value!r}: must be {_range(field.metadata)}")

    @classmethod
    def _of(cls) -> str:
        return cls.__qualname__.removesuffix("Config")

    @classmethod
    def from_texts(cls: type[S], texts: Mapping[str, str]) -> S:
        """Settings from `name=value` texts, the others at their defaults.

        Raises:
            ConfigError: no such field, or a text that is no value of its type.
        """
        kinds = typing.get_type_hints(cls)
        names = [field.name for field in dataclasses.fields(cls)]
        values = {}
        for name, text in texts.items():
            if name not in names:
                raise ConfigError(f"{cls._of()} has no setting {name!r}; there are {', '.join(names) or 'none'}")
            try:
                values[name] = _parse(text, kinds[name])
            except (ValueError, KeyError) as error:
                raise ConfigError(f"{cls._of()}: {name} = {text!r}: {_kind_name(kinds[name])} was expected") from error
        return cls(**values)

    @classmethod
    def from_dict(cls: type[S], values: Mapping[str, Any]) -> S:
        """Settings from what `as_dict` gave, after a journey through JSON.

        Raises:
            ConfigError: an unknown field, or a bad value.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - names):
            raise ConfigError(
                f"{cls._of()} has no setting {unknown[0]!r}; there are {', '.join(sorted(names)) or 'none'}"
            )
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})

    def as_dict(self) -> dict[str, Any]:
        """Field → value, as JSON keeps them."""
        return dataclasses.asdict(self)


def _kind_name(kind: Any) -> str:
    if isinstance(kind, types.UnionType):
        return " or ".join(_kind_name(one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"a list of {_kind_name(typing.get_args(kind)[0])}s"
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "none"}
    return names.get(kind, str(kind))
