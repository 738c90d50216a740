"""What every kind of feature column has: fitting on the training rows, names, and the columns of the matrix that it becomes."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import polars as pl
import scipy.sparse

from foldin.errors import DataError

__all__ = ["FeatureColumn", "FittedColumn", "column_of"]


@dataclass(frozen=True, kw_only=True)
class FeatureColumn(ABC):
    """A column of a table of items or users, and how it is read.

    Args:
        column: name of the column.
        weight: factor of all values of the column's matrix, against those of other columns.
    """

    column: str
    weight: float = 1.0

    @abstractmethod
    def fit(self, values: pl.Series) -> "FittedColumn":
        """What the training rows of the column say of its scale, or of the values that it has.

        Raises:
            DataError: the values are not of the kind that is read.
        """


class FittedColumn(ABC):
    """A column that has been fitted on training rows, and makes a part of the matrix of any rows."""

    kind: ClassVar[str]  # name of the class in files
    column: str

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """A name for each column of the matrix."""

    @abstractmethod
    def transform(self, values: pl.Series) -> scipy.sparse.csr_array:
        """The part of the matrix, rows × names, in double precision.

        Raises:
            DataError: the values are not of the kind that was fitted.
        """

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """What was fitted, ready for JSON."""

    @classmethod
    @abstractmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "FittedColumn":
        """The column that `as_dict` gave."""


def column_of(table: pl.DataFrame, name: str) -> pl.Series:
    """A column of a table by its name.

    Raises:
        DataError: the table has no such column.
    """
    if name not in table.columns:
        raise DataError(f"features: the table has no column {name!r}; there are {', '.join(table.columns)}")
    return table[name]
