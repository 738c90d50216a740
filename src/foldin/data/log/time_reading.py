"""How a column of times is read of which only a part is in memory: decided once, then every part is read alike."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from foldin.data.log.dates import parse_dates, spread
from foldin.data.log.numbers import to_numbers
from foldin.data.log.report import Note
from foldin.data.log.times import COMPACT, UNITS, Times, checked_numbers, compact_dates, day_of, to_times, unit_of
from foldin.errors import ColumnError
from foldin.tensors import Array, Int64

__all__ = ["TimeReading", "sortable", "time_notes", "time_reading"]

_DAY = 86_400
_UNIT_NAMES = tuple(name for name, _, _ in UNITS)


@dataclass(frozen=True)
class TimeReading:
    """How every part of a column of times is read.

    Args:
        kind: `dates` (of a temporal type), `layout` (text or digits of a strptime layout), a unit since 1970, or `order` for
            numbers that are no absolute times.
        how: the reading in words, for the report; "" for an order.
        layout: strptime layout of text or digits.
        whole: whether all numbers of the column are whole.
    """

    kind: str
    how: str
    layout: str = ""
    whole: bool = True

    def read(self, column: pl.Series, source: str, row: Callable[[int], int]) -> Times:
        """The times of a part of the column, without notes. Keys of different parts can be compared.

        Args:
            row: the row in the file of a position in the part, for messages.

        Raises:
            ColumnError: values that are not like those of the other parts.
        """
        where = f"{source}: column {column.name!r}"
        if self.kind in ("dates", "layout"):
            text = column if self.kind == "dates" else column.cast(pl.String).str.strip_chars()
            dates = text.cast(pl.Datetime("us")) if self.kind == "dates" else parse_dates(text, self.layout, where)[0]
            if (bad := dates.is_null()).any():
                at = int(bad.arg_true()[0])
                raise ColumnError(f"{where}: no date like the others at row {row(at):,}: {text[at]!r}")
            micros = dates.dt.timestamp("us").to_numpy()
            return Times(micros, micros // 10**6, ())
        numbers = checked_numbers(to_numbers(column, source, row), where, row)
        if not self.whole:
            numbers = numbers.astype(np.float64)
        if self.kind == "order":
            return Times(sortable(numbers), None, ())
        scale = next(scale for name, _, scale in UNITS if name == self.kind)
        return Times(sortable(numbers), (numbers // scale).astype(np.int64), ())


def sortable(numbers: Array) -> Int64[Array, " n"]:
    """Integers in the order of the numbers: they themselves, or of floating-point numbers their bits."""
    if numbers.dtype.kind != "f":
        return numbers.astype(np.int64, copy=False)
    bits = (numbers.astype(np.float64) + 0.0).view(np.int64)  # −0 becomes 0
    return np.where(bits < 0, np.int64(-1) ^ (bits & np.int64(np.iinfo(np.int64).max)), bits)


def time_reading(
    sample: pl.Series,
    least: float | None,
    most: float | None,
    source: str,
    time_format: str | None = None,
    *,
    whole: bool = True,
) -> TimeReading:
    """How a column is read, from a sample of its values and its extremes.

    Args:
        sample: values of the column, not null.
        least, most: extremes of the whole column if all of its values are numbers, also as text; else None.
        time_format: as in `to_times`.
        whole: whether all numbers of the column are whole.

    Raises:
        ColumnError: as `to_times`, as far as the sample and the extremes show it.
    """
    where = f"{source}: column {sample.name!r}"
    if least is None or most is None or sample.dtype.is_temporal() or (time_format is not None and "%" in time_format):
        how = to_times(sample, source, time_format=time_format).notes[0].text.removeprefix("times read as ")
        how = how[: how.rindex(" (column ")]
        if sample.dtype.is_temporal():
            return TimeReading("dates", how)
        layout = how.removeprefix("dates written ")
        if " and " in layout:
            raise ColumnError(f"{where}: dates are written in several ways ({layout}); write all in one, or as numbers")
        return TimeReading("layout", how, layout)
    if time_format in _UNIT_NAMES:
        return TimeReading(str(time_format), f"{time_format} since 1970", whole=whole)
    width = len(str(int(least)))
    if least >= 19_000_101 and width in COMPACT and width == len(str(int(most))) and width != 10:
        digits = to_numbers(spread(sample), source)
        dates = compact_dates(digits.cast(pl.String)) if digits.dtype.is_integer() else None
        if dates is not None and dates.null_count() == 0:
            return TimeReading("layout", "dates in digits", COMPACT[width])
    low, high = unit_of(least), unit_of(most)
    names = ("numbers too small for a time", *_UNIT_NAMES)
    if low != high:
        raise ColumnError(f"{where} mixes units: {least:.15g} is in {names[low]}, {most:.15g} in {names[high]}")
    if low == 0:
        return TimeReading("order", "", whole=whole)
    name, _, scale = UNITS[low - 1]
    if least // scale > time.time() + 80 * 366 * _DAY:
        raise ColumnError(
            f"{where}: as {name} since 1970, {least:.15g} is in {day_of(int(least // scale))}: give --time-format, or --order "
            "for a column that only orders events"
        )
    return TimeReading(name, f"{name} since 1970, by their size", whole=whole)


def time_notes(
    reading: TimeReading, column: str, events: int, first: int, last: int, odd: tuple[int, int] = (0, 0)
) -> tuple[Note, ...]:
    """The notes on a column of times.

    Args:
        first, last: extremes, in seconds since 1970.
        odd: number of times in the future, and before 1970.
    """
    if reading.kind == "order":
        return (Note(f"column {column!r} has no absolute times: used as an order only", events, dropped=False),)
    span = f"column {column!r}: {day_of(first)} to {day_of(last)}"
    notes = [Note(f"times read as {reading.how} ({span})", events, dropped=False)]
    for count, what in zip(odd, ("times are in the future", "times are before 1970"), strict=True):
        if count:
            notes.append(Note(f"{what} ({span})", count, dropped=False, warning=True))
    return tuple(notes)
