"""Columns that may be the time of a log and are not read as it: which they are, and how to name one."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from foldin.data.log.times import time_like

__all__ = ["beside_time", "unnamed_times"]

_SAMPLE = 200
_DATED = (pl.Date, pl.Datetime)


def beside_time(sample: pl.DataFrame, schema: Mapping[str, Any], named: Sequence[str], time: str) -> str | None:
    """A remark on the columns that hold times beside the one that is read; None if there are none.

    Args:
        sample: the first rows of the columns that have a usual name.
        schema: types of all columns that have no role.
        named: columns that are called as times usually are.
        time: the column that is read as the time.
    """
    usual = {name for name in named if name in sample.columns and time_like(sample[name])}
    others = [name for name, kind in schema.items() if kind in _DATED or name in usual]
    if not others:
        return None
    return f"rows have {', '.join(map(repr, others))} beside the time {time!r} (--time NAME chooses another)"


def unnamed_times(lazy: pl.LazyFrame, schema: Mapping[str, Any]) -> str | None:
    """A remark on the columns that hold times in a log whose time was not found; None if there are none.

    Args:
        lazy: the log.
        schema: types of all columns that have no role.
    """
    dates = [name for name, kind in schema.items() if kind in _DATED]
    if not dates:
        texts = [name for name, kind in schema.items() if kind == pl.String or kind.is_numeric()]
        few = lazy.select(texts).head(_SAMPLE).collect(engine="streaming") if texts else pl.DataFrame()
        dates = [name for name in texts if time_like(few[name])]
    if not dates:
        return None
    names, first = ", ".join(map(repr, dates)), shlex.quote(dates[0])
    if len(dates) == 1:
        return f"rows have dates in {names}, which is not known as their time (--time {first} takes it)"
    return f"rows have dates in {names}, which are not known as their time (--time {first} takes the first)"
