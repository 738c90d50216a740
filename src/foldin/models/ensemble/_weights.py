"""The weights of the experts: the maximum of the log-likelihood of held-out items, by Newton's method.

    L(a) = Σ_u [ mean over targets i of u of Σ_k a_k s_k(u, i) − log Σ_j exp Σ_k a_k s_k(u, j) ] − ½ Σ_k σ_k² (a_k − c_k)²

over a ≥ 0, where j runs over the items that u has not seen. With p the distribution of the product,

    ∂L/∂a_k = Σ_u [ mean target score − E_p s_k ] − σ_k² (a_k − c_k),   −∂²L/∂a_k∂a_l = Σ_u Cov_p(s_k, s_l) + σ_k² [k = l]

so L is concave. The last term of L weighs as much as a single user: σ_k² is the mean variance of an expert's scores over the
items of a user. It keeps the maximum finite where the held-out items always come first, and unique where experts agree. c is 0
for the weights of all users; the weights of a group of history lengths are pulled to those of all.

Source: bertsekas1982 (the projected method).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from foldin.models.ensemble._scored import HeldOutScores, ScoredUsers
from foldin.models.ensemble.objectives import HeldOutLikelihood, HeldOutNDCG
from foldin.tensors import Array, Float64

__all__ = ["Moments", "learned_weights", "likelihood_moments", "maximum"]

_STEPS = 100
_HALVINGS = 40
_GAIN = 1e-10  # nats in all: a step with a smaller expected gain is not taken
_SUFFICIENT = 1e-4  # share of the expected gain that a step must reach
_NEAR = 1e-12  # a weight this near to 0 whose slope is negative is 0


class Moments(NamedTuple):
    """A concave function at a point: its value, its gradient, and minus its matrix of second derivatives."""

    value: float
    slope: Float64[Array, " weights"]
    curvature: Float64[Array, "weights weights"]


Function = Callable[[Float64[Array, " weights"]], Moments]


def likelihood_moments(scored: HeldOutScores, weights: Float64[Array, " experts"], group: int | None = None) -> Moments:
    """The sum over users of the mean log-likelihood of their held-out items, in nats, with its derivatives by the weights.

    Args:
        group: group of history lengths whose users are counted; None for all.
    """
    n = len(weights)
    found = Moments(0.0, np.zeros(n), np.zeros((n, n)))
    for block in scored:
        value, slope, curvature = _of_block(block, weights, group)
        found = Moments(found.value + value, found.slope + slope, found.curvature + curvature)
    return found


def _of_block(block: ScoredUsers, weights: Float64[Array, " experts"], group: int | None) -> Moments:
    counted = torch.ones_like(block.group, dtype=torch.float64) if group is None else (block.group == group).double()
    combined = block.combined(weights)
    total = torch.logsumexp(combined, dim=1)
    p = combined.sub_(total.unsqueeze(1)).exp_()
    means = torch.stack([(p * one).sum(dim=1) for one in block.scores], dim=1)
    picked = block.of_targets()
    value = picked @ torch.from_numpy(weights).to(picked) - total
    curvature = np.zeros((len(weights), len(weights)))
    deviations = [one - mean.unsqueeze(1) for one, mean in zip(block.scores, means.t(), strict=True)]
    for k, deviation in enumerate(deviations):
        weighted = p * deviation
        for other in range(k + 1):
            of_users = (weighted * deviations[other]).sum(dim=1)
            curvature[k, other] = curvature[other, k] = float(counted @ of_users)
    return Moments(float(counted @ value), (counted @ (picked - means)).cpu().numpy(), curvature)


def maximum(function: Function, start: Float64[Array, " weights"]) -> Float64[Array, " weights"]:
    """The maximum of a strictly concave function over weights ≥ 0, by Newton's method projected on them (bertsekas1982).

    Args:
        start: a point with weights ≥ 0.
    """
    at, here = start, function(start)
    for _ in range(_STEPS):
        at = np.where((at <= _NEAR) & (here.slope <= 0.0), 0.0, at)
        free = (at > 0.0) | (here.slope > 0.0)
        step = np.zeros_like(at)
        step[free] = np.linalg.solve(here.curvature[np.ix_(free, free)], here.slope[free])
        if here.slope @ step <= _GAIN:
            break
        for halving in range(_HALVINGS):
            other = np.maximum(at + 0.5**halving * step, 0.0)
            there = function(other)
            if there.value >= here.value + _SUFFICIENT * (here.slope @ (other - at)):
                break
        else:
            break  # the gain is below the rounding of the value
        at, here = other, there
    return at


def learned_weights(
    scored: HeldOutScores, objective: HeldOutLikelihood | HeldOutNDCG
) -> tuple[Float64[Array, "groups experts"], float]:
    """(the weights of each group of history lengths, the mean log-likelihood of a held-out item under them in nats).

    A group without users, or for which no expert is better than chance, has the weights of all users.
    """
    experts = len(scored.experts)
    spread = np.diag(likelihood_moments(scored, np.zeros(experts)).curvature) / scored.users_of(None)
    scale = np.where(spread > 0.0, np.sqrt(np.maximum(spread, 0.0)), 1.0)

    def best(group: int | None, center: Float64[Array, " experts"]) -> Float64[Array, " experts"]:
        likelihood = _scaled(scored, group, scale, center)
        found = maximum(likelihood, center)
        chosen = objective.refined(found, lambda one, k: scored.ndcg(one / scale, k, group))
        return found if np.array_equal(chosen, found) else chosen * maximum(_along(likelihood, chosen), np.ones(1))

    every = best(None, np.zeros(experts))
    each = [every]
    if scored.n_groups > 1:
        each = [best(group, every) if scored.users_of(group) else every for group in range(scored.n_groups)]
        each = [one if one.any() else every for one in each]
    value = sum(
        likelihood_moments(scored, one / scale, group if len(each) > 1 else None).value
        for group, one in enumerate(each)
    )
    return np.stack(each) / scale, value / scored.users_of(None)


def _scaled(
    scored: HeldOutScores, group: int | None, scale: Float64[Array, " experts"], center: Float64[Array, " experts"]
) -> Function:
    """L as a function of σ_k a_k, in which all weights have about one size; `center` is σ_k c_k."""

    def function(at: Float64[Array, " experts"]) -> Moments:
        found, away = likelihood_moments(scored, at / scale, group), at - center
        return Moments(
            found.value - 0.5 * float(away @ away),
            found.slope / scale - away,
            found.curvature / np.outer(scale, scale) + np.eye(len(at)),
        )

    return function


def _along(function: Function, direction: Float64[Array, " weights"]) -> Function:
    """A function on the ray through a point, of the multiple of that point."""

    def along(at: Float64[Array, " 1"]) -> Moments:
        found = function(at * direction)
        return Moments(
            found.value, np.array([found.slope @ direction]), np.array([[direction @ found.curvature @ direction]])
        )

    return along
