"""Maximum-likelihood estimation for the negative binomial distribution.

Source: anscombe1950; simonsen1976 (one maximum, and when it is at a finite r).
"""

import math

import numpy as np
from torch.distributions import NegativeBinomial

from foldin.errors import FitError
from foldin.probability.discrete import log_factorial_gap
from foldin.probability.fitted import Fitted, Weights, checked, fitted
from foldin.probability.root import crossing
from foldin.probability.special import deviance, digamma_fall, excess, stirling, trigamma_fall
from foldin.tensors import Array

__all__ = ["fit_negative_binomial"]


def fit_negative_binomial(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a negative binomial distribution.

    r is where the slope of the profile likelihood is 0. p = m/(m + r), with m the mean of x, is the probability of the events
    that are counted. The maximum is at a finite r if the variance exceeds the mean; otherwise the limit is a Poisson
    distribution. Standard errors are from the observed information.

    Raises:
        FitError: the variance of the values does not exceed their mean: r → ∞.
    """
    x, share, total = checked(x, weights, name="Negative binomial", low=0, whole=True)
    if not (x <= 1e150).all():
        raise FitError(f"Negative binomial: {x.max():g} is a count whose square is beyond what a float holds")
    mean = float(share @ x)
    variance = float(share @ (x - mean) ** 2)
    limit = (
        f"Negative binomial: the variance {variance:g} does not exceed the mean {mean:g}: the likelihood has no maximum, it "
        f"grows as total_count goes to ∞, and the limit is Poisson({mean:g})"
    )
    if variance <= mean:
        raise FitError(limit)
    counts, where = np.unique(x, return_inverse=True)
    weight = np.bincount(where, weights=share)

    def score(r: float) -> float:
        d = (counts - mean) / (r + mean)
        return float(weight @ (digamma_fall(r, counts) - excess(d)))

    r = crossing(score, mean * mean / (variance - mean))
    if r is None or r > 1e15 * mean:
        raise FitError(limit)
    p = mean / (mean + r)
    # Minus the second derivative of the profile likelihood in r. Given r, the variance of p is p²(1 − p)/x̄; along the profile,
    # dp/dr = −p(1 − p)/r.
    d = (counts - mean) / (r + mean)
    bend = float(weight @ (trigamma_fall(r, counts) - d * d / (1.0 + d) / (r + mean)))
    spread = 1.0 / math.sqrt(bend * total) if bend > 0.0 else math.inf
    given = p * math.sqrt((1.0 - p) / mean / total)
    errors = {"total_count": spread, "probs": math.hypot(given, p * (1.0 - p) / r * spread)}
    terms = np.where(
        counts > 0,
        0.5 * (math.log(r) - np.log(counts + r))
        + stirling(counts + r)
        - float(stirling(r))
        - log_factorial_gap(counts),
        0.0,
    )
    value = float(weight @ (terms + deviance(counts + r, mean + r) - deviance(counts, mean)))
    return fitted("Negative binomial", NegativeBinomial, {"total_count": r, "probs": p}, errors, total * value)
