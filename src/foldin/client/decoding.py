"""Typed answers from JSON: frozen dataclasses, tuples and mappings, checked against their types.

Fields that a class does not have are ignored, since `/v1` may grow; a missing field takes its default.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["UnexpectedError", "decode"]

Reader = Callable[[Any], Any]


class UnexpectedError(Exception):
    """A JSON value is not of the described type.

    Args:
        text: what was expected and what was met.
        where: names and positions on the way to the value, the outermost first.
    """

    def __init__(self, text: str, where: tuple[str, ...] = ()) -> None:
        super().__init__(f"{'.'.join(where) or 'the answer'}: {text}")
        self.text, self.where = text, where


def decode(kind: Any, value: Any) -> Any:
    """A JSON value as a type: a dataclass, `tuple[X, ...]`, `tuple[X, Y]`, `Mapping[str, X]`, `X | None`, a plain type, or Any.

    Raises:
        UnexpectedError: the value has another type.
    """
    return _reader(kind)(value)


def _below(name: object, read: Reader, value: Any) -> Any:
    try:
        return read(value)
    except UnexpectedError as error:
        raise UnexpectedError(error.text, (str(name), *error.where)) from None


@functools.cache
def _reader(kind: Any) -> Reader:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda value: value
    if dataclasses.is_dataclass(kind):
        return _of_class(typing.cast(type, kind))
    if origin is tuple:
        return _of_array(inner)
    if origin is Mapping:
        return _of_object(_reader(inner[1]))
    if origin in (types.UnionType, typing.Union):
        (one,) = (_reader(part) for part in inner if part is not types.NoneType)
        return lambda value: None if value is None else one(value)
    return _of_plain(kind)


def _of_class(kind: type) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = [
        (one.name, _reader(hints[one.name]), one.default is dataclasses.MISSING) for one in dataclasses.fields(kind)
    ]

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _other("an object", value)
        found = {}
        for name, reader, required in fields:
            if name in value:
                found[name] = _below(name, reader, value[name])
            elif required:
                raise UnexpectedError("it is missing", (name,))
        return kind(**found)

    return read


def _of_array(inner: tuple[Any, ...]) -> Reader:
    readers = [_reader(part) for part in inner if part is not Ellipsis]
    size = None if Ellipsis in inner else len(readers)

    def read(value: Any) -> Any:
        if not isinstance(value, list) or size not in (None, len(value)):
            raise _other("an array" if size is None else f"an array of {size}", value)
        each = readers * len(value) if size is None else readers
        return tuple(_below(at, reader, one) for at, (reader, one) in enumerate(zip(each, value, strict=True)))

    return read


def _of_object(reader: Reader) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _other("an object", value)
        return {name: _below(name, reader, one) for name, one in value.items()}

    return read


def _of_plain(kind: type) -> Reader:
    def read(value: Any) -> Any:
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:  # a boolean is an int for `isinstance`
            raise _other(kind.__name__, value)
        return value

    return read


def _other(expected: str, value: Any) -> UnexpectedError:
    return UnexpectedError(f"{expected} was expected, not {str(value)[:40]!r}")
