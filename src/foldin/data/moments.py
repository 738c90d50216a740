"""Dates and times that conditions compare with a feature of dates, as the first and the last value that they mean.

Times are in UTC where they have no offset. A day means all of its times, so that `high` includes its evening; a time that is
compared with a feature of days means its day.
"""

import re
from datetime import UTC, date, datetime, time
from typing import Any, TypeGuard

import polars as pl

__all__ = ["EXAMPLE", "moments", "span_of"]

EXAMPLE = "a date such as 2024-01-31 or 2024-01-31T12:00:00"
_DAY, _TIME = re.compile(r"\d{4}-\d\d-\d\d"), re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d.*")


def moments(column: pl.Expr, dtype: Any) -> pl.Expr:
    """The values of a feature of dates as days, or as times in UTC without a zone.

    Args:
        dtype: type of the values in Polars.
    """
    if dtype == pl.Date:
        return column
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return column.cast(pl.Datetime("us"))


def span_of(value: object, *, days: bool) -> tuple[date, date] | None:
    """(first, last) value of a feature of dates that a date, a time or a text of one means; None for another value.

    Args:
        value: `datetime.date`, `datetime.datetime`, or ISO 8601 text of one.
        days: whether the feature holds days rather than times.
    """
    found = _read(value) if isinstance(value, str) else value
    if not _is_date(found):
        return None
    if not isinstance(found, datetime):
        return (found, found) if days else (datetime.combine(found, time.min), datetime.combine(found, time.max))
    try:
        at = found if found.tzinfo is None else found.astimezone(UTC)
    except OverflowError:
        return None
    plain = datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)  # of subclasses, too
    return (plain.date(), plain.date()) if days else (plain, plain)


def _is_date(value: object) -> TypeGuard[date]:
    return isinstance(value, date) and value == value  # noqa: PLR0124 (pandas' NaT, which is a datetime, is not itself)


def _read(text: str) -> date | None:
    try:
        if _DAY.fullmatch(text.strip()):
            return date.fromisoformat(text.strip())
        return datetime.fromisoformat(text.strip()) if _TIME.fullmatch(text.strip()) else None
    except ValueError:
        return None
