"""Titles and features of items from a second file, joined to the items of a log."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from foldin.data.local_copy import named_file
from foldin.data.log.attributes import typed
from foldin.data.log.columns import item_kinds, listed
from foldin.data.log.formats import open_table, text_lines
from foldin.data.log.report import Note
from foldin.data.log.spellings import TITLE, plain_name
from foldin.data.log.text_ids import check_exact, has_text, text_ids
from foldin.errors import ColumnError, DataError

__all__ = ["COMPANIONS", "items_of", "join_items", "open_items", "read_items"]

# Files with these names beside a log are joined to it automatically.
COMPANIONS = ("movies.csv", "movies.dat", "u.item", "items.csv", "artists.dat")
_WITH_TYPES = (
    "parquet",
    "ndjson",
    "json",
)  # formats in which text of digits is other than a number, and lists are lists
_U_ITEM_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def _movielens_dat(path: Path) -> pl.DataFrame:
    rows = [line.split("::") for line in text_lines(path) if line]
    bad = next((i for i, row in enumerate(rows) if len(row) != 3), None)
    if bad is not None:
        raise DataError(f"{path}: line {bad + 1}: 'id::title::genres' was expected, not {len(rows[bad])} fields")
    return pl.DataFrame(rows, schema=["item", "title", "genres"], orient="row")


def _movielens_100k(path: Path) -> pl.DataFrame:
    rows = [line.split("|") for line in text_lines(path) if line]
    bad = next((i for i, row in enumerate(rows) if len(row) != 24), None)
    if bad is not None:
        raise DataError(f"{path}: line {bad + 1}: 24 fields were expected, not {len(rows[bad])}")
    genres = ["|".join(g for g, flag in zip(_U_ITEM_GENRES, row[5:], strict=True) if flag == "1") for row in rows]
    return pl.DataFrame({"item": [r[0] for r in rows], "title": [r[1] for r in rows], "genres": genres})


def _key(table: pl.DataFrame, ids: pl.Series | None) -> tuple[str, list[Note]]:
    """(the column of item ids, notes): found by its usual name, and checked against the ids of the log if they are given."""
    names = table.columns
    plain = {plain_name(name): name for name in names}
    usual = [name for kind in item_kinds(names) for name in kind] + ([plain["id"]] if "id" in plain else [])
    first = usual[0] if usual else names[0]
    if ids is None:
        return first, []
    known = ids.to_list()
    flat = [name for name in dict.fromkeys([first, *usual, *names]) if has_text(table[name])]
    joined = {name: int(text_ids(table[name]).unique().is_in(known).sum()) for name in flat}
    if not joined or joined.get(first):
        return first, []
    best = max(joined, key=lambda name: joined[name])
    if 2 * joined[best] < min(len(known), table.height):
        return first, []  # a few values that are equal by chance do not make a key
    text = f"items are joined by the column {best!r}: of {first!r} no value is an item of the log"
    return best, [Note(text, joined[best], dropped=False)]


def open_items(
    source: str | Path, *, item: str | None = None, ids: pl.Series | None = None, as_stored: bool = False
) -> tuple[pl.DataFrame, list[Note]]:
    """(the table of `read_items`, notes on how it was read).

    Args:
        source: path or URL of the file.
        ids: item ids of the log, by which the column of ids is chosen if its name is misleading.
        as_stored: whether features of a file that has types (Parquet and JSON) stay as they are there: lists stay lists, and text
            of digits stays text.

    Raises:
        DataError, ColumnError: as `read_items`.
    """
    path, shown = named_file(source)
    if not path.is_file():
        raise DataError(f"{shown}: no such file")
    if path.name == "u.item":
        return _typed_items(_movielens_100k(path))
    with open_table(path) as opened:
        lazy, fmt = opened
        table = _movielens_dat(path) if fmt == "movielens" else lazy.collect()
    reading = [replace(note, text=f"in {path.name}: {note.text}") for note in opened.notes]
    if fmt == "movielens":
        return _typed_items(table)
    stored = as_stored and fmt in _WITH_TYPES
    found, notes = items_of(table, shown, item=item, ids=ids, as_stored=stored)
    return found, reading + notes


def items_of(
    table: pl.DataFrame,
    source: str,
    *,
    item: str | None = None,
    ids: pl.Series | None = None,
    as_stored: bool = False,
) -> tuple[pl.DataFrame, list[Note]]:
    """(the table of `read_items`, notes on how it was read) of a table whose columns are found by their names.

    Args:
        source: name of the table, for messages.
        item: name of the column of item ids, if it is unusual.
        ids: item ids of the log, by which the column of ids is chosen if its name is misleading.
        as_stored: whether features stay as they are in the table.

    Raises:
        ColumnError: `item` is not a column, or its ids are floating-point numbers too large to be exact.
    """
    if item is not None and item not in table.columns:
        raise ColumnError(f"{source}: no column {item!r}; there are {listed(table.columns)}")
    key, notes = (item, []) if item is not None else _key(table, ids)
    check_exact(table[key], source)
    plain = {plain_name(name): name for name in table.columns if name != key}
    title = next((plain[word] for word in map(plain_name, TITLE) if word in plain), None)
    named = _named(table, {key: "item"} | ({} if title is None else {title: "title"}))
    found, more = _typed_items(named, as_stored=as_stored)
    return found, notes + more


def _typed_items(table: pl.DataFrame, *, as_stored: bool = False) -> tuple[pl.DataFrame, list[Note]]:
    reserved = {name: _free(f"{name}_", table) for name in ("count",) if name in table.columns}
    table = table.rename(reserved).with_columns(text_ids(table["item"]).alias("item")).drop_nulls("item")
    if "title" in table.columns:
        table = table.with_columns(pl.col("title").cast(pl.String, strict=False))
    found, notes = (table, []) if as_stored else typed(table)
    if "is_active" not in found.columns:
        return found, notes
    column = found["is_active"]
    if column.null_count() == column.len():
        return found.drop("is_active"), notes
    active = _truth(column)
    if active is not None:
        return found.with_columns(active), notes
    name = _free("is_active_", found)
    text = f"the column 'is_active' has other values than true and false, or 1 and 0, and is the feature {name!r}"
    return found.rename({"is_active": name}), [*notes, Note(text, column.len(), dropped=False)]


def _truth(column: pl.Series) -> pl.Series | None:
    """A column of truth values, of 0 and 1, or of text with these, as truth values; None if it has others."""
    words = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False, "": None}
    if not has_text(column):
        return None
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    if not text.drop_nulls().is_in(list(words)).all():
        return None
    return text.replace_strict(words, return_dtype=pl.Boolean)


def _free(name: str, table: pl.DataFrame) -> str:
    """A name that no column has."""
    while name in table.columns:
        name += "_"
    return name


def _named(table: pl.DataFrame, names: dict[str, str]) -> pl.DataFrame:
    """The table with renamed columns, without other columns that already have one of the new names."""
    taken = [name for name in names.values() if name in table.columns and name not in names]
    return table.rename({name: f"{name}_" for name in taken} | names)


def read_items(path: str | Path, *, item: str | None = None) -> pl.DataFrame:
    """A table with `item` (text), `title` if the file has one, and every other column as a typed feature.

    A column `is_active` of truth values, or of 1 and 0, is no feature: it says which items may be listed.

    Features of only numbers, truth values or dates get that type; several values of an item are one text with "|" between them.

    Args:
        path: path or URL of `movies.dat`, `movies.csv` or `u.item` of MovieLens, or of any table; the item column is found by
            its usual names (otherwise the first column is used), and the title is called title or name.
        item: name of the column of item ids, if it is unusual.

    Raises:
        DataError: no such file, or a line with another number of fields.
        ColumnError: `item` is not a column.
    """
    return open_items(path, item=item)[0]


def join_items(ids: pl.Series, items: pl.DataFrame, source: str) -> tuple[pl.DataFrame, list[Note]]:
    """(a table of `item`, title and features of the items of a log, notes on items without a match).

    Raises:
        ColumnError: no item is in both tables.
    """
    table = pl.DataFrame({"item": ids})
    met = int(ids.is_in(items["item"].to_list()).sum())
    if met == 0:
        here = "nothing" if items.is_empty() else repr(items["item"][0])
        raise ColumnError(
            f"{source}: describes none of the log's {ids.len():,} items: {here} there, {ids[0]!r} in the log; "
            f"the ids must be written alike"
        )
    once = items.unique("item", keep="first", maintain_order=True)
    notes = [
        Note(f"lines of {source} repeat an item; the first line is used", items.height - once.height, dropped=False)
    ]
    if met < ids.len():
        lacking = ids.filter(~ids.is_in(items["item"].to_list()))
        notes.append(
            Note(
                f"of {ids.len():,} items are not described in {source}; the first: {lacking[0]!r}",
                lacking.len(),
                dropped=False,
            )
        )
    return table.join(once, on="item", how="left", maintain_order="left"), notes
