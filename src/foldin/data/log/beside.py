"""Attributes of events: their kind and their value."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from foldin.data.log.checks import MISSING_WORDS
from foldin.data.log.columns import Columns
from foldin.data.log.numbers import to_numbers
from foldin.data.log.report import ReadReport
from foldin.data.log.rows import Rows
from foldin.data.log.text_ids import has_text
from foldin.errors import ColumnError
from foldin.tensors import Array, Float32, UInt8

__all__ = ["clean_kind", "kinds_noted", "kinds_of", "numeric_ratings", "values_of"]

_SHOWN = 8
_MISSING = ("", *MISSING_WORDS)


def clean_kind(kind: str) -> str:
    """The stored name of a kind of events: without white space at its ends; "" for words that mean a missing value."""
    kind = kind.strip()
    return "" if kind.lower() in _MISSING else kind


def kinds_of(
    rows: Rows, columns: Columns, report: ReadReport, *, said: bool
) -> tuple[UInt8[Array, " n"] | None, tuple[str, ...], ReadReport]:
    """(code of each row's kind, names of the kinds, report); None where the log has no kinds.

    Rows without a kind have the kind "".

    Args:
        said: whether the caller named the column; a column found by its name is ignored if it cannot hold kinds.

    Raises:
        ColumnError: a column that the caller named contains more than 256 kinds, or neither text nor numbers.
    """
    if columns.kind is None:
        return None, (), report
    column, trouble = rows.table[columns.kind], ""
    if not has_text(column):
        trouble = f"contains values of the type {column.dtype}, not kinds of events"
    else:
        text = _whole(column).cast(pl.String).str.strip_chars()
        text = text.set(text.is_null() | text.str.to_lowercase().is_in(_MISSING).fill_null(value=True), "")
        names = text.unique().sort()
        if names.len() > 256:
            trouble = f"contains {names.len():,} kinds of events, and at most 256 are possible"
    if trouble:
        if said:
            raise ColumnError(f"{report.source}: column {columns.kind!r} (--kind) {trouble}")
        note = f"rows are read without kinds: column {columns.kind!r} {trouble} (--kind NAME chooses another)"
        return None, (), report.noted(rows.table.height, note, warning=True)
    codes = text.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.uint8)
    counts = dict(zip(names, np.bincount(codes, minlength=names.len()).tolist(), strict=True))
    return codes, tuple(names), kinds_noted(counts, columns.kind, report)


def kinds_noted(counts: Mapping[str, int], name: str, report: ReadReport) -> ReadReport:
    """The report, with a note on the number of events of each kind; the most frequent come first."""
    order = sorted(counts, key=lambda kind: -counts[kind])
    shown = [f"{kind or 'none'} {counts[kind]:,}" for kind in order[:_SHOWN]]
    more = f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    some = sum(counts.values()) - counts.get("", 0)
    return report.noted(some, f"rows have their kind in {name!r}: {', '.join(shown)}{more}")


def _whole(column: pl.Series) -> pl.Series:
    """Floating-point numbers without fractions as integers, since missing values may have made integers floating-point."""
    if not column.dtype.is_float():
        return column
    column = column.fill_nan(None)
    return column.cast(pl.Int64) if (column.drop_nulls() % 1 == 0).all() else column


def numeric_ratings(
    rows: Rows, columns: Columns, report: ReadReport, *, needed: bool
) -> tuple[Rows, Columns, ReadReport]:
    """(rows with numeric ratings, null for missing ones; columns, without the role of ratings if they are not numbers; report).

    All values together decide how a comma is read, so this comes before any row is dropped for its rating.

    Raises:
        ColumnError: ratings that are not numbers, where they are needed.
    """
    name = columns.rating
    if name is None:
        return rows, columns, report
    column = rows.table[name]
    try:
        if column.dtype == pl.String:
            blank = column.str.strip_chars().str.to_lowercase().is_in(_MISSING).fill_null(value=True)
            column = column.set(blank, None)
        ratings = to_numbers(column, report.source, rows.number).cast(pl.Float64).fill_nan(None)
    except ColumnError as error:
        if needed:
            raise
        reason = str(error).removeprefix(f"{report.source}: ")
        return (
            rows,
            replace(columns, rating=None),
            report.noted(rows.table.height, f"rows are read without values: {reason}"),
        )
    if column.dtype == pl.String:
        comma = column.str.contains(",", literal=True).fill_null(value=False)
        shown = f"{column.filter(comma)[0]} as {ratings.filter(comma)[0]:g}" if comma.any() else ""
        report = report.noted(int(comma.sum()), f"ratings have a comma ({name!r}): {shown}")
    return replace(rows, table=rows.table.with_columns(ratings.alias(name))), columns, report


def values_of(rows: Rows, columns: Columns, report: ReadReport) -> tuple[Float32[Array, " n"] | None, ReadReport]:
    """(value of each row, NaN where it has none, report); None where the log has no values that are numbers."""
    if columns.rating is None:
        return None, report
    values = rows.table[columns.rating].cast(pl.Float32).to_numpy().copy()
    endless = np.isinf(values)
    values[endless] = np.nan
    text = f"rows are read without their value: in {columns.rating!r} it is infinite or beyond 3.4e38"
    return values, report.noted(int(endless.sum()), text)
