"""Time columns of any type → whole seconds since 1970, or only an order if they are not absolute times."""

import datetime
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from foldin.data.log.dates import ORDERS, layouts_of, parse_dates, read_as, spread
from foldin.data.log.numbers import to_numbers
from foldin.data.log.report import Note
from foldin.errors import ColumnError
from foldin.tensors import Array, Int64

__all__ = [
    "COMPACT",
    "TIME_FORMATS",
    "UNITS",
    "Times",
    "checked_numbers",
    "compact_dates",
    "day_of",
    "time_like",
    "to_times",
    "unit_of",
]

# Below 1e8 s (March 1973) a number is not a plausible event time; each further unit is a thousand times larger.
UNITS = (
    ("seconds", 1e8, 1),
    ("milliseconds", 1e11, 10**3),
    ("microseconds", 1e14, 10**6),
    ("nanoseconds", 1e17, 10**9),
)
_UNIT_NAMES = tuple(name for name, _, _ in UNITS)
TIME_FORMATS = (*ORDERS, *_UNIT_NAMES)
# Whole numbers that are dates written without separators, by their number of digits.
COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%3f"}
_DAY = 86_400
_FIRST_YEAR = 631_152_000  # 1990: logs of events on computers are not older
_INTERVAL = re.compile(r"[\[(][^,]+, ?[^,]+[\])]")
_INSTEAD = {
    "Duration": "; durations are no times: add them to a date",
    "Time": "; a time of day has no day: join it with a date",
}


@dataclass(frozen=True, eq=False)
class Times:
    """Times of events: `keys` are integers that sort them at full resolution, `seconds` are counted from 1970.

    `seconds` is None if the column is only an order; `notes` say how it was read and what looks wrong.
    """

    keys: Int64[Array, " n"]
    seconds: Int64[Array, " n"] | None
    notes: tuple[Note, ...]


def _row(at: int) -> int:
    return at + 1


def day_of(seconds: int) -> str:
    """The day of a time, for messages."""
    if not -62_135_596_800 <= seconds < 253_402_300_800:
        return f"the year {1970 + seconds // 31_556_952}"
    return str((datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(seconds))).date())


def compact_dates(text: pl.Series) -> pl.Series | None:
    """Digits such as 20200913123158 as dates; None if they are not all of one length that has a layout."""
    width = len(text[0]) if text.len() else 0
    if (
        width not in COMPACT
        or not text.str.contains(r"^(19|20)\d+$").all()
        or not (text.str.len_bytes() == width).all()
    ):
        return None
    # Polars does not read hours without minutes.
    return read_as(text + "00", "%Y%m%d%H%M") if width == 10 else read_as(text, COMPACT[width])


def unit_of(value: float) -> int:
    """The unit of a time, by its size: 1 + its place in `UNITS`; 0 for a number too small for a time."""
    return int(np.searchsorted([low for _, low, _ in UNITS], value, side="right"))


def time_like(sample: pl.Series) -> bool:
    """Whether sample values are certainly times: dates, or numbers that are times from 1990 to next year in one unit."""
    values = sample.drop_nulls()
    if values.dtype.is_temporal():
        return values.dtype in (pl.Date, pl.Datetime)
    if values.len() == 0 or not (values.dtype == pl.String or values.dtype.is_numeric()):
        return False
    if values.dtype == pl.String:
        values = values.str.strip_chars()
        values = values.filter(values != "")
        if values.len() == 0:
            return False
        if all(layouts_of(value) for value in spread(values)):
            return True
        if values.str.contains(r"^0\d").any():
            return False
        numbers = values.cast(pl.Float64, strict=False)
        if numbers.null_count():
            return False
    else:
        numbers = values.cast(pl.Float64)
    if not bool(numbers.is_finite().all()):
        return False
    digits = numbers.cast(pl.Int64, strict=False).cast(pl.String)
    dates = None if digits.null_count() else compact_dates(digits)
    if dates is not None and dates.null_count() == 0:
        return bool(dates.dt.year().is_between(1970, datetime.date.today().year + 1).all())
    # Polars types the minimum of any column as any of its types; here they are numbers.
    low, high = float(numbers.min()), float(numbers.max())  # type: ignore[arg-type]
    unit = unit_of(low)
    if unit == 0 or unit != unit_of(high):
        return False
    scale = UNITS[unit - 1][2]
    return low / scale >= _FIRST_YEAR and high / scale < time.time() + 366 * _DAY


