"""How the columns of a catalog are read if nothing is said about them."""

from collections.abc import Sequence

import polars as pl

from foldin.data.features.columns import FeatureColumn, column_of
from foldin.data.features.numbers import Numbers
from foldin.data.features.terms import Categories, Text
from foldin.data.features.vectors import Vectors
from foldin.data.log.columns import proposals
from foldin.data.log.spellings import plain_name, stem
from foldin.errors import DataError, warn

__all__ = ["columns_of"]

_NO_FEATURES = ("item", "count", "is_active")


def columns_of(table: pl.DataFrame, names: Sequence[str] = ()) -> list[FeatureColumn]:
    """How the columns of a table of items are read, by their types.

    Numbers and dates are numbers, truth values and lists of text are categories, lists of numbers are vectors. A column of text
    is one of categories if a value has a "|" or if the values are at most half as many as the items, and one of words otherwise;
    the title is always one of words.

    Args:
        names: names of the columns; all but the ids and the counts of the items, and whether they are active, when empty. Ids
            under another usual name, such as `movieId`, are left out with a line of the logger `foldin`.

    Raises:
        DataError: the table has no such column, or no column at all besides ids and counts.
    """
    left_out = () if names else (*_NO_FEATURES, _ids_of(table))
    wanted = list(names) or [name for name in table.columns if name not in left_out]
    if not wanted:
        raise DataError("features: the catalog has only ids of items; read the log with a table of items (items=…)")
    return [_read_as(column_of(table, name)) for name in wanted]


def _ids_of(table: pl.DataFrame) -> str | None:
    """The column of ids of a table without the column `item`, by its name: `user`, `id`, or a name that ends in an id."""
    if "item" in table.columns:
        return None
    found = proposals(table.columns)
    named = [*found["item"], *found["user"], *(name for name in table.columns if plain_name(name) == "id")]
    ids = next(
        (name for name in named if name == "user" or stem(plain_name(name)) != plain_name(name) or name == "id"), None
    )
    if ids is not None:
        warn(f"features: the column {ids!r} is left out, as ids of the rows; state columns=… to read it")
    return ids


def _read_as(values: pl.Series) -> FeatureColumn:
    name, dtype = values.name, values.dtype
    if isinstance(dtype, pl.List | pl.Array):
        return Vectors(column=name) if dtype.inner.is_numeric() else Categories(column=name)
    if dtype.is_numeric() or dtype.is_temporal():
        return Numbers(column=name)
    if dtype == pl.String and (name == "title" or not _few(values)):
        return Text(column=name)
    return Categories(column=name)


def _few(values: pl.Series) -> bool:
    there = values.drop_nulls()
    return bool(there.str.contains("|", literal=True).any()) or 2 * there.n_unique() <= there.len()
