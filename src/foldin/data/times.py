"""Time columns of any kind → whole seconds since 1970, or an order where they are no absolute times."""

import numpy as np
import polars as pl

from foldin.errors import ColumnError
from foldin.tensors import Array, Int64

__all__ = ["to_numbers", "to_seconds"]

# Below 1e8 s (March 1973) a number is no plausible event time; each further unit is a thousand times larger.
_UNITS = (
    ("seconds", 1e8, 1),
    ("milliseconds", 1e11, 10**3),
    ("microseconds", 1e14, 10**6),
    ("nanoseconds", 1e17, 10**9),
)


def _first(mask: pl.Series) -> int:
    return int(mask.arg_true()[0])


def to_numbers(column: pl.Series, source: str) -> pl.Series:
    """The column as Int64 or Float64.

    Raises:
        ColumnError: values that are not numbers; says how many and where the first is.
    """
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    text = column.cast(pl.String).str.strip_chars()
    numbers = text.cast(pl.Int64, strict=False)
    if numbers.null_count() > text.null_count():
        numbers = text.cast(pl.Float64, strict=False)
    bad = numbers.is_null() & text.is_not_null()
    if bad.any():
        row = _first(bad)
        raise ColumnError(
            f"{source}: column {column.name!r}: {bad.sum():,} of {column.len():,} values are not numbers; "
            f"first at row {row + 1:,}: {text[row]!r}"
        )
    return numbers


def _parsed(column: pl.Series, source: str) -> pl.Series:
    """Text as dates where it is dates, else as numbers."""
    text = column.cast(pl.String).str.strip_chars()
    for layout in ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ", "%Y-%m-%d"):
        dates = text.str.to_datetime(layout, strict=False, time_unit="us")
        if dates.null_count() == text.null_count():
            return dates
    return to_numbers(column, source)


def to_seconds(column: pl.Series, source: str) -> tuple[Int64[Array, " n"], Int64[Array, " n"] | None]:
    """(keys, seconds): integers in the order of the times, at full resolution, and whole seconds since 1970.

    The unit is found by magnitude; `seconds` is None where the numbers are too small for absolute times. The column must
    hold no null.

    Raises:
        ColumnError: values that are neither numbers nor dates, negative times, or several units in one column.
    """
    if column.dtype == pl.String:
        column = _parsed(column, source)
    if column.dtype.is_temporal():
        if column.dtype not in (pl.Date, pl.Datetime):
            raise ColumnError(f"{source}: column {column.name!r}: dates or numbers were expected, not {column.dtype}")
        micros = column.cast(pl.Datetime("us")).dt.timestamp("us").to_numpy()
        return micros, micros // 10**6
    numbers = to_numbers(column, source).to_numpy()
    negative = numbers < 0
    if negative.any():
        row = int(np.argmax(negative))
        raise ColumnError(
            f"{source}: column {column.name!r}: {negative.sum():,} of {len(numbers):,} times are negative; "
            f"first at row {row + 1:,}: {numbers[row]}; a column that only orders events is given with --order"
        )
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        row = int(np.argmax(~np.isfinite(numbers)))
        raise ColumnError(f"{source}: column {column.name!r}: not a finite number at row {row + 1:,}: {numbers[row]}")
    edges = [low for _, low, _ in _UNITS]
    unit_low = int(np.searchsorted(edges, numbers.min(), side="right"))
    unit_high = int(np.searchsorted(edges, numbers.max(), side="right"))
    if unit_low != unit_high:
        names = ("numbers too small for a time", *(name for name, _, _ in _UNITS))
        units = np.searchsorted(edges, numbers, side="right")
        counts = np.bincount(units, minlength=len(names))
        parts = ", ".join(f"{counts[i]:,} {names[i]}" for i in range(len(names)) if counts[i])
        row = int(np.argmax(units != units[0]))
        raise ColumnError(
            f"{source}: column {column.name!r} mixes units: {parts}; the unit changes at row {row + 1:,}: {numbers[row]}"
        )
    if numbers.dtype.kind == "f":
        keys = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    else:
        keys = numbers.astype(np.int64, copy=False)
    return keys, None if unit_low == 0 else (numbers // _UNITS[unit_low - 1][2]).astype(np.int64)
