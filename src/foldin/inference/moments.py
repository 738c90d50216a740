"""Sums of 1, x and x xᵀ in a form that stays precise wherever the points lie.

Raw sums lose the covariance of points far from the origin, since it is a small difference of large numbers. The weight, the mean,
and the scatter about that mean,

    n = Σ w,   m = Σ w x / n,   S = Σ w (x − m)(x − m)ᵀ

hold the same information; those of two data sets together are

    n = n₁ + n₂,   m = m₁ + n₂/n (m₂ − m₁),   S = S₁ + S₂ + n₁n₂/n (m₂ − m₁)(m₂ − m₁)ᵀ

Source: chan1983, eqs. 1.5.
"""

from dataclasses import dataclass

import numpy as np

from foldin.errors import FitError
from foldin.tensors import Array, Float64

__all__ = ["Moments", "scales"]

_TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True, eq=False)
class Moments:
    """Σ w (1, x, x xᵀ) of one or several weighted data sets, as weights, means and scatters, which can be added like the sums.

    Args:
        weight: n of each data set.
        mean: m of each data set; arbitrary where n is 0.
        scatter: S of each data set, as a matrix or its diagonal.
    """

    weight: Float64[Array, " components"]
    mean: Float64[Array, "components width"]
    scatter: Float64[Array, "components ..."]

    __array_ufunc__ = None  # lets a NumPy number times moments call __rmul__

    @classmethod
    def of(
        cls,
        x: Float64[Array, "points width"],
        weights: Float64[Array, " points"] | None = None,
        *,
        squares: bool = False,
    ) -> "Moments":
        """Moments of one data set, as one component; with `squares`, only the diagonal of the scatter."""
        w = np.ones(len(x)) if weights is None else weights
        weight = float(w.sum())
        mean = w @ x / max(weight, _TINY)
        mean = mean + w @ (x - mean) / max(weight, _TINY)  # corrects the rounding of the first sum
        away = x - mean
        scatter = w @ away**2 if squares else (away * w[:, None]).T @ away
        return cls(np.array([weight]), mean[None], scatter[None])

    def __add__(self, other: "Moments") -> "Moments":
        weight = self.weight + other.weight
        share = other.weight / np.maximum(weight, _TINY)
        apart = other.mean - self.mean
        # Computed from the heavier of the two, since the mean is arbitrary where there is no weight.
        mean = np.where(
            share[:, None] <= 0.5, self.mean + share[:, None] * apart, other.mean - (1.0 - share[:, None]) * apart
        )
        pull = self.weight * share
        between = np.sqrt(pull)[:, None] * np.where(pull[:, None] > 0, apart, 0.0)
        outer = between**2 if self.scatter.ndim == 2 else between[:, :, None] * between[:, None, :]
        return Moments(weight, mean, self.scatter + other.scatter + outer)

    def __rmul__(self, factor: float) -> "Moments":
        return Moments(factor * self.weight, self.mean, factor * self.scatter)

    @property
    def covariance(self) -> Float64[Array, "components ..."]:
        """S / n, or its diagonal; 0 where there is no data."""
        return self.scatter / np.maximum(self.weight, _TINY).reshape(-1, *(1 for _ in self.scatter.shape[1:]))

    def together(self) -> "Moments":
        """Moments of the data of all components together, as one component."""
        whole = Moments(self.weight[:1], self.mean[:1], self.scatter[:1])
        for k in range(1, len(self.weight)):
            whole = whole + Moments(self.weight[k : k + 1], self.mean[k : k + 1], self.scatter[k : k + 1])
        return whole


def scales(x: Float64[Array, "points width"], weights: Float64[Array, " points"] | None) -> Float64[Array, " width"]:
    """Standard deviation of each coordinate.

    A constant coordinate gets the root mean square of the standard deviations of the others, or 1 if all are constant.

    Raises:
        FitError: deviations whose squares are beyond double precision.
    """
    away = x - np.average(x, axis=0, weights=weights)
    furthest = np.abs(away).max(axis=0)
    if (furthest > 1e150).any() or ((furthest > 0) & (furthest < 1e-150)).any():
        at = int(np.argmax((furthest > 1e150) | ((furthest > 0) & (furthest < 1e-150))))
        raise FitError(
            f"coordinate {at} strays {furthest[at]:g} from its mean: the square is beyond double precision; rescale it"
        )
    spread = np.sqrt(np.average(away**2, axis=0, weights=weights))
    moves = x.min(axis=0) < x.max(axis=0)
    spread[~moves] = np.sqrt((spread[moves] ** 2).mean()) if moves.any() else 1.0
    return spread
