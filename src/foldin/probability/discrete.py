"""Maximum likelihood for counts: closed forms, and Newton's method for the negative binomial.

Standard errors are 1/√(w I(θ)) with w the sum of weights and I the Fisher information of one observation.
"""

import numpy as np
from scipy.special import gammaln, polygamma, psi
from torch.distributions import Bernoulli, Binomial, Categorical, Geometric, Multinomial, NegativeBinomial, Poisson

from foldin.errors import FitError
from foldin.probability.fitted import Fitted, checked, fitted, number
from foldin.probability.newton import maximise
from foldin.tensors import Array, Float64

__all__ = [
    "fit_bernoulli",
    "fit_binomial",
    "fit_categorical",
    "fit_geometric",
    "fit_multinomial",
    "fit_negative_binomial",
    "fit_poisson",
]

Weights = Float64[Array, " n"] | None


def fit_bernoulli(x: Array, weights: Weights = None) -> Fitted:
    """p = mean of x; all 0 or all 1 give the limits 0 and 1 with a standard error of 0. I(p) = 1/(p(1 − p))."""
    x, w, total = checked(x, weights, name="Bernoulli", low=0, high=1, whole=True)
    p = float(w @ x / total)
    return fitted(Bernoulli(probs=number(p)), {"probs": np.sqrt(p * (1 - p) / total)}, x, w)


def fit_binomial(x: Array, trials: int, weights: Weights = None) -> Fitted:
    """p = mean of x ÷ trials. I(p) = trials/(p(1 − p))."""
    x, w, total = checked(x, weights, name="Binomial", low=0, high=trials, whole=True)
    p = float(w @ x / total / trials)
    return fitted(Binomial(trials, probs=number(p)), {"probs": np.sqrt(p * (1 - p) / (total * trials))}, x, w)


def fit_categorical(x: Array, k: int, weights: Weights = None) -> Fitted:
    """Shares of the categories 0 … k − 1; variance p(1 − p)/n of each."""
    x, w, total = checked(x, weights, name="Categorical", low=0, high=k - 1, whole=True)
    p = np.bincount(x.astype(np.int64), weights=w, minlength=k) / total
    return fitted(Categorical(probs=number(p)), {"probs": np.sqrt(p * (1 - p) / total)}, x, w)


def fit_multinomial(x: Array, weights: Weights = None) -> Fitted:
    """Shares of all counts together; rows of one total each, whatever it is, so that the draws may differ.

    The log-likelihood leaves out the multinomial coefficients, which do not depend on the shares.
    """
    x, w, _ = checked(x, weights, name="Multinomial", low=0, whole=True, axes=2)
    counts = w @ x
    if counts.sum() <= 0:
        raise FitError("Multinomial: all counts are zero")
    p = counts / counts.sum()
    log_likelihood = float(counts[p > 0] @ np.log(p[p > 0]))
    errors = {"probs": number(np.sqrt(p * (1 - p) / counts.sum()))}
    return Fitted(Multinomial(int(x[0].sum()), probs=number(p), validate_args=False), errors, log_likelihood)


def fit_poisson(x: Array, weights: Weights = None) -> Fitted:
    """λ = mean of x; all zero gives the limit 0. I(λ) = 1/λ."""
    x, w, total = checked(x, weights, name="Poisson", low=0, whole=True)
    rate = float(w @ x / total)
    return fitted(Poisson(number(rate)), {"rate": np.sqrt(rate / total)}, x, w)


def fit_geometric(x: Array, weights: Weights = None) -> Fitted:
    """p = 1/(1 + mean of x), x the failures before the first success. I(p) = 1/(p²(1 − p))."""
    x, w, total = checked(x, weights, name="Geometric", low=0, whole=True)
    p = 1.0 / (1.0 + float(w @ x / total))
    return fitted(Geometric(probs=number(p)), {"probs": p * np.sqrt((1 - p) / total)}, x, w)


def fit_negative_binomial(x: Array, weights: Weights = None) -> Fitted:
    """r by Newton on the profile likelihood, p = m/(m + r) with m the mean of x.

    The maximum is at a finite r when the variance exceeds the mean; else the limit is a Poisson distribution.

    Source: anscombe1950. Standard errors from the observed information.

    Raises:
        FitError: the variance of the values does not exceed their mean.
    """
    x, w, total = checked(x, weights, name="Negative binomial", low=0, whole=True)
    mean = float(w @ x / total)
    variance = float(w @ (x - mean) ** 2 / total)
    if variance <= mean:
        raise FitError(
            f"Negative binomial: the variance {variance:g} does not exceed the mean {mean:g}: the limit is Poisson({mean:g})"
        )

    def profile(r: Array) -> float:
        k = r[0]
        terms = gammaln(x + k) - gammaln(k) - gammaln(x + 1)
        return float(w @ terms + total * (k * np.log(k / (k + mean)) + mean * np.log(mean / (k + mean))))

    def slope(r: Array) -> tuple[Array, Array]:
        k = r[0]
        first = float(w @ (psi(x + k) - psi(k))) + total * np.log(k / (k + mean))
        second = float(w @ (polygamma(1, x + k) - polygamma(1, k))) + total * mean / (k * (k + mean))
        return np.array([first]), np.array([[second]])

    r = float(maximise(profile, slope, np.array([mean**2 / (variance - mean)]), name="Negative binomial")[0])
    p = mean / (mean + r)
    # Observed information in (r, p), with p the probability of what is counted.
    rr = float(w @ (polygamma(1, r) - polygamma(1, x + r)))
    rp, pp = total / (1 - p), total * (mean / p**2 + r / (1 - p) ** 2)
    covariance = np.linalg.inv(np.array([[rr, rp], [rp, pp]]))
    errors = {"total_count": np.sqrt(covariance[0, 0]), "probs": np.sqrt(covariance[1, 1])}
    return fitted(NegativeBinomial(number(r), probs=number(p)), errors, x, w)
