"""Maximum-likelihood estimation for counts and categories, in closed form (for the negative binomial see `negative_binomial.py`).

Standard errors are 1/√(w I(θ)), with w the sum of the weights and I the Fisher information of one observation.
"""

import math
import operator

import numpy as np
from scipy.special import xlogy
from torch.distributions import Bernoulli, Binomial, Categorical, Geometric, Multinomial, Poisson

from foldin.errors import ConfigError, FitError
from foldin.probability.fitted import Fitted, Weights, checked, fitted, number
from foldin.probability.special import deviance, stirling
from foldin.tensors import Array

__all__ = [
    "fit_bernoulli",
    "fit_binomial",
    "fit_categorical",
    "fit_geometric",
    "fit_multinomial",
    "fit_poisson",
    "log_factorial_gap",
]

_EXACT = 2**53  # every whole number up to here is exact as a float
_MOST_CATEGORIES = 10**9


def _whole(value: int, name: str, what: str, most: int) -> int:
    """The number as an int, checked.

    Raises:
        ConfigError: a number that is not whole, or not in 1 … most.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = 0
    if not 1 <= found <= most:
        raise ConfigError(f"{name}: {what} = {value!r}: must be a whole number from 1 to {most:,}")
    return found


def log_factorial_gap(x: Array) -> Array:
    """log x! − (x log x − x) for x ≥ 0: ½ log 2πx plus the remainder of Stirling's formula; 0 at x = 0."""
    positive = np.where(x > 0, x, 1.0)
    return np.where(x > 0, 0.5 * np.log(2.0 * np.pi * positive) + stirling(positive), 0.0)


def fit_bernoulli(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a Bernoulli distribution: p is the mean of x. I(p) = 1/(p(1 − p)).

    If all values are 0, or all are 1, p is 0 or 1 with a standard error of 0.
    """
    x, share, total = checked(x, weights, name="Bernoulli", low=0, high=1, whole=True)
    p, q = float(share @ x), float(share @ (1.0 - x))
    value = total * float(xlogy(p, p) + xlogy(q, q))
    return fitted("Bernoulli", Bernoulli, {"probs": min(p, 1.0)}, {"probs": math.sqrt(p * q / total)}, value)


def fit_binomial(x: Array, trials: int, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a binomial distribution: p is the mean of x ÷ trials. I(p) = trials/(p(1 − p)).

    If all values are 0, or all are `trials`, p is 0 or 1 with a standard error of 0.

    Raises:
        ConfigError: `trials` is not a whole number of at least 1.
    """
    n = _whole(trials, "Binomial", "trials", _EXACT)
    x, share, total = checked(x, weights, name="Binomial", low=0, high=n, whole=True)
    p, q = float(share @ (x / n)), float(share @ ((n - x) / n))
    terms = np.zeros(len(x))
    if p > 0.0 and q > 0.0:
        terms = log_factorial_gap(np.array(float(n))) - log_factorial_gap(x) - log_factorial_gap(n - x)
        terms = terms - deviance(x, n * p) - deviance(n - x, n * q)
    error = math.sqrt(p * q / total / n)
    found = Binomial(n, probs=number(min(p, 1.0)))
    return Fitted(found, {"probs": number(error)}, total * float(share @ terms))


def fit_categorical(x: Array, k: int, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a categorical distribution: the shares of the categories 0 … k − 1.

    The variance of each share is p(1 − p)/n. A category that does not occur has share 0 with a standard error of 0.

    Raises:
        ConfigError: k is not a whole number of at least 1.
    """
    k = _whole(k, "Categorical", "k", _MOST_CATEGORIES)
    x, share, total = checked(x, weights, name="Categorical", low=0, high=k - 1, whole=True)
    p = np.bincount(x.astype(np.int64), weights=share, minlength=k)
    return fitted(
        "Categorical", Categorical, {"probs": p}, {"probs": _share_errors(p, total)}, total * float(xlogy(p, p).sum())
    )


def _share_errors(p: Array, total: float) -> Array:
    return np.sqrt(p * np.maximum(1.0 - p, 0.0) / total)


def fit_multinomial(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a multinomial distribution: the shares of all counts together.

    Each row of x holds the counts of one observation; the totals of the rows may differ. The log-likelihood leaves out the
    multinomial coefficients, which do not depend on the shares.

    Raises:
        FitError: all counts are zero, or the counts of a row add up to more than 2⁵³.
    """
    x, share, total = checked(x, weights, name="Multinomial", low=0, whole=True, axes=2)
    if not (x <= _EXACT).all() or not (x.sum(axis=1) <= _EXACT).all():
        raise FitError(
            "Multinomial: the counts of a row add up to more than 2⁵³, beyond which not every count is a float"
        )
    means = share @ x
    if means.sum() <= 0:
        raise FitError("Multinomial: all counts are zero")
    p, counted = means / means.sum(), total * float(means.sum())
    found = Multinomial(int(x[0].sum()), probs=number(p), validate_args=False)
    return Fitted(found, {"probs": number(_share_errors(p, counted))}, counted * float(xlogy(p, p).sum()))


def fit_poisson(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a Poisson distribution: λ is the mean of x, 0 if all values are 0. I(λ) = 1/λ."""
    x, share, total = checked(x, weights, name="Poisson", low=0, whole=True)
    top = max(float(x.max()), 1.0)
    rate = float(share @ (x / top)) * top
    value = -total * float(share @ (log_factorial_gap(x) + deviance(x, rate))) if rate > 0.0 else 0.0
    return Fitted(Poisson(number(rate)), {"rate": number(math.sqrt(rate) / math.sqrt(total))}, value)


def fit_geometric(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a geometric distribution: p = 1/(1 + mean of x). I(p) = 1/(p²(1 − p)).

    x counts the failures before the first success; p is 1 if all values are 0.
    """
    x, share, total = checked(x, weights, name="Geometric", low=0, whole=True)
    top = max(float(x.max()), 1.0)
    mean = float(share @ (x / top)) * top
    p = 1.0 / (1.0 + mean)
    error = p * math.sqrt(mean * p) / math.sqrt(total)
    # log(1 + 1/mean), in a form that does not overflow for a mean close to 0
    odds = math.log1p(1.0 / mean) if mean > 1.0 else math.log1p(mean) - math.log(mean) if mean > 0.0 else 0.0
    value = -total * (math.log1p(mean) + mean * odds)
    return fitted("Geometric", Geometric, {"probs": p}, {"probs": error}, value)
