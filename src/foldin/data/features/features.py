"""Typed columns of items or users, fitted on the training rows, as a sparse matrix with names."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse

from foldin.data.catalog import Catalog
from foldin.data.features.columns import FeatureColumn, FittedColumn, column_of
from foldin.data.features.kinds import columns_of
from foldin.data.features.numbers import FittedNumbers
from foldin.data.features.terms import FittedTerms
from foldin.data.features.vectors import FittedVectors
from foldin.data.frames import to_polars
from foldin.display import Display, Displayed
from foldin.errors import DataError, ShapeError
from foldin.files import write_text
from foldin.tensors import Array, Bool

__all__ = ["Features"]

_KINDS: dict[str, type[FittedColumn]] = {one.kind: one for one in (FittedTerms, FittedNumbers, FittedVectors)}


@dataclass(frozen=True, eq=False, repr=False)
class Features(Displayed):
    """Features as columns of a matrix, with everything that was fitted on the training rows: vocabularies, means, scales.

    The same object transforms rows that were not there in training. A category or a word that no training row has is left out, so
    that a row with unknown values alone is a row of zeros.

    Args:
        columns: the fitted columns, in the order of the matrix.
    """

    columns: tuple[FittedColumn, ...]

    @classmethod
    def fit(
        cls,
        table: Any,
        columns: Sequence[FeatureColumn] | None = None,
        *,
        training: Bool[Array, " rows"] | None = None,
    ) -> "Features":
        """Features fitted on the training rows of a table.

        Args:
            table: a row for each item or user, of pandas, Polars, PyArrow or any library with the Arrow stream interface.
            columns: how each column is read: `Categories`, `Text`, `Numbers` or `Vectors`. By default all columns but ids and
                `count`, by their types.
            training: mask of the rows that are fitted on; all when None.

        Raises:
            DataError: a column is missing or of another type, or there is no training row.
            ShapeError: the mask has another length than the table.
        """
        rows = to_polars(table, "features")[0]
        mask = np.ones(rows.height, dtype=bool) if training is None else training
        if mask.shape != (rows.height,):
            raise ShapeError(f"features: a mask of {len(mask):,} training rows for {rows.height:,} rows")
        if not mask.any():
            raise DataError("features: there is no training row, so that nothing can be fitted")
        known = rows.filter(pl.Series(mask))
        chosen = columns_of(known) if columns is None else columns
        return cls(tuple(one.fit(column_of(known, one.column)) for one in chosen))

    @classmethod
    def of_catalog(cls, catalog: Catalog, names: Sequence[str] = ()) -> "Features":
        """The features of a catalog, fitted on the items that have training events.

        Args:
            names: names of the columns; all but ids and counts when empty.

        Raises:
            DataError: the catalog has no such column, or no item with a training event.
        """
        known = ~catalog.cold
        if not known.any():
            raise DataError("features: no item of the catalog has a training event, so that nothing can be fitted")
        chosen = columns_of(catalog.table.filter(pl.Series(known)), names)
        return cls.fit(catalog.table, chosen, training=known)

    def __len__(self) -> int:
        """Number of columns of the matrix."""
        return len(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each column of the matrix, such as `genres=Comedy`, `year` or `year is missing`."""
        return tuple(name for one in self.columns for name in one.names)

    def transform(self, table: Any) -> scipy.sparse.csr_array:
        """The matrix of some rows, rows × columns, float32.

        Args:
            table: a table with the fitted columns, or a `Catalog`.

        Raises:
            DataError: a column is missing, or of another type than the fitted one.
        """
        rows = table.table if isinstance(table, Catalog) else to_polars(table, "features")[0]
        blocks = [one.transform(column_of(rows, one.column)) for one in self.columns]
        return scipy.sparse.csr_array(scipy.sparse.hstack(blocks, format="csr"), dtype=np.float32)

    def display(self) -> Display:
        rows = [(one.column, one.kind, f"{len(one.names):,}") for one in self.columns]
        return Display(title=f"Features: {len(self):,} columns", head=("", "kind", "columns"), rows=rows)

    def as_dict(self) -> dict[str, Any]:
        """Everything that was fitted, ready for JSON."""
        return {"columns": [{"kind": one.kind, **one.as_dict()} for one in self.columns]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Features":
        """The features that `as_dict` gave.

        Raises:
            DataError: `stored` is something else.
        """
        try:
            return cls(tuple(_KINDS[one["kind"]].from_dict(one) for one in stored["columns"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"features: what is stored cannot be used: {type(error).__name__}: {error}") from error

    def save(self, path: Path) -> None:
        """Write the features to a JSON file, atomically."""
        write_text(path, json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Features":
        """The features in a file that `save` wrote.

        Raises:
            DataError: the file cannot be read, or holds something else.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read as features: {error}") from error
        return cls.from_dict(stored)
