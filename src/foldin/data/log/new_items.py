"""Further items after those of a log or of a catalog: a table of items, joined to one that is there."""

from typing import Any

import polars as pl

from foldin.data.frames import to_polars
from foldin.data.log.items import items_of
from foldin.data.log.report import Note
from foldin.errors import ColumnError

__all__ = ["with_new_items"]


def with_new_items(known: pl.DataFrame, items: Any, what: str) -> tuple[pl.DataFrame, int, list[Note]]:
    """(the items that are there and, after them, those of a table that are not, number of the latter, notes on the reading).

    Args:
        known: table with a column `item`.
        items: a table of items as for `read_log`, of pandas, Polars, PyArrow or any library with the Arrow stream interface.
        what: what has the known items, for messages.

    Raises:
        DataError: `items` is not a table.
        ColumnError: a feature of the table has another type than the known one of its name.
    """
    # The column of ids is found by its name alone: no value of it has to be a known item.
    table, notes = items_of(to_polars(items, "the table of items")[0], "the table of items")
    new = table.filter(~pl.col("item").is_in(known["item"].to_list()))
    new = new.unique("item", keep="first", maintain_order=True)
    for name in set(known.columns) & set(new.columns):
        here, there = known[name].dtype, new[name].dtype
        if here != there and pl.Null not in (here, there) and not (here.is_numeric() and there.is_numeric()):
            raise ColumnError(
                f"the table of items: its features have other types than those of {what}: {name!r} is {there}, not {here}"
            )
    return pl.concat([known, new], how="diagonal_relaxed"), new.height, notes
