"""Count, mean and spread of the outcomes of an arm of an experiment, kept while they come in and merged from many places."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64

__all__ = ["RunningMean"]


@dataclass(frozen=True, eq=False)
class RunningMean:
    """Count, mean and squared deviations of outcomes: all that the intervals of `anytime.py` need to know of an arm.

    The sum of two is that of both sets of outcomes together, so that k processes that count give the answer of one. The fields
    are numbers, or arrays of equal shape with an entry for each look at the data. A unit that was assigned to the arm (a user,
    say) is one outcome; events of one user are not independent, and are to be summed or averaged first.

    Args:
        count: number of outcomes, n.
        mean: their mean m; arbitrary where n is 0.
        squares: Σ (y − m)².

    Raises:
        ShapeError: a count or a sum of squares below 0, or a number that is not finite.
    """

    count: Float64[Array, "..."]
    mean: Float64[Array, "..."]
    squares: Float64[Array, "..."]

    def __post_init__(self) -> None:
        arrays = np.broadcast_arrays(
            *(np.asarray(one, dtype=np.float64) for one in (self.count, self.mean, self.squares))
        )
        for name, values in zip(("count", "mean", "squares"), arrays, strict=True):
            if not np.isfinite(values).all() or (name != "mean" and (values < 0.0).any()):
                raise ShapeError(f"{name}: finite numbers{'' if name == 'mean' else ' of at least 0'} were expected")
            object.__setattr__(self, name, values)

    @classmethod
    def of(cls, outcomes: Sequence[float] | Float64[Array, " outcomes"]) -> "RunningMean":
        """That of some outcomes; none are allowed."""
        values = np.asarray(outcomes, dtype=np.float64)
        if len(values) == 0:
            return cls(*(np.zeros(()),) * 3)
        mean = values.mean()
        return cls(np.asarray(float(len(values))), mean, np.square(values - mean).sum())

    @classmethod
    def along(cls, outcomes: Float64[Array, "... outcomes"]) -> "RunningMean":
        """That of the first outcome, of the first two, and so on, along the last axis: what a look at any time would have met."""
        values = np.asarray(outcomes, dtype=np.float64)
        shift = values[..., :1]  # sums of deviations from any outcome lose nothing to a common offset
        count = np.arange(1.0, values.shape[-1] + 1.0)
        away = values - shift
        mean = np.cumsum(away, axis=-1) / count
        squares = np.maximum(np.cumsum(np.square(away), axis=-1) - count * np.square(mean), 0.0)
        return cls(np.broadcast_to(count, values.shape), shift + mean, squares)

    def __add__(self, other: "RunningMean") -> "RunningMean":
        """That of both sets of outcomes.

        Source: chan1983, eqs. 1.5.
        """
        count = self.count + other.count
        share = other.count / np.maximum(count, 1.0)
        apart = other.mean - self.mean
        squares = self.squares + other.squares + self.count * share * np.square(apart)
        return RunningMean(count, self.mean + share * apart, squares)

    def __getitem__(self, at: Any) -> "RunningMean":
        """That of some of the looks."""
        return RunningMean(self.count[at], self.mean[at], self.squares[at])

    @property
    def variance(self) -> Float64[Array, "..."]:
        """Σ (y − m)² / (n − 1); 0 for fewer than two outcomes."""
        return self.squares / np.maximum(self.count - 1.0, 1.0)
