"""Supports of distributions: whether one has values outside that of another, and whether a log-density has no finite mean."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import distributions as td
from torch.distributions import constraints

from foldin.tensors import Bool, Tensor

__all__ = ["heavier_tail", "inside", "on_edge", "outside"]


class _Range(NamedTuple):
    """Numbers from low to high: only whole numbers, or all."""

    low: float | Tensor
    high: float | Tensor
    whole: bool


def _range(q: Any) -> _Range | None:
    """The support of q if it is a range of numbers; None for vectors, matrices, and unknown supports."""
    if isinstance(q, td.VonMises):
        return _Range(-math.pi, math.pi, False)
    support = q.support
    low, high = getattr(support, "lower_bound", -math.inf), getattr(support, "upper_bound", math.inf)
    if q.event_shape or support is None:
        return None
    if support is constraints.boolean:
        low, high = 0.0, 1.0
    elif (
        not hasattr(support, "lower_bound") and not hasattr(support, "upper_bound") and support is not constraints.real
    ):
        return None
    return _Range(low, high, bool(support.is_discrete))


def _empty(p: Any, q: Any) -> Bool[Tensor, "..."]:
    return torch.zeros(torch.broadcast_shapes(p.batch_shape, q.batch_shape), dtype=torch.bool)


def outside(p: Any, q: Any) -> Bool[Tensor, "..."]:
    """Whether p has values of positive probability outside the support of q; False where this is unknown."""
    own, other = _range(p), _range(q)
    if own is None or other is None:
        mixed = _discrete(p) is not None and _discrete(q) is not None and _discrete(p) != _discrete(q)
        return torch.ones_like(_empty(p, q)) if mixed else _empty(p, q)
    if own.whole != other.whole:
        return torch.ones_like(_empty(p, q))
    low, high = torch.as_tensor(own.low), torch.as_tensor(own.high)
    beyond = (low < torch.as_tensor(other.low)) | (high > torch.as_tensor(other.high))
    return (_empty(p, q) | beyond) & ~_degenerate(p)


def _discrete(q: Any) -> bool | None:
    return None if q.support is None else bool(q.support.is_discrete)


def _degenerate(p: Any) -> Bool[Tensor, "..."]:
    """Whether p uses only part of its nominal range, for example because a count is always 0 or a trial always succeeds."""
    if isinstance(p, td.Poisson):
        return p.rate == 0.0
    if isinstance(p, td.Bernoulli | td.Binomial):
        return (p.probs == 0.0) | (p.probs == 1.0)
    if isinstance(p, td.Categorical):
        return (p.probs == 0.0).any(dim=-1)
    if isinstance(p, td.NegativeBinomial):
        return (p.probs == 0.0) | torch.as_tensor(p.total_count == 0)
    if isinstance(p, td.Geometric):
        return p.probs == 1.0
    return torch.zeros(p.batch_shape, dtype=torch.bool)


def inside(q: Any) -> Tensor:
    """A value inside the support of q."""
    own = _range(q)
    if own is None:
        return torch.as_tensor(q.mean)
    low, high = torch.as_tensor(own.low, dtype=torch.float64), torch.as_tensor(own.high, dtype=torch.float64)
    if own.whole:
        return low
    above, between = torch.where(torch.isinf(low), 0.0, low + 1.0), 0.5 * (low + high)
    return torch.where(torch.isinf(high) | torch.isinf(low), above, between)


# (p, q) → whether E_p[log q] is −∞ although q's density is positive wherever p's is.
_NO_MEAN: Mapping[tuple[type, type], Any] = {
    (td.StudentT, td.Normal): lambda p: p.df <= 2.0,
    (td.StudentT, td.Laplace): lambda p: p.df <= 1.0,
    (td.Exponential, td.InverseGamma): lambda p: torch.ones_like(p.rate, dtype=torch.bool),
    (td.Gamma, td.InverseGamma): lambda p: p.concentration <= 1.0,
    (td.Beta, td.InverseGamma): lambda p: p.concentration1 <= 1.0,
    (td.InverseGamma, td.Exponential): lambda p: p.concentration <= 1.0,
    (td.InverseGamma, td.Gamma): lambda p: p.concentration <= 1.0,
    (td.InverseGamma, td.Laplace): lambda p: p.concentration <= 1.0,
    (td.InverseGamma, td.Normal): lambda p: p.concentration <= 2.0,
}


def heavier_tail(p: Any, q: Any) -> Bool[Tensor, "..."]:
    """Whether E_p[log q] = −∞ because the tail of p is too heavy."""
    rule = _NO_MEAN.get((type(p), type(q)))
    return _empty(p, q) if rule is None else _empty(p, q) | rule(p)


def on_edge(p: Any, x: Tensor) -> bool:
    """Whether any draw of a density has been rounded to an end of its support."""
    own = _range(p)
    if own is None or own.whole or isinstance(p, td.VonMises | td.Uniform):
        return False
    return bool(((x <= torch.as_tensor(own.low)) | (x >= torch.as_tensor(own.high))).any())
