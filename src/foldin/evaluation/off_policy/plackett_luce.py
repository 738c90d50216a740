"""Probabilities of lists that are drawn item by item without replacement, in proportion to weights (Plackett–Luce).

`Gumbel` draws such lists, with weights p(item)^{1/T}. With weights λ that sum to 1, the item at a place has, given those above,

    P(i | above) = λ_i / (1 − Σ_{a above} λ_a)

What is drawn at a place whatever else is listed has no such closed form: it is a sum over all lists. But the list is also the
order in which independent exponential clocks ring, clock i at rate λ_i, and given the time t at which i rings, the others have
rung or not independently of each other:

    P(i at place j) = ∫ λ_i e^{−λ_i t} P(j − 1 of the others have rung by t) dt

The probability inside is that of a Poisson–binomial distribution, built up item by item; the integral over log t, whose integrand
is smooth and falls off on both sides, is found by the trapezoidal rule to about twelve digits.

Source: plackett1975; trefethen2014 (the rule).
"""

import numpy as np

from foldin.errors import ConfigError, ShapeError
from foldin.tensors import Array, Float64, Int64

__all__ = ["draw_probabilities", "place_probabilities"]

_STEP, _SMOOTH = 0.1, 0.5  # of log t; the width of the integrand falls as 1 / √k
_EARLY = -40.0  # log t before which nothing rings, in units of the mean time of the first ring
_LATE = 50.0  # e^{−50}: the probability that a clock has still not rung that counts as none
_FURTHEST = 650.0  # nats between the weights, beyond which times overflow


def draw_probabilities(log_weights: Float64[Array, " items"], listed: Int64[Array, " k"]) -> Float64[Array, " k"]:
    """P(each listed item | those above it); 0 for an item with weight 0.

    Args:
        log_weights: logarithms of the weights up to a constant, −∞ for items that are never drawn.
        listed: distinct item indices, best first.
    """
    own = log_weights[listed]
    others = log_weights.copy()
    others[listed] = -np.inf
    # Log of the mass left before each draw, summed from the end, where nothing cancels.
    left = np.logaddexp.accumulate(np.append(np.logaddexp.reduce(others), own[::-1]))[1:][::-1]
    possible = np.isfinite(own)
    return np.where(possible, np.exp(np.where(possible, own, 0.0) - np.where(possible, left, 0.0)), 0.0)


def place_probabilities(
    log_weights: Float64[Array, " items"], chosen: Int64[Array, " chosen"], k: int
) -> Float64[Array, "chosen k"]:
    """P(item at place j), whatever else is listed, of each chosen item and each of the first k places.

    The sum over the places is the probability that the item is among the first k. One call is for the list of one context; its
    time is proportional to k and to the number of items.

    Args:
        log_weights: as in `draw_probabilities`.
        chosen: distinct item indices.

    Raises:
        ShapeError: a k below 1, or an item twice.
        ConfigError: weights so far apart that the order of the first items is practically fixed.
    """
    chosen = np.asarray(chosen)
    if k < 1 or len(np.unique(chosen)) != len(chosen):
        raise ShapeError(f"distinct items and at least one place were expected, not {chosen.tolist()} and k = {k}")
    possible = np.isfinite(log_weights)
    found = np.zeros((len(chosen), k))
    at = np.flatnonzero(possible[chosen])
    if not len(at):
        return found
    depth = min(k, int(possible.sum()))
    rates = log_weights - np.logaddexp.reduce(log_weights[possible])
    log_t, step = _log_times(rates[possible], depth)
    others = possible.copy()
    others[chosen] = False
    rung = np.zeros((depth, len(log_t)))
    rung[0] = 1.0
    for rate in rates[others]:
        rung = _with(rung, rate, log_t)
    for own, counts in zip(at, _all_but_one(rung, rates[chosen[at]], log_t), strict=True):
        with np.errstate(over="ignore"):
            log_hazard = rates[chosen[own]] + log_t
            ringing = np.exp(log_hazard - np.exp(log_hazard))
        found[own, :depth] = step * (counts * ringing).sum(axis=1)
    return found


def _log_times(rates: Float64[Array, " possible"], depth: int) -> tuple[Float64[Array, " nodes"], float]:
    """(nodes, step) of the trapezoidal rule over log t: until so many clocks have rung that a further one has place k + 1."""
    last = np.sort(rates)[::-1][min(depth, len(rates) - 1)]
    if last < -_FURTHEST:
        raise ConfigError(
            f"the largest weight but {min(depth, len(rates) - 1)} is e^{last:.0f} of all: at such a temperature the order of the "
            "first items is practically fixed, and their probabilities are 0 or 1"
        )
    step = min(_STEP, _SMOOTH / np.sqrt(depth))
    return np.arange(_EARLY, np.log(_LATE - last) - last + step, step), float(step)


def _with(
    rung: Float64[Array, "k nodes"], log_rate: float, log_t: Float64[Array, " nodes"]
) -> Float64[Array, "k nodes"]:
    """P(0, …, k − 1 clocks have rung) with a further clock."""
    with np.errstate(over="ignore"):
        hazard = np.exp(log_rate + log_t)
    counts = rung * np.exp(-hazard)
    counts[1:] -= rung[:-1] * np.expm1(-hazard)
    return counts


def _all_but_one(
    rung: Float64[Array, "k nodes"], log_rates: Float64[Array, " chosen"], log_t: Float64[Array, " nodes"]
) -> list[Float64[Array, "k nodes"]]:
    """`rung` with all clocks but one, for each of them: halves are added to each other's, so that n log n steps are enough."""
    if len(log_rates) == 1:
        return [rung]
    half = len(log_rates) // 2
    first, second = rung, rung
    for rate in log_rates[half:]:
        first = _with(first, rate, log_t)
    for rate in log_rates[:half]:
        second = _with(second, rate, log_t)
    return _all_but_one(first, log_rates[:half], log_t) + _all_but_one(second, log_rates[half:], log_t)
