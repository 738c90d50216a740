"""Text → numbers, with decimal commas if the values show that commas are decimal."""

from collections.abc import Callable

import polars as pl

from foldin.data.log.text_ids import has_text
from foldin.errors import ColumnError

__all__ = ["to_numbers"]

_COMMA = r"^[+-]?\d*,\d+$"
_GROUPS = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"


def _row(at: int) -> int:
    return at + 1


def to_numbers(column: pl.Series, source: str, row: Callable[[int], int] = _row) -> pl.Series:
    """The column as Int64 or Float64.

    A comma is a decimal one if the values show it ("4,5"), and separates thousands if it can be nothing else
    ("1,234,567", "1,234.5").

    Args:
        row: the row in the file of a position in the column.

    Raises:
        ColumnError: values that are not numbers, or ambiguous commas; the message gives their number and the first row.
    """
    if column.dtype.is_integer():
        return column.cast(pl.Int64)
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    where = f"{source}: column {column.name!r}"
    if not has_text(column):
        raise ColumnError(f"{where}: numbers were expected, not {column.dtype}")
    text = column.cast(pl.String).str.strip_chars()
    numbers = text.cast(pl.Int64, strict=False)
    if numbers.null_count() > text.null_count():
        numbers = text.cast(pl.Float64, strict=False)
    bad = numbers.is_null() & text.is_not_null()
    if bad.any():
        commas = text.filter(bad)
        decimal, groups = commas.str.contains(_COMMA), commas.str.contains(_GROUPS)
        with_comma = decimal | groups
        if with_comma.any() and (decimal & groups)[with_comma.arg_true()].all():
            at = int((bad & text.str.contains(_COMMA)).arg_true()[0])
            raise ColumnError(
                f"{where}: {text[at]!r} (row {row(at):,}) can be {text[at].replace(',', '.')} or "
                f"{text[at].replace(',', '')}: write it without a comma"
            )
        if (decimal | ~with_comma).all():
            numbers = text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        elif (groups | ~with_comma).all():
            numbers = text.str.replace_all(",", "", literal=True).cast(pl.Float64, strict=False)
        bad = numbers.is_null() & text.is_not_null()
    if bad.any():
        at = int(bad.arg_true()[0])
        raise ColumnError(
            f"{where}: {bad.sum():,} of {column.len():,} values are not numbers; first at row {row(at):,}: {text[at]!r}"
        )
    return numbers
