"""Values of features in JSON as values of a catalog's columns."""

import sys
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from foldin.errors import ConfigError

__all__ = ["as_value", "column_of", "held"]


def held(dtype: pl.DataType) -> str:
    """What a column of a type holds, for messages."""
    if isinstance(dtype, pl.List | pl.Array):
        return f"lists of {held(_inner(dtype))}"
    if dtype == pl.Boolean:
        return "true and false"
    if dtype.is_numeric():
        return "whole numbers" if dtype.is_integer() else "numbers"
    if _is_text(dtype):
        return "text"
    return "dates in ISO 8601" if dtype in (pl.Date, pl.Datetime) else f"values of the type {dtype}"


def as_value(value: Any, dtype: pl.DataType) -> Any:
    """A value of JSON as a value of a column's type; None, for an item without a value, stays.

    Raises:
        ConfigError: the value has another type, or the column one that JSON has no form of.
    """
    if value is None:
        return None
    if isinstance(dtype, pl.List | pl.Array):
        fits = isinstance(value, list | tuple) and (isinstance(dtype, pl.List) or len(value) == dtype.size)
        if fits and None not in value:
            return [as_value(one, _inner(dtype)) for one in value]
    elif dtype == pl.Boolean:
        if isinstance(value, bool):
            return value
    elif _is_text(dtype):
        if isinstance(value, str):
            return value
    elif dtype in (pl.Date, pl.Datetime):
        if isinstance(value, str) and (moment := _moment(value, dtype)) is not None:
            return moment
    elif dtype.is_integer() or dtype.is_float():
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
        if number and (dtype.is_float() or value == int(value)):
            return _in_range(float(value) if dtype.is_float() else int(value), dtype)
    raise _unfit(value, dtype)


def column_of(column: pl.Series, values: Sequence[Any]) -> pl.Series:
    """Values from `as_value` as a column of the same name and type; of text for categories, whose number may grow."""
    dtype = pl.String if _is_text(column.dtype) else column.dtype
    return pl.Series(column.name, values, dtype=dtype)


def _unfit(value: Any, dtype: pl.DataType) -> ConfigError:
    verb = "was" if _is_text(dtype) else "were"
    return ConfigError(f"{held(dtype)} {verb} expected, not {str(value)[:40]!r}")


def _inner(dtype: pl.List | pl.Array) -> pl.DataType:
    inner = dtype.inner
    return inner if isinstance(inner, pl.DataType) else inner()


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _moment(value: str, dtype: pl.DataType) -> date | datetime | None:
    """A date, or a time with a zone if the column has one; None for another text."""
    try:
        if dtype == pl.Date:
            return date.fromisoformat(value)
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return found if zoned == (found.tzinfo is not None) else None


def _in_range(value: float, dtype: pl.DataType) -> float:
    try:
        pl.Series([value], dtype=dtype, strict=True)
    except (OverflowError, TypeError, pl.exceptions.PolarsError):
        raise _unfit(value, dtype) from None
    return value
