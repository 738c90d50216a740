"""Types of item features: a text column of only numbers, truth values or dates is converted, lists become one text.

Several values of an item are one text with "|" between them ("Comedy|Drama"), in any format of the file.
"""

import polars as pl

from foldin.data.log.checks import MISSING_WORDS
from foldin.data.log.dates import layouts_of, read_as, spread
from foldin.data.log.report import Note
from foldin.data.log.text_ids import same_spelling

__all__ = ["typed"]

_WHOLE = r"^-?(0|[1-9]\d{0,17})$"
_NUMBER = r"^-?(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?$"
_COMMA = r"^-?(0|[1-9]\d*)(,\d+)?$"
_JSON_LIST = r"^\[.*\]$"
_KEPT = ("item", "title")


def _listed(column: pl.Series) -> pl.Series:
    """The lists of a column, each joined into one text; null where there is no list."""
    return column.cast(pl.List(pl.String)).list.join("|", ignore_nulls=True)


def _unlisted(text: pl.Series) -> pl.Series:
    """A list in the notation of JSON or Python as one text."""
    inner = text.str.strip_chars().str.slice(1).str.head(-1)
    parts = inner.str.extract_all(r'"[^"]*"' + r"|'[^']*'|[^\s,][^,]*").list.join("|")
    return parts.str.replace_all(r"(^|\|)[\s\"']+", "$1").str.replace_all(r"[\s\"']+(\||$)", "$1")


def _number(values: pl.Series) -> pl.Series | None:
    """Text values, none of them missing, as numbers; None if one is not a number, or is so long that digits would be lost."""
    if values.str.contains(r"^-?\d{19}").any():
        return None
    plain = same_spelling(values)
    if plain.str.contains(_WHOLE).all():
        numbers = plain.cast(pl.Int64, strict=False)
    elif values.str.contains(_NUMBER).all():
        numbers = values.cast(pl.Float64, strict=False)
    elif values.str.contains(_COMMA).all() and not values.str.contains(r",\d{3}$").all():
        numbers = values.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    else:
        return None
    return None if numbers.null_count() else numbers


def _retyped(column: pl.Series) -> pl.Series:
    """A text column as numbers, truth values or dates if all of its values are, and unchanged otherwise."""
    text = column.str.strip_chars()
    missing = text.str.to_lowercase().is_in(["", *MISSING_WORDS]).fill_null(value=True)
    text = text.set(missing, None)
    values = text.drop_nulls()
    if values.is_empty():
        return column
    if (values.str.contains(_JSON_LIST)).all():
        return _unlisted(text)
    numbers = _number(values)
    if numbers is not None:
        blank = pl.repeat(None, text.len(), dtype=numbers.dtype, eager=True)
        return blank.scatter(text.is_not_null().arg_true(), numbers)
    lower = text.str.to_lowercase()
    if lower.drop_nulls().is_in(["true", "false"]).all():
        return lower == "true"
    layouts = {layouts_of(value) for value in spread(values, 50)}
    if len(layouts) == 1 and len(one := layouts.pop()) == 1 and one[0] in ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"):
        dates = read_as(text, one[0])
        if dates.null_count() == text.null_count():
            return dates.dt.date()
    return column


def _stray(column: pl.Series) -> Note | None:
    """A note if nearly all values of a text column are numbers, since filters by range need numbers in all rows."""
    text = column.str.strip_chars().drop_nulls()
    text = text.filter(~text.str.to_lowercase().is_in(["", *MISSING_WORDS]))
    odd = text.filter(text.cast(pl.Float64, strict=False).is_null())
    if odd.is_empty() or text.is_empty() or odd.len() > 0.1 * text.len():
        return None
    why = f"values of the feature {column.name!r} are no numbers, so that it is read as text; the first: {odd[0]!r}"
    return Note(why, odd.len(), dropped=False)


def typed(table: pl.DataFrame) -> tuple[pl.DataFrame, list[Note]]:
    """(the table with typed features, notes). The columns `item` and `title` are not changed."""
    notes: list[Note] = []
    columns = []
    for column in table.iter_columns():
        found = column
        if column.name not in _KEPT and column.dtype == pl.String:
            found = _retyped(column)
            if found.dtype == pl.String and (stray := _stray(found)) is not None:
                notes.append(stray)
        elif column.name not in _KEPT and isinstance(column.dtype, pl.List) and not column.dtype.inner.is_nested():
            found = _listed(column)
        columns.append(found.alias(column.name))
    return pl.DataFrame(columns), notes