def _from_dates(dates: pl.Series, how: str, where: str, row: Callable[[int], int]) -> Times:
    micros = dates.dt.timestamp("us").to_numpy()
    return Times(micros, micros // 10**6, _remarks(micros // 10**6, how, where, row))


def _remarks(seconds: Int64[Array, " n"], how: str, where: str, row: Callable[[int], int]) -> tuple[Note, ...]:
    column = where.rsplit(": ", maxsplit=1)[-1]
    span = f"{day_of(int(seconds.min()))} to {day_of(int(seconds.max()))}" if len(seconds) else ""
    notes = [Note(f"times read as {how} ({column}: {span})", len(seconds), dropped=False)]
    for odd, what in (
        (seconds > time.time() + _DAY, "times are in the future"),
        (seconds < 0, "times are before 1970"),
    ):
        if odd.any():
            at = int(np.argmax(odd))
            text = f"{what} ({column}); first at row {row(at):,}: {day_of(int(seconds[at]))}"
            notes.append(Note(text, int(odd.sum()), dropped=False, warning=True))
    return tuple(notes)


def to_times(
    column: pl.Series, source: str, *, time_format: str | None = None, row: Callable[[int], int] = _row
) -> Times:
    """The times of a column without nulls.

    Dates are recognized by their layout, numbers by their size: dates in digits, or a unit since 1970.

    Args:
        time_format: one of `TIME_FORMATS` or a strptime layout, for values that can be read in several ways.
        row: the row in the file of a position in the column, for messages.

    Raises:
        ColumnError: values that are neither numbers nor dates, dates that can be read in two ways, negative times, several
            units in one column, or times outside any calendar.
    """
    where = f"{source}: column {column.name!r}"
    if time_format is not None and time_format not in TIME_FORMATS and "%" not in time_format:
        raise ColumnError(
            f"--time-format {time_format!r} is not one of {', '.join(TIME_FORMATS)}, nor a layout such as %d/%m/%Y"
        )
    temporal = column.dtype in (pl.Date, pl.Datetime)
    if not (temporal or column.dtype.is_numeric() or column.dtype in (pl.String, pl.Categorical, pl.Enum)):
        instead = _INSTEAD.get(type(column.dtype).__name__, "")
        raise ColumnError(f"{where}: dates or numbers were expected, not {column.dtype}{instead}")
    if temporal:
        return _from_dates(column.cast(pl.Datetime("us")), f"{column.dtype.base_type()}", where, row)
    unit_said = time_format in _UNIT_NAMES
    if not column.dtype.is_numeric():
        text = column.cast(pl.String).str.strip_chars()
        if text.len() and _INTERVAL.fullmatch(text[0]):
            raise ColumnError(
                f"{where}: intervals such as {text[0]!r} are no times: give their left or their right ends"
            )
        numeric = spread(text).cast(pl.Float64, strict=False).null_count() == 0
        layout_said = time_format is not None and "%" in time_format
        if layout_said or (not unit_said and not numeric and any(layouts_of(value) for value in spread(text))):
            dates, layouts = parse_dates(text, time_format, where)
            bad = dates.is_null()
            if bad.any():
                at = int(bad.arg_true()[0])
                raise ColumnError(
                    f"{where}: {bad.sum():,} of {text.len():,} values are no dates like the others ({layouts or time_format}); "
                    f"first at row {row(at):,}: {text[at]!r}"
                )
            return _from_dates(dates, f"dates written {layouts}", where, row)
    numbers = to_numbers(column, source, row)
    if not unit_said and numbers.dtype.is_integer() and (numbers >= 19_000_101).all():
        few = compact_dates(spread(numbers).cast(pl.String))
        if few is not None and few.null_count() == 0:
            return _compact_column(numbers, where, row)
    return _from_numbers(numbers, time_format if unit_said else None, where, row)


def _compact_column(numbers: pl.Series, where: str, row: Callable[[int], int]) -> Times:
    digits = numbers.cast(pl.String)
    dates = compact_dates(digits)
    bad = digits.str.len_bytes() != len(digits[0]) if dates is None else dates.is_null()
    if bad.any() or dates is None:
        at = int(bad.arg_true()[0])
        raise ColumnError(
            f"{where}: {bad.sum():,} of {digits.len():,} values are no dates in digits like {digits[0]}; "
            f"first at row {row(at):,}: {digits[at]}; --time-format seconds (milliseconds, …) reads them as numbers"
        )
    return _from_dates(dates, "dates in digits", where, row)


def checked_numbers(column: pl.Series, where: str, row: Callable[[int], int]) -> Array:
    """The numbers of a column, which must be finite and not negative."""
    numbers = column.to_numpy()
    negative = numbers < 0
    if negative.any():
        at = int(np.argmax(negative))
        raise ColumnError(
            f"{where}: {negative.sum():,} of {len(numbers):,} times are negative; "
            f"first at row {row(at):,}: {numbers[at]}; a column that only orders events is given with --order"
        )
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        at = int(np.argmax(~np.isfinite(numbers)))
        raise ColumnError(f"{where}: not a finite number at row {row(at):,}: {numbers[at]}")
    return numbers


def _from_numbers(column: pl.Series, unit_said: str | None, where: str, row: Callable[[int], int]) -> Times:
    numbers = checked_numbers(column, where, row)
    low, high = unit_of(float(numbers.min())), unit_of(float(numbers.max()))
    if low != high and unit_said is None:
        names = ("numbers too small for a time", *_UNIT_NAMES)
        units = np.searchsorted([edge for _, edge, _ in UNITS], numbers, side="right")
        counts = np.bincount(units, minlength=len(names))
        parts = ", ".join(f"{counts[i]:,} {names[i]}" for i in range(len(names)) if counts[i])
        at = int(np.argmax(units != units[0]))
        raise ColumnError(f"{where} mixes units: {parts}; the unit changes at row {row(at):,}: {numbers[at]}")
    if numbers.dtype.kind == "f":
        keys = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
    else:
        keys = numbers.astype(np.int64, copy=False)
    if unit_said is not None:
        low = _UNIT_NAMES.index(unit_said) + 1
    if low == 0:
        name = where.rsplit(": ", maxsplit=1)[-1]
        return Times(
            keys, None, (Note(f"{name} has no absolute times: used as an order only", len(keys), dropped=False),)
        )
    name, _, scale = UNITS[low - 1]
    seconds = (numbers // scale).astype(np.int64)
    if unit_said is None and int(seconds.min()) > time.time() + 80 * 366 * _DAY:
        raise ColumnError(
            f"{where}: as {name} since 1970, {numbers[0]} (row {row(0):,}) is in {day_of(int(seconds[0]))}: "
            f"give --time-format, or --order for a column that only orders events"
        )
    how = f"{name} since 1970" + ("" if unit_said else ", by their size")
    return Times(keys, seconds, _remarks(seconds, how, where, row))
