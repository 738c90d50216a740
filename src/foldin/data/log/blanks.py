"""Lines of words separated by blanks: a table (`user item rating time`), pairs, or a user and a sequence of items.

The content of the words decides between the three. If two of them fit, the file is refused.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from foldin.data.log.scan import Scan, remark
from foldin.errors import FormatError

__all__ = ["BLANK_FORMATS", "decide_blanks", "scan_blanks"]

BLANK_FORMATS = ("blanks", "pairs", "sequences")
_NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
# Seconds from 1980 on, with or without thousandths and less, or a date.
_TIME = r"^(([3-9]\d{8}|[1-3]\d{9})(\.\d*|(\d{3}){1,3})?|\d{4}-\d\d?-\d\d?([T_].*)?)$"
_DATE, _CLOCK = r"^\d{4}-\d\d?-\d\d?$", r"^\d\d?:\d\d(:\d\d(\.\d*)?)?$"
_USUAL = (
    "user",
    "userid",
    "uid",
    "item",
    "itemid",
    "iid",
    "movie",
    "movieid",
    "product",
    "productid",
    "artist",
    "artistid",
)
_MOSTLY = 0.9
_SCALE = 25  # a scale of ratings has no more steps than that


def _lines(path: Path) -> pl.LazyFrame:
    # A separator that cannot occur in text: the whole line is one column.
    text = pl.scan_csv(
        path, separator="\x1f", has_header=False, new_columns=["line"], infer_schema=False, quote_char=None, glob=False
    )
    words = pl.col("line").str.strip_chars().str.replace_all(r"\s+", " ")
    return text.with_row_index("at", offset=1).select(pl.col("at"), words).filter(pl.col("line") != "")


def _width() -> pl.Expr:
    return pl.col("line").str.count_matches(" ") + 1


def _columns(path: Path, width: int) -> pl.LazyFrame:
    parts = pl.col("line").str.split_exact(" ", width - 1).struct
    fields = (parts.field(f"field_{k}").alias(f"column_{k + 1}") for k in range(width))
    return _lines(path).filter(_width() == width).select(*fields)


@dataclass(frozen=True)
class _Column:
    """Properties of the words of a column, without its header."""

    times: bool
    rating: bool
    decimals: bool
    distinct: int
    rows: int


def _look_at(column: pl.Series) -> _Column:
    numbers = column.str.contains(_NUMBER).all()
    times = bool(column.str.contains(_TIME).all())
    distinct = column.n_unique()
    rating = decimals = False
    if numbers and not times:
        values = column.cast(pl.Float64)
        # Polars types the minimum of any column as any of its types; here they are floats.
        low, high = float(values.min() or 0.0), float(values.max() or 0.0)  # type: ignore[arg-type]
        decimals = bool((values != values.round()).any()) or bool(column.str.contains(".", literal=True).all())
        rating = low >= -100 and high <= 100 and distinct <= (4 * _SCALE if decimals else _SCALE)
        rating = rating or (decimals and distinct > 2)
    return _Column(times, rating, decimals, distinct, column.len())


def _header(table: pl.DataFrame) -> bool:
    """Whether the first row is a header: words above columns of numbers."""
    if table.height < 2:
        return False
    first = [str(table[name][0]) for name in table.columns]
    numbers = [bool(table[1:][name].str.contains(_NUMBER).all()) for name in table.columns]
    words = all(re.fullmatch(r"[^\W\d][\w:]*", word) for word in first)
    usual = all(re.sub(r"[^a-z]", "", word.lower().split(":")[0]) in _USUAL for word in first[:2])
    return words and (any(numbers) or usual)


def _names(path: Path, width: int) -> tuple[list[str] | None, bool, bool]:
    """(names of columns or None if this is not a table, whether the first row is a header, whether that is certain)."""
    table = _columns(path, width).collect()
    header = _header(table)
    if header:
        return [str(table[name][0]) for name in table.columns], True, True
    looks = [_look_at(table[name]) for name in table.columns]
    again = looks[0].distinct <= 0.8 * looks[0].rows
    third, rest = looks[2], looks[3:]
    # In sequences, the third word is an item like the second, with about as many distinct values.
    fewer = third.distinct <= 0.5 * looks[1].distinct
    third = replace(third, times=third.times and not looks[1].times)
    if width == 3 and third.times:
        return ["user", "item", "timestamp"], False, True
    if width == 4 and table["column_3"].str.contains(_DATE).all() and table["column_4"].str.contains(_CLOCK).all():
        return ["user", "item", "timestamp", "clock"], False, True
    if width == 4 and third.times and rest[0].rating:
        return ["user", "item", "timestamp", "rating"], False, True
    if not third.rating:
        return None, False, not again
    if width == 4 and not rest[0].times:
        return ["user", "item", "rating", "column_4"], False, third.decimals and again
    names = ["user", "item", "rating", "timestamp"][:width]
    return names, False, width == 4 or third.decimals or (again and fewer)


def decide_blanks(path: Path, source: Path) -> str:
    """Which of `BLANK_FORMATS` a file is, by the words on all of its lines.

    Raises:
        FormatError: two readings fit, or one line of many differs from the others; the message gives the option or the line.
    """
    widths = _lines(path).group_by(_width().alias("width")).agg(pl.len(), pl.col("at").min()).collect()
    usual = widths.sort("len", descending=True).row(0, named=True)
    width, rows = int(usual["width"]), int(widths["len"].sum())
    if widths.height == 1 and width == 1:
        raise FormatError(f"{source}: each line is one word; each line must have a user and an item")
    if width in (3, 4) and usual["len"] >= _MOSTLY * rows and usual["len"] > 1:
        names, _, certain = _names(path, width)
        if names is not None and certain:
            return "blanks"
        if names is not None or not certain:
            as_table = ", ".join(names or ["user", "item", *(f"column_{k}" for k in range(3, width + 1))])
            raise FormatError(
                f"{source}: {width} words per line may be a table of {as_table} (--format blanks) or a user and "
                f"{width - 1} items per line (--format sequences); choose one"
            )
    if width > 4 and widths.height == 1 and rows > 1:
        looks = [_look_at(column) for column in _columns(path, width).collect()]
        if any(look.times for look in looks[2:]) and not looks[1].times:
            raise FormatError(
                f"{source}: {width} words per line, some of them times, may be a table (--format blanks) or a user and "
                f"{width - 1} items per line (--format sequences); choose one"
            )
    if width == 2 and usual["len"] >= _MOSTLY * rows and usual["len"] > 1:
        return "pairs"
    if width == 2 and widths.height == 1:
        return "pairs"
    return "sequences"


def _odd_line(path: Path, width: int) -> tuple[int, str] | None:
    odd = _lines(path).filter(_width() != width).head(1).collect()
    return None if odd.is_empty() else (int(odd["at"][0]), str(odd["line"][0]))


def _pairs(path: Path, source: Path) -> Scan:
    odd = _odd_line(path, 2)
    if odd is not None:
        raise FormatError(
            f"{source}: line {odd[0]:,}: 'user item' was expected on every line, not {odd[1][:60]!r}; "
            "--format sequences for longer ones"
        )
    table = _columns(path, 2)
    first = table.head(1_000).collect()
    header = _header(first)
    names = [str(first[name][0]) for name in first.columns] if header else ["user", "item"]
    said = f"with the header {' '.join(names)}" if header else "user and item on each line, by position"
    return Scan(table=_renamed(table, names, header=header), notes=(remark(f"file read as pairs: {said}"),))


def _renamed(table: pl.LazyFrame, names: list[str], *, header: bool) -> pl.LazyFrame:
    olds = table.collect_schema().names()
    return table.slice(1 if header else 0).rename(dict(zip(olds, names, strict=True)))


def _table(path: Path, source: Path) -> Scan:
    widths = _lines(path).group_by(_width().alias("width")).len().sort("len", "width", descending=True).collect()
    width = int(widths["width"][0])
    odd = _odd_line(path, width)
    if odd is not None:
        raise FormatError(
            f"{source}: line {odd[0]:,}: {width} fields separated by blanks were expected, as on the other lines, not "
            f"{len(odd[1].split(' '))}: {odd[1][:60]!r}"
        )
    if width < 3:
        return _pairs(path, source)
    names, header, _ = _names(path, width)
    names = names or ["user", "item", *(f"column_{k}" for k in range(3, width + 1))]
    said = "as its header says" if header else "by position and content"
    note = remark(f"file read as a table with blanks between, columns {', '.join(names)} {said}")
    table = _renamed(_columns(path, width), names, header=header)
    if names[3:] == ["clock"]:  # the blank within a date and its time of day
        table = table.select("user", "item", pl.concat_str("timestamp", "clock", separator=" "))
    return Scan(table=table, notes=(note,))


def _sequences(path: Path) -> Scan:
    words = pl.col("line").str.split(" ").list
    table = (
        _lines(path)
        .select(words.first().alias("user"), words.slice(1).alias("item"))
        .filter(pl.col("item").list.len() > 0)
        .explode("item")
    )
    alone = int(_lines(path).filter(_width() == 1).select(pl.len()).collect().item())
    notes = [remark("file read as a user and a sequence of items per line")]
    if alone:
        notes.append(remark("lines with a user but no item", alone))
    return Scan(table=table, notes=tuple(notes))


def scan_blanks(path: Path, fmt: str, source: Path) -> Scan:
    """The table of a file in UTF-8 with fields separated by blanks, every column as text.

    Raises:
        FormatError: a line has another number of fields; the message gives the line.
    """
    if fmt == "sequences":
        return _sequences(path)
    return _pairs(path, source) if fmt == "pairs" else _table(path, source)
