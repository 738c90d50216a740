"""What a fit returns, and the checks that every fit shares."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.distributions import Distribution

from foldin.display import Display, Displayed, numbers
from foldin.errors import FitError, ShapeError
from foldin.tensors import Array, Float64, Shaped, Tensor

__all__ = ["Fitted", "Scaled", "Values", "Weights", "checked", "fitted", "number", "refuse_equal", "scaled"]

Weights = Array | None
_LARGE = 1000  # binary exponent from which a difference of two floats may overflow


@dataclass(frozen=True, eq=False, repr=False)
class Fitted(Displayed):
    """A maximum-likelihood estimate.

    Args:
        distribution: at the estimate, float64.
        standard_errors: of each parameter by its name in `torch.distributions`, from the information of the data: the
            curvature of their log-likelihood at its maximum.
        log_likelihood: weighted sum of log p(x), in nats. It is worked out without PyTorch's densities, which lose digits
            where parameters are very large or very small.
    """

    distribution: Distribution
    standard_errors: Mapping[str, Float64[Tensor, "..."]]
    log_likelihood: float

    def display(self) -> Display:
        rows = [
            (name, numbers(getattr(self.distribution, name).flatten().tolist()), numbers(error.flatten().tolist()))
            for name, error in self.standard_errors.items()
        ]
        return Display(
            title=f"{type(self.distribution).__name__} by maximum likelihood: {self.log_likelihood:,.4f} nats",
            head=("parameter", "estimate", "standard error"),
            rows=rows,
        )


class Values(NamedTuple):
    """Observations of positive weight, float64 and inside the support.

    Args:
        x: the observations.
        p: their weights, divided by the sum.
        total: the sum of weights.
    """

    x: Float64[Array, "n ..."]
    p: Float64[Array, " n"]
    total: float


def _numbers(values: Array, name: str, what: str) -> Float64[Array, "..."]:
    try:
        kind = np.asarray(values).dtype.kind
        if kind in "biuf":
            return np.asarray(values, dtype=np.float64)
        if kind == "O":
            return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        pass
    raise FitError(f"{name}: {what} must be real numbers in an array of one shape")


def checked(
    x: Array,
    weights: Weights,
    *,
    name: str,
    low: float = -np.inf,
    high: float = np.inf,
    open_ends: bool = False,
    whole: bool = False,
    axes: int = 1,
) -> Values:
    """The observations of positive weight, with their shares of the weight.

    Args:
        low, high: the support; `open_ends` leaves its ends out.
        whole: whether values must be whole numbers.
        axes: of the array, observations first.

    Raises:
        ShapeError: another number of axes, no values, or weights of another number.
        FitError: values that are no numbers, a value outside the support (says which and where), a weight that is negative
            or not finite, weights that are all zero, or that add up to more than a float holds.
    """
    x = _numbers(x, name, "values")
    if x.ndim != axes or x.size == 0:
        raise ShapeError(f"{name}: an array of {axes} axes and at least one value was expected, not shape {x.shape}")
    outside = ~np.isfinite(x) | ((x <= low) | (x >= high) if open_ends else (x < low) | (x > high))
    if whole:
        outside |= x != np.floor(np.where(np.isfinite(x), x, 0.5))
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        ends = ("(", ")") if open_ends else ("[", "]")
        kind = "whole numbers" if whole else "numbers"
        raise FitError(
            f"{name}: {int(outside.sum()):,} of {x.size:,} values are not {kind} in {ends[0]}{low:g}, {high:g}{ends[1]}; "
            f"first at {at[0] if len(at) == 1 else at}: {x[at]:g}"
        )
    if weights is None:
        return Values(x, np.full(len(x), 1.0 / len(x)), float(len(x)))
    w = _numbers(weights, name, "weights")
    if w.shape != (len(x),):
        raise ShapeError(f"{name}: {len(x)} values and weights of shape {w.shape}")
    bad = ~np.isfinite(w) | (w < 0)
    if bad.any():
        first = int(bad.argmax())
        raise FitError(
            f"{name}: weights must be numbers that are not negative; the first that is not: {w[first]:g} at {first}"
        )
    most = float(w.max())
    if most <= 0.0:
        raise FitError(f"{name}: all weights are zero")
    relative = w / most
    total = most * float(relative.sum())
    if not math.isfinite(total):
        raise FitError(f"{name}: the weights add up to more than a float holds: divide them all by one number")
    kept = relative > 0.0
    return Values(x[kept], relative[kept] / relative.sum(), total)


def refuse_equal(x: Float64[Array, "n ..."], name: str, edge: str) -> None:
    """Checks that the values are not all one value, where the likelihood has no maximum.

    Args:
        x: values of positive weight.
        name: of the family.
        edge: what the parameters go to.

    Raises:
        FitError: they are; says what the parameters go to.
    """
    if (x == x[0]).all():
        raise FitError(f"{name}: all values are equal: the likelihood has no maximum, it grows without bound as {edge}")


class Scaled(NamedTuple):
    """x = origin + d · 2^exponent, with |d| at most 1, so that squares neither overflow nor vanish.

    Args:
        d: deviations.
        origin: of each column, or of all where x has one axis.
        exponent: of each column, or of all.
    """

    d: Float64[Array, "n ..."]
    origin: Float64[Array, "..."] | float
    exponent: Shaped[Array, "..."] | np.integer

    def back(self, d: float | Array) -> Array:
        """A place, in units of x."""
        halved = (self.exponent > _LARGE).astype(np.int64)  # so that no term overflows where their sum does not
        return np.asarray(np.ldexp(np.ldexp(self.origin, -halved) + np.ldexp(d, self.exponent - halved), halved))

    def log_unit(self) -> Array:
        """Logarithm of the unit of d."""
        return np.asarray(self.exponent * math.log(2.0))


def scaled(x: Float64[Array, "n ..."]) -> Scaled:
    """Each column less its median value, in units of a power of two: both exact where values are near to each other."""
    origin = np.sort(x, axis=0)[len(x) // 2]
    halved = (np.frexp(np.abs(x).max(axis=0))[1] > _LARGE).astype(np.int64)
    d = np.ldexp(x, -halved) - np.ldexp(origin, -halved)
    exponent = np.frexp(np.abs(d).max(axis=0))[1]
    return Scaled(np.ldexp(d, -exponent), origin, (exponent + halved).astype(np.int64))


def number(value: float | Array) -> Float64[Tensor, "..."]:
    """A float64 tensor."""
    return torch.as_tensor(value, dtype=torch.float64)


def fitted(
    name: str,
    kind: Callable[..., Distribution],
    parameters: Mapping[str, float | Array],
    errors: Mapping[str, float | Array],
    log_likelihood: float,
) -> Fitted:
    """The result.

    Raises:
        FitError: a parameter that a float does not hold.
    """
    tensors = {key: number(value) for key, value in parameters.items()}
    for key, value in tensors.items():
        outside = not bool(torch.isfinite(value).all())
        if outside or (key in ("scale", "rate", "concentration", "scale_tril") and not _positive(value)):
            raise FitError(
                f"{name}: {key} at the maximum is beyond what a float holds: multiply the values by a constant"
            )
    return Fitted(kind(**tensors), {key: number(value) for key, value in errors.items()}, float(log_likelihood))


def _positive(value: Tensor) -> bool:
    return bool((value.diagonal(dim1=-2, dim2=-1) if value.ndim > 1 else value).gt(0).all())
