"""Vectors that the caller gives, such as the output of an encoder of texts or pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse

from foldin.data.features.columns import FeatureColumn, FittedColumn
from foldin.errors import DataError
from foldin.tensors import Array, Float64

__all__ = ["FittedVectors", "Vectors"]


@dataclass(frozen=True, kw_only=True)
class Vectors(FeatureColumn):
    """A column of vectors of one width, divided by the root mean square of the lengths of those of the training items."""

    def fit(self, values: pl.Series) -> "FittedVectors":
        width = next((len(one) for one in values.to_list() if one is not None), 0)
        if width == 0:
            raise DataError(f"features: {self.column}: no training item has a vector")
        dense = _dense(values, width, self.column)
        squares = (dense**2).sum(axis=1)[values.is_not_null().to_numpy()]
        length = float(np.sqrt(squares.mean()))
        return FittedVectors(self, width, length if length > 0.0 else 1.0)


def _dense(values: pl.Series, width: int, column: str) -> Float64[Array, "rows width"]:
    """The vectors as rows; zeros for a missing one."""
    dtype = values.dtype
    if dtype != pl.Null and not (isinstance(dtype, pl.List | pl.Array) and dtype.inner.is_numeric()):
        raise DataError(f"features: {column}: lists of numbers were expected, not {dtype}")
    found = np.zeros((values.len(), width))
    for row, one in enumerate(values.to_list()):
        if one is None:
            continue
        if len(one) != width or not np.isfinite(np.array(one, np.float64)).all():
            raise DataError(
                f"features: {column}: row {row + 1:,}: {width} finite numbers were expected, not {one!r:.60}"
            )
        found[row] = one
    return found


@dataclass(frozen=True, eq=False)
class FittedVectors(FittedColumn):
    """The scale of a column of vectors.

    Args:
        of: the column.
        width: numbers of each vector.
        length: root mean square of the training items' lengths.
    """

    kind = "vectors"
    of: Vectors
    width: int
    length: float

    @property
    def column(self) -> str:  # type: ignore[override]
        return self.of.column

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.of.column}[{at}]" for at in range(self.width))

    def transform(self, values: pl.Series) -> scipy.sparse.csr_array:
        dense = _dense(values, self.width, self.of.column)
        return scipy.sparse.csr_array(self.of.weight / self.length * dense)

    def as_dict(self) -> dict[str, Any]:
        of = {"column": self.of.column, "weight": self.of.weight}
        return {"of": of, "width": self.width, "length": self.length}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "FittedVectors":
        return cls(Vectors(**stored["of"]), stored["width"], stored["length"])
