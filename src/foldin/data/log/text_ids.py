"""Columns of ids → text, and the check that floating-point numbers still identify what they name."""

from collections.abc import Callable

import polars as pl

from foldin.errors import ColumnError

__all__ = ["check_exact", "has_text", "same_spelling", "text_ids"]

_BITS = {"Float64": 53, "Float32": 24, "Float16": 11}  # of the significand


def has_text(column: pl.Series) -> bool:
    """Whether each value of a column is a single one that can be written as text."""
    return not (column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object, pl.Duration))


def check_exact(column: pl.Series, source: str, row: Callable[[int], int] = lambda at: at + 1) -> None:
    """Raise if a column of ids has no text, or floating-point numbers so large that neighboring whole numbers are one value.

    From 2⁵³ on (2²⁴ in single precision), several ids may have been rounded to one number, and would be merged.

    Raises:
        ColumnError: the message gives the column, and the first value or the type.
    """
    if not has_text(column):
        raise ColumnError(
            f"{source}: column {column.name!r}: ids must be whole numbers or text, not {column.dtype}; write them as text"
        )
    if not column.dtype.is_float():
        return
    bits = _BITS[type(column.dtype).__name__]
    large = (column.is_finite() & (column.abs() >= 2.0**bits)).fill_null(value=False)
    if large.any():
        at = int(large.arg_true()[0])
        raise ColumnError(
            f"{source}: column {column.name!r}: row {row(at):,}: the id {column[at]:.0f} is a floating-point number, to "
            "which several whole numbers are rounded; give ids as integers or text"
        )


def text_ids(column: pl.Series) -> pl.Series:
    """A column as text ids, in the spelling of a log's ids."""
    if column.dtype.is_float():
        whole = column.fill_nan(None).cast(pl.Int64, strict=False)
        column = whole if (whole.cast(column.dtype) == column).all() else column
    text = column.cast(pl.String, strict=False)
    if column.dtype.is_decimal():
        text = text.str.replace(r"\.0+$", "")
    return same_spelling(text.drop_nulls()) if text.null_count() == 0 else _sparse(text)


def same_spelling(ids: pl.Series) -> pl.Series:
    """Ids without the ".0" that pandas writes behind whole numbers in a column with missing values.

    Ids are changed only if all are numbers and none has a leading zero; otherwise the spelling may be intended.
    """
    if not ids.str.ends_with(".0").any() or not ids.str.contains(r"^-?(0|[1-9]\d*)(\.0)?$").all():
        return ids
    return ids.str.strip_suffix(".0")


def _sparse(text: pl.Series) -> pl.Series:
    full = text.is_not_null()
    return text.zip_with(~full, same_spelling(text.fill_null("0")))
