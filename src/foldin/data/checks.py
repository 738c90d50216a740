"""What can be wrong with the columns of a log, found and counted; what cannot be used is one clear error."""

import numpy as np
import polars as pl

from foldin.data.columns import Columns
from foldin.data.report import ReadReport
from foldin.data.times import to_numbers, to_seconds
from foldin.errors import ColumnError
from foldin.tensors import Array, Int64

__all__ = ["clean", "id_column", "odd_ids", "order_keys"]


def clean(table: pl.DataFrame, columns: Columns, report: ReadReport) -> tuple[pl.DataFrame, ReadReport]:
    """Without rows that lack a person, an item or a time; odd ids are counted."""
    for role, name in columns.roles().items():
        if role == "rating":
            continue
        column = table[name].fill_nan(None) if table[name].dtype.is_float() else table[name]
        missing = column.is_null()
        if column.dtype == pl.String or isinstance(column.dtype, pl.Categorical | pl.Enum):
            missing |= (column == "").fill_null(value=False)
        if missing.any():
            report = report.dropped(int(missing.sum()), f"no value in the {role} column {name!r}")
            table = table.filter(~missing)
    return table, report


def odd_ids(ids: pl.Series, what: str, report: ReadReport) -> ReadReport:
    """The report, with a note of ids that look damaged; they are kept."""
    odd = ids.filter(ids.str.contains(r"^\s|\s$|[\x00-\x1f\x7f\u{fffd}]"))
    shown = "" if odd.is_empty() else f"; the first: {odd[0]!r}"
    return report.noted(odd.len(), f"{what} ids with control characters or white space at an end (kept){shown}")


def id_column(column: pl.Series, source: str) -> pl.Series:
    """A column of ids as integers or text."""
    if column.dtype == pl.UInt64 and (column > np.iinfo(np.int64).max).any():
        return column.cast(pl.String)
    if column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical) or isinstance(column.dtype, pl.Enum):
        return column.cast(pl.Categorical) if isinstance(column.dtype, pl.Enum) else column
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if (whole.cast(column.dtype) == column).all():
            return whole
        row = int((whole.cast(column.dtype).ne_missing(column)).arg_true()[0])
        raise ColumnError(
            f"{source}: column {column.name!r}: ids must be whole numbers or text; row {row + 1:,}: {column[row]}"
        )
    raise ColumnError(f"{source}: column {column.name!r}: ids must be whole numbers or text, not {column.dtype}")


def order_keys(
    table: pl.DataFrame, columns: Columns, report: ReadReport
) -> tuple[Int64[Array, " n"] | None, Int64[Array, " n"] | None, ReadReport]:
    """(keys to sort a person's events by, absolute times in seconds, report); None where the log has none."""
    keys = times = None
    if columns.time is not None:
        keys, times = to_seconds(table[columns.time], report.source)
        if times is None:
            report = report.noted(len(keys), f"column {columns.time!r} holds no absolute times: used as an order only")
    if columns.order is not None:
        order = to_numbers(table[columns.order], report.source)
        if order.null_count():
            raise ColumnError(f"{report.source}: column {columns.order!r}: {order.null_count():,} values are missing")
        keys = order.to_numpy() if order.dtype.is_integer() else order.rank("dense").to_numpy().astype(np.int64)
    if keys is None:
        report = report.noted(table.height, "no time or order column: events are taken in the order of the file")
    return keys, times, report
