"""Titles and attributes of items, from a second file."""

from pathlib import Path

import polars as pl

from foldin.data.columns import SPELLINGS, plain_name
from foldin.data.formats import open_table, text_lines
from foldin.errors import ColumnError, DataError

__all__ = ["COMPANIONS", "read_items"]

# Files that stand beside a log under these names are joined without being asked for.
COMPANIONS = ("movies.csv", "movies.dat", "u.item", "items.csv", "artists.dat")
_TITLES = ("title", "name", "itemname", "movietitle", "productname", "textid")
_U_ITEM_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def _movielens_dat(path: Path) -> pl.DataFrame:
    rows = [line.split("::") for line in text_lines(path) if line]
    bad = next((i for i, row in enumerate(rows) if len(row) != 3), None)
    if bad is not None:
        raise DataError(f"{path}: line {bad + 1}: 'id::title::genres' was expected, met {len(rows[bad])} fields")
    return pl.DataFrame(rows, schema=["item", "title", "genres"], orient="row")


def _movielens_100k(path: Path) -> pl.DataFrame:
    rows = [line.split("|") for line in text_lines(path) if line]
    bad = next((i for i, row in enumerate(rows) if len(row) != 24), None)
    if bad is not None:
        raise DataError(f"{path}: line {bad + 1}: 24 fields were expected, met {len(rows[bad])}")
    genres = ["|".join(g for g, flag in zip(_U_ITEM_GENRES, row[5:], strict=True) if flag == "1") for row in rows]
    return pl.DataFrame({"item": [r[0] for r in rows], "title": [r[1] for r in rows], "genres": genres})


def read_items(path: Path, *, item: str | None = None) -> pl.DataFrame:
    """A table with `item` (text), `title` where there is one, and every other column as it is.

    Args:
        path: MovieLens `movies.dat` / `movies.csv` / `u.item`, or any table whose item column is found by its usual
            spelling (the first column else) and whose title is called title or name.
        item: the column of item ids, when its name is unusual.

    Raises:
        DataError: no such file, or a line of another shape.
        ColumnError: `item` is not a column.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.name == "u.item":
        return _movielens_100k(path)
    with open_table(path) as (lazy, fmt):
        if fmt == "movielens":
            return _movielens_dat(path)
        names = lazy.collect_schema().names()
        if item is not None and item not in names:
            raise ColumnError(f"{path}: no column {item!r}; there are {', '.join(map(repr, names))}")
        plain = {plain_name(name): name for name in names}
        usual = (plain[s] for s in (*SPELLINGS["item"], "id") if s in plain)
        key = item or next(usual, names[0])
        title = next((plain[t] for t in _TITLES if t in plain and plain[t] != key), None)
        table = lazy.rename({key: "item"} | ({} if title is None else {title: "title"})).collect()
    reserved = {name: f"{name}_" for name in ("count",) if name in table.columns}
    return table.rename(reserved).with_columns(pl.col("item").cast(pl.String)).drop_nulls("item")
