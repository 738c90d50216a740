"""Checks of the columns of a log: problems are counted in notes, and unusable columns are an error."""

from collections.abc import Callable

import numpy as np
import polars as pl

from foldin.data.log.columns import Columns, listed
from foldin.data.log.encode import encode
from foldin.data.log.numbers import to_numbers
from foldin.data.log.report import ReadReport
from foldin.data.log.rows import Rows
from foldin.data.log.text_ids import check_exact, same_spelling
from foldin.data.log.times import to_times
from foldin.errors import ColumnError
from foldin.tensors import Array, Int32, Int64

__all__ = [
    "MISSING_TIMES",
    "MISSING_WORDS",
    "clean",
    "dropped_words",
    "encode_ids",
    "giant_user",
    "id_column",
    "kept_word",
    "missing_ids",
    "odd_ids",
    "order_keys",
    "rated_at_least",
    "respelled",
]

# What programs write for "no value"; compared without case. A whole column of numbers holds none of them.
MISSING_WORDS = frozenset(
    {
        "nan",
        "null",
        "none",
        "na",
        "n/a",
        "#n/a",
        "\\n",
        "<na>",
        "nil",
        "-",
        "--",
        "(null)",
        "undefined",
        "nat",
        "missing",
        "?",
    }
)
MISSING_TIMES = ("nan", "NaN", "NULL", "null", "None", "NA", "\\N", "NaT", "<NA>", "0000-00-00", "0000-00-00 00:00:00")
_CROWD = 20  # with fewer users one of them may well have most events


def _is_text(column: pl.Series) -> bool:
    return column.dtype == pl.String or isinstance(column.dtype, pl.Categorical | pl.Enum)


def clean(rows: Rows, columns: Columns, report: ReadReport) -> tuple[Rows, ReadReport]:
    """(rows, report), without rows that lack a user, an item or a time."""
    for role, name in columns.roles().items():
        if role in ("rating", "kind"):
            continue
        column = rows.table[name]
        column = column.fill_nan(None) if column.dtype.is_float() else column
        missing = column.is_null()
        if _is_text(column):
            missing |= (column == "").fill_null(value=False)
        if missing.any():
            report = report.dropped(int(missing.sum()), f"no value in the {role} column {name!r}")
            rows = rows.where(~missing)
        if role == "time" and column.dtype == pl.String:
            words = rows.table[name].is_in(MISSING_TIMES)
            if words.any():
                word = rows.table[name].filter(words)[0]
                report = report.dropped(int(words.sum()), f"no value ({word!r}) in the time column {name!r}")
                rows = rows.where(~words)
    return rows, report


def rated_at_least(
    rows: Rows, columns: Columns, report: ReadReport, least: float, *, dislike_below: float | None = None
) -> tuple[Rows, ReadReport]:
    """(rows, report), with only the rows whose rating is at least `least`; the ratings are numbers (`numeric_ratings`).

    Args:
        dislike_below: ratings below this are kept too, as dislikes.

    Raises:
        ColumnError: no rating column.
    """
    if columns.rating is None:
        raise ColumnError(
            f"{report.source}: --min-rating needs a rating column; there are {listed(rows.table.columns)}"
        )
    ratings = rows.table[columns.rating]
    below = (ratings < 0).fill_null(value=False)
    if below.any():
        at = int(below.arg_true()[0])
        report = report.noted(
            int(below.sum()),
            f"ratings are negative ({columns.rating!r}); first at row {rows.number(at):,}: {ratings[at]:g}",
        )
    report = report.dropped(ratings.null_count(), f"no value in the rating column {columns.rating!r}")
    keep = (ratings >= least).fill_null(value=False)
    text = f"rating below {least:g}"
    if dislike_below is not None:
        keep |= (ratings < dislike_below).fill_null(value=False)
        text = f"rating below {least:g} and not below {dislike_below:g}"
    report = report.dropped(int((~keep).sum()) - ratings.null_count(), text)
    return (rows if keep.all() else rows.where(keep)), report


def odd_ids(ids: pl.Series, what: str, report: ReadReport) -> ReadReport:
    """The report, with a note on ids that look damaged; they are kept."""
    odd = ids.filter(ids.str.contains(r"^\s|\s$|[\x00-\x1f\x7f\u{fffd}]"))
    shown = "" if odd.is_empty() else f"; the first: {odd[0]!r}"
    return report.noted(odd.len(), f"{what} ids with control characters or white space at an end (kept){shown}")


def giant_user(counts: Int64[Array, " users"], users: pl.Series, report: ReadReport) -> ReadReport:
    """The report, with a note on a user with far more events than any other: often an id for all anonymous users."""
    if len(counts) < _CROWD:
        return report
    giant = int(counts.argmax())
    usual = np.partition(counts, -2)[-2]
    if counts[giant] < max(0.05 * counts.sum(), 10 * usual):
        return report
    text = f"events are of the user {users[giant]!r} alone, the next user has {usual:,}; is it the id of all anonymous users?"
    return report.noted(int(counts[giant]), text, warning=True)


