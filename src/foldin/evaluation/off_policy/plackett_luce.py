"""Probabilities of lists that are drawn item by item without replacement, in proportion to weights (Plackett–Luce).

`Gumbel` draws such lists, with weights p(item)^{1/T}. With weights λ that sum to 1, the item at a place has, given those above,

    P(i | above) = λ_i / (1 − Σ_{a above} λ_a)

What is drawn at a place whatever else is listed has no such closed form: it is a sum over all lists. But the list is also the
order in which independent exponential clocks ring, clock i at rate λ_i, and given the time t at which i rings, the others have
rung or not independently of each other:

    P(i at place j) = ∫ λ_i e^{−λ_i t} P(j − 1 of the others have rung by t) dt

The probability inside is that of a Poisson–binomial distribution, built up item by item; the integral over log t, whose integrand
is smooth and falls off on both sides, is found by the trapezoidal rule to about ten digits.

Source: plackett1975; trefethen2014 (the rule).
"""

import numpy as np

from foldin.errors import ConfigError, ShapeError
from foldin.tensors import Array, Float64, Int64

__all__ = ["draw_probabilities", "place_probabilities"]

_STEP, _SMOOTH = 0.2, 0.5  # of log t; the width of the integrand falls as 1 / √k
_EARLY = -30.0  # log t before which nothing rings, in units of the mean time of the first ring
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
    log_rates = log_weights - np.logaddexp.reduce(log_weights[possible])
    times, step = _times(log_rates[possible], depth)
    rates = np.exp(log_rates)
    others = possible.copy()
    others[chosen] = False
    rung = np.zeros((depth, len(times)))
    rung[0] = 1.0
    for rate in rates[others]:
        rung = _with(rung, rate, times)
    for own, counts in zip(at, _all_but_one(rung, rates[chosen[at]], times), strict=True):
        hazard = rates[chosen[own]] * times
        found[own, :depth] = step * (counts * hazard * np.exp(-hazard)).sum(axis=1)
    return found


def _times(log_rates: Float64[Array, " possible"], depth: int) -> tuple[Float64[Array, " nodes"], float]:
    """(nodes t, step of log t) of the trapezoidal rule: until so many clocks have rung that a further one has place k + 1."""
    beyond = min(depth, len(log_rates) - 1)
    last = np.sort(log_rates)[::-1][beyond]
    if last < -_FURTHEST:
        raise ConfigError(
            f"the largest weight but {beyond} is e^{last:.0f} of all: at such a temperature the order of the first items is "
            "practically fixed, and their probabilities are 0 or 1"
        )
    step = min(_STEP, _SMOOTH / float(np.sqrt(depth)))
    return np.exp(np.arange(_EARLY, np.log(_LATE - last) - last + step, step)), step


def _with(rung: Float64[Array, "k nodes"], rate: float, times: Float64[Array, " nodes"]) -> Float64[Array, "k nodes"]:
    """P(0, …, k − 1 clocks have rung) with a further clock."""
    hazard = rate * times
    counts = rung * np.exp(-hazard)
    counts[1:] -= rung[:-1] * np.expm1(-hazard)
    return counts


def _all_but_one(
    rung: Float64[Array, "k nodes"], rates: Float64[Array, " chosen"], times: Float64[Array, " nodes"]
) -> list[Float64[Array, "k nodes"]]:
    """`rung` with all clocks but one, for each of them: halves are added to each other's, so that n log n steps are enough."""
    if len(rates) == 1:
        return [rung]
    half = len(rates) // 2
    first, second = rung, rung
    for rate in rates[half:]:
        first = _with(first, rate, times)
    for rate in rates[:half]:
        second = _with(second, rate, times)
    return _all_but_one(first, rates[:half], times) + _all_but_one(second, rates[half:], times)
