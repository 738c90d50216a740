"""Attributes of events: their kind and their value."""

import numpy as np
import polars as pl

from foldin.data.log.checks import MISSING_WORDS, to_ratings
from foldin.data.log.columns import Columns
from foldin.data.log.report import ReadReport
from foldin.data.log.rows import Rows
from foldin.errors import ColumnError
from foldin.tensors import Array, Float32, UInt8

__all__ = ["kinds_of", "values_of"]

_SHOWN = 8


def kinds_of(
    rows: Rows, columns: Columns, report: ReadReport
) -> tuple[UInt8[Array, " n"] | None, tuple[str, ...], ReadReport]:
    """(code of each row's kind or None, names of the kinds, report); None if the log has no kinds.

    Rows without a kind have the kind "".

    Raises:
        ColumnError: more than 256 kinds.
    """
    if columns.kind is None:
        return None, (), report
    text = rows.table[columns.kind].cast(pl.String).str.strip_chars()
    missing = text.is_null() | text.str.to_lowercase().is_in(["", *MISSING_WORDS]).fill_null(value=True)
    text = text.set(missing, "")
    names = text.unique().sort()
    if names.len() > 256:
        raise ColumnError(
            f"{report.source}: column {columns.kind!r} contains {names.len():,} kinds of events, and at most 256 are possible; "
            "choose another column with --kind NAME"
        )
    codes = text.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.uint8)
    counts = np.bincount(codes, minlength=names.len())
    order = np.argsort(-counts, kind="stable")
    shown = [f"{names[int(at)] or 'none'} {counts[at]:,}" for at in order[:_SHOWN]]
    more = f" and {len(order) - _SHOWN} more" if len(order) > _SHOWN else ""
    report = report.noted(len(codes), f"rows have their kind in {columns.kind!r}: {', '.join(shown)}{more}")
    return codes, tuple(names), report


def values_of(rows: Rows, columns: Columns, report: ReadReport) -> tuple[Float32[Array, " n"] | None, ReadReport]:
    """(value of each row or None, report): NaN for rows without a value; None if the log has no numeric values."""
    if columns.rating is None:
        return None, report
    try:
        numbers, report = to_ratings(rows, columns.rating, report)
    except ColumnError as error:
        reason = str(error).removeprefix(f"{report.source}: ")
        return None, report.noted(rows.table.height, f"rows are read without values: {reason}")
    return numbers.fill_null(float("nan")).cast(pl.Float32).to_numpy(), report