def id_column(column: pl.Series, source: str, row: Callable[[int], int]) -> pl.Series:
    """A column of ids as integers or text."""
    if column.dtype == pl.UInt64 and (column > np.iinfo(np.int64).max).any():
        return column.cast(pl.String)
    if type(column.dtype).__name__ in ("Int128", "UInt128"):  # NumPy has no such integers
        narrow = column.cast(pl.Int64, strict=False)
        return narrow if narrow.null_count() == column.null_count() else column.cast(pl.String)
    if column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical) or isinstance(column.dtype, pl.Enum):
        return column.cast(pl.Categorical) if isinstance(column.dtype, pl.Enum) else column
    if column.dtype.is_decimal():
        text = column.cast(pl.String).str.replace(r"\.0+$", "")
        fractions = text.str.contains(".", literal=True).fill_null(value=False)
        if not fractions.any():
            return text
        at = int(fractions.arg_true()[0])
        raise ColumnError(
            f"{source}: column {column.name!r}: ids must be whole numbers or text; row {row(at):,}: {column[at]}"
        )
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)  # null for what is no 64-bit integer, such as 1e19
        other = whole.cast(column.dtype).ne_missing(column) & column.is_not_null() & column.is_not_nan()
        if not other.any():
            check_exact(column, source, row)
            return whole
        at = int(other.arg_true()[0])
        raise ColumnError(
            f"{source}: column {column.name!r}: ids must be whole numbers or text; row {row(at):,}: {column[at]}"
        )
    raise ColumnError(
        f"{source}: column {column.name!r}: ids must be whole numbers or text, not {column.dtype}; write them as text"
    )


def missing_ids(counts: Int64[Array, " ids"], ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    """(ids that are words for a missing value, those of them that may be real ids by the other ids and by frequency)."""
    words = ids.filter(ids.str.strip_chars().str.to_lowercase().is_in(["", *MISSING_WORDS]))
    if words.is_empty() or words.len() == ids.len():
        return words, words.clear()
    others = ids.filter(~ids.is_in(words.to_list()))
    if others.str.contains(r"^-?\d+(\.0)?$").all():
        return words, words.clear()
    table = pl.DataFrame({"id": ids, "count": counts})
    is_word = pl.col("id").is_in(words.to_list())
    # Polars types the maximum of any column as any of its types; here it is a count.
    most = int(table.filter(~is_word)["count"].max())  # type: ignore[arg-type]
    return words, table.filter(is_word & (pl.col("count") <= most))["id"]


def kept_word(word: str, count: int, role: str, report: ReadReport) -> ReadReport:
    """The report, with a note on a word for a missing value that is kept as an id."""
    return report.noted(
        count,
        f"events have {word!r} as their {role}, kept as an id; if it means a missing value, leave the field empty",
    )


def dropped_words(words: pl.Series, count: int, name: str, role: str, report: ReadReport) -> ReadReport:
    """The report, with a note on events whose id is a word for a missing value."""
    shown = ", ".join(map(repr, words))
    return report.dropped(count, f"no value in the {role} column {name!r} (written {shown})")


def respelled(ids: pl.Series, plain: pl.Series, role: str, report: ReadReport) -> ReadReport:
    """The report, with a note on ids that are read without ".0" at their end."""
    changed = ids.filter(plain != ids)
    if changed.is_empty():
        return report
    return report.noted(changed.len(), f"{role} ids written like {changed[0]!r} are read as whole numbers")


def encode_ids(
    rows: Rows, name: str, role: str, report: ReadReport
) -> tuple[Int32[Array, " n"], pl.Series, Rows, ReadReport]:
    """(codes, ids, rows, report) of an id column, without rows whose id is a word for a missing value.

    Such a word is kept, with a note, if the other ids are words too and it is not more frequent than they are.

    Raises:
        ColumnError: ids that are neither whole numbers nor text.
    """
    codes, ids = encode(id_column(rows.table[name], report.source, rows.number))
    words, kept = missing_ids(np.bincount(codes, minlength=ids.len()), ids)
    gone = words.filter(~words.is_in(kept.to_list()))
    for word in kept:
        report = kept_word(word, int((codes == ids.index_of(word)).sum()), role, report)
    if gone.len():
        lost = pl.Series(np.isin(codes, ids.is_in(gone.to_list()).arg_true().to_numpy()))
        report = dropped_words(gone, int(lost.sum()), name, role, report)
        rows = rows.where(~lost)
        codes, ids = encode(id_column(rows.table[name], report.source, rows.number))
    plain = same_spelling(ids)
    if not (plain == ids).all():
        report = respelled(ids, plain, role, report)
        again, ids = encode(plain)
        codes = again[codes]
    return codes, ids, rows, report


def order_keys(
    rows: Rows, columns: Columns, report: ReadReport, time_format: str | None = None
) -> tuple[Int64[Array, " n"] | None, Int64[Array, " n"] | None, ReadReport]:
    """(keys that sort a user's events, absolute times in seconds, report); None for keys or times that the log lacks."""
    keys = times = None
    if columns.time is not None:
        read = to_times(rows.table[columns.time], report.source, time_format=time_format, row=rows.number)
        keys, times, report = read.keys, read.seconds, report.extended(read.notes)
    if columns.order is not None:
        order = to_numbers(rows.table[columns.order], report.source, rows.number)
        keys = order.to_numpy() if order.dtype.is_integer() else order.rank("dense").to_numpy().astype(np.int64)
    if keys is None:
        report = report.noted(rows.table.height, "no time or order column: events are taken in the order of the file")
    return keys, times, report
