"""The result of a maximum-likelihood fit, and the checks that all fits share."""

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
        distribution: distribution with the estimated parameters, float64.
        standard_errors: standard error of each parameter, by its name in `torch.distributions`, from the information of the
            data: the curvature of the log-likelihood at its maximum.
        log_likelihood: weighted sum of log p(x), in nats. It is computed without PyTorch's densities, which lose digits
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
        p: weights of the observations, normalized to sum to 1.
        total: sum of the weights.
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
    """The observations of positive weight and their normalized weights, checked.

    Args:
        low, high: ends of the support, which `open_ends` excludes.
        whole: whether values must be whole numbers.
        axes: number of axes of the array, the first of which indexes the observations.

    Raises:
        ShapeError: another number of axes, no values, or another number of weights than of values.
        FitError: values that are not numbers, a value outside the support (the message says which and where), a weight that is
            negative or not finite, weights that are all zero, or weights whose sum overflows.
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
    """Check that not all values are equal, since the likelihood then has no maximum.

    Args:
        x: values of positive weight.
        name: name of the family.
        edge: limit of the parameters, in words.

    Raises:
        FitError: all values are equal; the message names the limit.
    """
    if (x == x[0]).all():
        raise FitError(f"{name}: all values are equal: the likelihood has no maximum, it grows without bound as {edge}")


class Scaled(NamedTuple):
    """Values x = origin + d · 2^exponent with |d| at most 1, so that squares neither overflow nor underflow.

    Args:
        d: deviations.
        origin: origin of each column, or of all values if x has one axis.
        exponent: exponent of each column, or of all values.
    """

    d: Float64[Array, "n ..."]
    origin: Float64[Array, "..."] | float
    exponent: Shaped[Array, "..."] | np.integer

    def back(self, d: float | Array) -> Array:
        """The value of x at a deviation d."""
        halved = (self.exponent > _LARGE).astype(np.int64)  # so that no term overflows where their sum does not
        return np.asarray(np.ldexp(np.ldexp(self.origin, -halved) + np.ldexp(d, self.exponent - halved), halved))

    def log_unit(self) -> Array:
        """Logarithm of the unit of d, 2^exponent."""
        return np.asarray(self.exponent * math.log(2.0))


def scaled(x: Float64[Array, "n ..."]) -> Scaled:
    """Each column minus its median, in units of a power of two; both operations are exact for values close to each other."""
    origin = np.sort(x, axis=0)[len(x) // 2]
    halved = (np.frexp(np.abs(x).max(axis=0))[1] > _LARGE).astype(np.int64)
    d = np.ldexp(x, -halved) - np.ldexp(origin, -halved)
    exponent = np.frexp(np.abs(d).max(axis=0))[1]
    return Scaled(np.ldexp(d, -exponent), origin, (exponent + halved).astype(np.int64))


def number(value: float | Array) -> Float64[Tensor, "..."]:
    """The value as a float64 tensor."""
    return torch.as_tensor(value, dtype=torch.float64)


def fitted(
    name: str,
    kind: Callable[..., Distribution],
    parameters: Mapping[str, float | Array],
    errors: Mapping[str, float | Array],
    log_likelihood: float,
) -> Fitted:
    """The fit of a distribution of class `kind` with the given parameters.

    Raises:
        FitError: a parameter that overflows, or a positive parameter that underflows to 0.
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
