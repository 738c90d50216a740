"""A table with the position of each row in its file, for messages."""

from dataclasses import dataclass

import polars as pl

from foldin.tensors import Array, Int64

__all__ = ["Rows"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a file.

    Args:
        table: the rows that remain.
        places: the position of each row in the file; None if no row was dropped.
    """

    table: pl.DataFrame
    places: Int64[Array, " n"] | None = None

    def where(self, keep: pl.Series) -> "Rows":
        """The rows for which `keep` is true."""
        at = keep.arg_true().to_numpy().astype("int64")
        return Rows(self.table.filter(keep), at if self.places is None else self.places[at])

    def number(self, at: int) -> int:
        """The row in the file, counted from 1, of a position in the table."""
        return 1 + (at if self.places is None else int(self.places[at]))
