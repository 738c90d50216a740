"""Columns of types that only pandas has → columns of types that every library has.

A period becomes the time at which it begins, in UTC; an interval becomes its text, such as `(18, 25]`, and so does a complex
number. They may be the type of a column, the categories of one, or objects.
"""

import json
from typing import Any

import numpy as np
import polars as pl

from foldin.errors import DataError

__all__ = ["is_extension", "plain_extension", "plain_pandas"]

_PERIOD, _TEXT = "period", ("interval", "complex")
_NOT_A_TIME = np.iinfo(np.int64).min


def plain_pandas(frame: Any, what: str) -> Any:
    """A table of pandas without columns of types that Polars lacks; the table itself if it has none.

    Args:
        what: name of the table, for messages.

    Raises:
        DataError: a period begins at a time that pandas has no timestamp of; the message gives the column.
    """
    kinds = {name: _kind_of(frame[name]) for name in frame.columns}
    plain = {name: _plain(frame[name], kind, what) for name, kind in kinds.items() if kind in (_PERIOD, *_TEXT)}
    return frame.assign(**plain) if plain else frame


def _kind_of(column: Any) -> str:
    """The first word of a column's type, or of that of its categories, or of its first object."""
    categories = getattr(column.dtype, "categories", None)
    dtype = column.dtype if categories is None else categories.dtype
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        known = (column if categories is None else categories).dropna()
        return type(known[0] if categories is not None else known.iloc[0]).__name__.lower() if len(known) else ""
    return str(dtype).partition("[")[0].rstrip("0123456789")


def _plain(column: Any, kind: str, what: str) -> Any:
    categories = getattr(column.dtype, "categories", None)
    values = column if categories is None else column.astype(categories.dtype)
    if kind in _TEXT:
        return values.astype(object).map(str, na_action="ignore")
    try:
        if values.dtype.kind == "O" and str(values.dtype) == "object":
            return values.map(lambda one: one.start_time, na_action="ignore")
        return values.dt.to_timestamp(how="start")
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{what}: column {column.name!r}: periods that have no time of their beginning: {error}"
        ) from error


def is_extension(column: pl.Series) -> bool:
    """Whether a column has a type that Polars keeps only the name of, such as one of pandas that came through Arrow."""
    return type(column.dtype).__name__ == "Extension"


def plain_extension(column: pl.Series, what: str) -> pl.Series:
    """Such a column with a type of Polars: periods and intervals of pandas as in `plain_pandas`, others as they are stored.

    Raises:
        DataError: periods without pandas, which alone knows their calendars.
    """
    kind: Any = column.dtype
    name, stored = kind.ext_name(), column.ext.storage()
    about = json.loads(kind.ext_metadata() or "{}") if name.startswith("pandas.") else {}
    if name == "pandas.interval":
        left, right = (stored.struct.field(end).cast(pl.String) for end in ("left", "right"))
        first = "[" if about["closed"] in ("left", "both") else "("
        last = "]" if about["closed"] in ("right", "both") else ")"
        return (first + left + ", " + right + last).alias(column.name)
    if name != "pandas.period":
        return stored
    try:
        import pandas
    except ImportError as error:
        raise DataError(
            f"{what}: column {column.name!r}: periods of pandas can only be read where pandas is installed; give timestamps"
        ) from error
    try:
        ordinals = stored.fill_null(_NOT_A_TIME).to_numpy()
        times = pandas.PeriodIndex.from_ordinals(ordinals, freq=about["freq"]).to_timestamp(how="start")
    except (ValueError, OverflowError) as error:
        raise DataError(
            f"{what}: column {column.name!r}: periods that have no time of their beginning: {error}"
        ) from error
    return pl.Series(column.name, times.to_numpy().astype("datetime64[us]"))
