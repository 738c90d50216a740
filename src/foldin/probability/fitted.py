"""What a fit returns, and the checks that every fit shares."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.distributions import Distribution

from foldin.errors import FitError, ShapeError
from foldin.tensors import Array, Float64, Tensor

__all__ = ["Fitted", "checked", "fitted", "number", "refuse_equal"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A maximum-likelihood estimate.

    Args:
        distribution: at the estimate, float64.
        standard_errors: of each parameter by its name in `torch.distributions`, from the Fisher information of the data:
            1/√n times a constant of the distribution.
        log_likelihood: weighted sum of log p(x), in nats.
    """

    distribution: Distribution
    standard_errors: Mapping[str, Float64[Tensor, "..."]]
    log_likelihood: float


def checked(
    x: Array,
    weights: Float64[Array, " n"] | None,
    *,
    name: str,
    low: float = -np.inf,
    high: float = np.inf,
    open_ends: bool = False,
    whole: bool = False,
    axes: int = 1,
) -> tuple[Float64[Array, "n ..."], Float64[Array, " n"], float]:
    """(values, weights, their sum), float64 and inside the support.

    Args:
        low, high: the support; `open_ends` leaves its ends out.
        whole: whether values must be whole numbers.
        axes: of the array, observations first.

    Raises:
        ShapeError: another number of axes, no values, or weights of another number.
        FitError: a value outside the support (says which and where), a negative weight, or weights that are all zero.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != axes or len(x) == 0:
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
        return x, np.ones(len(x)), float(len(x))
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (len(x),):
        raise ShapeError(f"{name}: {len(x)} values and weights of shape {w.shape}")
    if not np.isfinite(w).all() or (w < 0).any():
        raise FitError(f"{name}: weights must be numbers that are not negative")
    if w.sum() <= 0.0:
        raise FitError(f"{name}: all weights are zero")
    return x, w, float(w.sum())


def refuse_equal(x: Float64[Array, "n ..."], weights: Float64[Array, " n"], name: str) -> None:
    """Raises: FitError: all values of positive weight are one value, where the likelihood has no maximum."""
    kept = x[weights > 0]
    if (kept == kept[0]).all():
        raise FitError(f"{name}: all values are equal: the likelihood has no maximum")


def number(value: float | Array) -> Float64[Tensor, "..."]:
    """A float64 tensor."""
    return torch.as_tensor(value, dtype=torch.float64)


def fitted(
    distribution: Distribution, errors: Mapping[str, float | Array], x: Array, weights: Float64[Array, " n"]
) -> Fitted:
    """The result, with its log-likelihood."""
    log_prob = distribution.log_prob(torch.from_numpy(np.ascontiguousarray(x)))
    total = float((log_prob * torch.from_numpy(weights)).sum())
    return Fitted(distribution, {name: number(value) for name, value in errors.items()}, total)
