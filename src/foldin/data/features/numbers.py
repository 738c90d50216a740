"""Numbers such as a year or a price: standardized by the training items, with an indicator of missing ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse

from foldin.data.features.columns import FeatureColumn, FittedColumn
from foldin.errors import DataError
from foldin.tensors import Array, Float64

__all__ = ["FittedNumbers", "Numbers"]


@dataclass(frozen=True, kw_only=True)
class Numbers(FeatureColumn):
    """A column of numbers or dates: (x − mean) / standard deviation, both of the training items; 0 for a missing number.

    A second column of the matrix is 1 where the number is missing, or is not finite.
    """

    def fit(self, values: pl.Series) -> "FittedNumbers":
        numbers = _numbers(values, self.column)
        there = numbers[np.isfinite(numbers)]
        mean = float(there.mean()) if len(there) else 0.0
        spread = float(there.std()) if len(there) else 0.0
        # Of equal numbers the deviation is 0 only up to rounding.
        varied = len(there) > 0 and float(there.min()) < float(there.max())
        return FittedNumbers(self, mean, spread if varied and spread > 0.0 else 1.0)


def _numbers(values: pl.Series, column: str) -> Float64[Array, " rows"]:
    """The values in double precision; NaN for a missing one."""
    if values.dtype.is_temporal():
        values = values.to_physical()
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise DataError(f"features: {column}: numbers or dates were expected, not {values.dtype}")
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)


@dataclass(frozen=True, eq=False)
class FittedNumbers(FittedColumn):
    """The scale of a column of numbers.

    Args:
        of: the column.
        mean: mean of the training items.
        spread: their standard deviation; 1 if all are equal.
    """

    kind = "numbers"
    of: Numbers
    mean: float
    spread: float

    @property
    def column(self) -> str:  # type: ignore[override]
        return self.of.column

    @property
    def names(self) -> tuple[str, ...]:
        return (self.of.column, f"{self.of.column} is missing")

    def transform(self, values: pl.Series) -> scipy.sparse.csr_array:
        numbers = _numbers(values, self.of.column)
        there = np.isfinite(numbers)
        scaled = np.where(there, (np.where(there, numbers, 0.0) - self.mean) / self.spread, 0.0)
        return scipy.sparse.csr_array(self.of.weight * np.column_stack((scaled, ~there)))

    def as_dict(self) -> dict[str, Any]:
        of = {"column": self.of.column, "weight": self.of.weight}
        return {"of": of, "mean": self.mean, "spread": self.spread}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "FittedNumbers":
        return cls(Numbers(**stored["of"]), stored["mean"], stored["spread"])
