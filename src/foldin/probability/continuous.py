"""Maximum likelihood for numbers: closed forms, and Newton's method for gamma, beta, Student t and Dirichlet.

Standard errors are 1/√(w I(θ)) with w the sum of weights and I the Fisher information of one observation.
"""

import numpy as np
from scipy.special import digamma, gammaln, i0e, i1e, polygamma
from torch.distributions import (
    Beta,
    Dirichlet,
    Exponential,
    Gamma,
    InverseGamma,
    Laplace,
    LogNormal,
    MultivariateNormal,
    Normal,
    VonMises,
)

from foldin.errors import FitError
from foldin.probability.fitted import Fitted, checked, fitted, number, refuse_equal
from foldin.probability.newton import maximise
from foldin.tensors import Array, Float64

__all__ = [
    "fit_beta",
    "fit_dirichlet",
    "fit_exponential",
    "fit_gamma",
    "fit_inverse_gamma",
    "fit_laplace",
    "fit_log_normal",
    "fit_multivariate_normal",
    "fit_normal",
    "fit_von_mises",
]

Weights = Float64[Array, " n"] | None


def _normal_parts(x: Array, w: Array, total: float, name: str) -> tuple[float, float, dict[str, float]]:
    refuse_equal(x, w, name)
    mean = float(w @ x / total)
    sd = float(np.sqrt(w @ (x - mean) ** 2 / total))
    return mean, sd, {"loc": sd / np.sqrt(total), "scale": sd / np.sqrt(2 * total)}


def fit_normal(x: Array, weights: Weights = None) -> Fitted:
    """Mean and √(mean square deviation). I(μ) = 1/σ², I(σ) = 2/σ²."""
    x, w, total = checked(x, weights, name="Normal")
    mean, sd, errors = _normal_parts(x, w, total, "Normal")
    return fitted(Normal(number(mean), number(sd)), errors, x, w)


def fit_multivariate_normal(x: Array, weights: Weights = None) -> Fitted:
    """Mean and covariance of points. The standard error of an entry of the covariance is √((Σ_ij² + Σ_ii Σ_jj)/n)."""
    x, w, total = checked(x, weights, name="Multivariate normal", axes=2)
    mean = w @ x / total
    covariance = (w[:, None] * (x - mean)).T @ (x - mean) / total
    if np.linalg.matrix_rank(covariance) < len(mean):
        raise FitError(f"Multivariate normal: the points lie in fewer than {len(mean)} dimensions: no maximum")
    variances = np.diag(covariance)
    errors = {
        "loc": np.sqrt(variances / total),
        "covariance_matrix": np.sqrt((covariance**2 + np.outer(variances, variances)) / total),
    }
    return fitted(MultivariateNormal(number(mean), number(covariance)), errors, x, w)


def fit_log_normal(x: Array, weights: Weights = None) -> Fitted:
    """A normal fit of log x."""
    x, w, total = checked(x, weights, name="Log-normal", low=0, open_ends=True)
    mean, sd, errors = _normal_parts(np.log(x), w, total, "Log-normal")
    return fitted(LogNormal(number(mean), number(sd)), errors, x, w)


def fit_exponential(x: Array, weights: Weights = None) -> Fitted:
    """1 / mean. I(λ) = 1/λ²."""
    x, w, total = checked(x, weights, name="Exponential", low=0)
    mean = float(w @ x / total)
    if mean <= 0.0:
        raise FitError("Exponential: all values are zero: the likelihood has no maximum")
    return fitted(Exponential(number(1.0 / mean)), {"rate": 1.0 / (mean * np.sqrt(total))}, x, w)


def fit_laplace(x: Array, weights: Weights = None) -> Fitted:
    """Weighted median and mean absolute deviation from it. I(μ) = I(b) = 1/b²."""
    x, w, total = checked(x, weights, name="Laplace")
    refuse_equal(x, w, "Laplace")
    order = np.argsort(x, kind="stable")
    mass = np.cumsum(w[order])
    low = x[order][np.searchsorted(mass, total / 2)]
    high = x[order][min(int(np.searchsorted(mass, total / 2, side="right")), len(x) - 1)]
    median = float((low + high) / 2.0)
    scale = float(w @ np.abs(x - median) / total)
    error = scale / np.sqrt(total)
    return fitted(Laplace(number(median), number(scale)), {"loc": error, "scale": error}, x, w)


def _gamma_parts(x: Array, w: Array, total: float, name: str) -> tuple[float, float, dict[str, float]]:
    refuse_equal(x, w, name)
    mean, log_mean = float(w @ x / total), float(w @ np.log(x) / total)
    gap = float(np.log(mean) - log_mean)

    def profile(a: Array) -> float:
        k = a[0]
        return float(k * np.log(k / mean) - gammaln(k) + (k - 1) * log_mean - k)

    def slope(a: Array) -> tuple[Array, Array]:
        k = a[0]
        return np.array([np.log(k) - digamma(k) - gap]), np.array([[1.0 / k - polygamma(1, k)]])

    start = (3.0 - gap + np.sqrt((gap - 3.0) ** 2 + 24.0 * gap)) / (12.0 * gap)
    shape = float(maximise(profile, slope, np.array([start]), name=name)[0])
    rate = shape / mean
    information = np.array([[polygamma(1, shape), -1.0 / rate], [-1.0 / rate, shape / rate**2]])
    covariance = np.linalg.inv(information) / total
    return shape, rate, {"concentration": np.sqrt(covariance[0, 0]), "rate": np.sqrt(covariance[1, 1])}


def fit_gamma(x: Array, weights: Weights = None) -> Fitted:
    """Shape by Newton on the profile likelihood, log a − ψ(a) = log x̄ − mean log x; rate a/x̄. Source: minka2002."""
    x, w, total = checked(x, weights, name="Gamma", low=0, open_ends=True)
    shape, rate, errors = _gamma_parts(x, w, total, "Gamma")
    return fitted(Gamma(number(shape), number(rate)), errors, x, w)


def fit_inverse_gamma(x: Array, weights: Weights = None) -> Fitted:
    """A gamma fit of 1/x."""
    x, w, total = checked(x, weights, name="Inverse gamma", low=0, open_ends=True)
    shape, rate, errors = _gamma_parts(1.0 / x, w, total, "Inverse gamma")
    return fitted(InverseGamma(number(shape), number(rate)), errors, x, w)


def _dirichlet_parts(logs: Float64[Array, " k"], start: Array, name: str) -> Float64[Array, " k"]:
    """Where log Γ(Σa) − Σ log Γ(a) + Σ (a − 1) mean log x is largest. Source: minka2000, eqs. 6–13."""

    def function(a: Array) -> float:
        return float(gammaln(a.sum()) - gammaln(a).sum() + (a - 1.0) @ logs)

    def slope(a: Array) -> tuple[Array, Array]:
        return digamma(a.sum()) - digamma(a) + logs, polygamma(1, a.sum()) - np.diag(polygamma(1, a))

    return maximise(function, slope, start, name=name)


def _dirichlet_errors(a: Float64[Array, " k"], total: float) -> Float64[Array, " k"]:
    information = np.diag(polygamma(1, a)) - polygamma(1, a.sum())
    return np.sqrt(np.diag(np.linalg.inv(information)) / total)


def fit_beta(x: Array, weights: Weights = None) -> Fitted:
    """Both parameters by Newton's method: a Dirichlet of two."""
    x, w, total = checked(x, weights, name="Beta", low=0, high=1, open_ends=True)
    refuse_equal(x, w, "Beta")
    mean = float(w @ x / total)
    variance = float(w @ (x - mean) ** 2 / total)
    strength = max(mean * (1 - mean) / variance - 1.0, 1e-2)
    logs = np.array([w @ np.log(x), w @ np.log1p(-x)]) / total
    a = _dirichlet_parts(logs, strength * np.array([mean, 1 - mean]), "Beta")
    errors = _dirichlet_errors(a, total)
    found = Beta(number(a[0]), number(a[1]))
    return fitted(found, {"concentration1": errors[0], "concentration0": errors[1]}, x, w)


def fit_dirichlet(x: Array, weights: Weights = None) -> Fitted:
    """All parameters by Newton's method.

    Raises:
        FitError: a row that does not sum to 1, or rows that are all equal.
    """
    x, w, total = checked(x, weights, name="Dirichlet", low=0, high=1, open_ends=True, axes=2)
    sums = x.sum(axis=1)
    if np.abs(sums - 1.0).max() > 1e-6:
        row = int(np.abs(sums - 1.0).argmax())
        raise FitError(f"Dirichlet: row {row} sums to {sums[row]:g}, not to 1")
    refuse_equal(x, w, "Dirichlet")
    mean = w @ x / total
    variance = float((w @ (x - mean) ** 2 / total).sum())
    strength = max(float((mean * (1 - mean)).sum()) / variance - 1.0, 1e-2)
    a = _dirichlet_parts(w @ np.log(x) / total, strength * mean, "Dirichlet")
    return fitted(Dirichlet(number(a)), {"concentration": _dirichlet_errors(a, total)}, x / sums[:, None], w)


def fit_von_mises(x: Array, weights: Weights = None) -> Fitted:
    """Direction of the mean vector; κ by Newton on I₁(κ)/I₀(κ) = R̄, its length. I(μ) = κ R̄, I(κ) = 1 − R̄² − R̄/κ.

    Source: mardia2000, section 5.3.
    """
    x, w, total = checked(x, weights, name="Von Mises")
    refuse_equal(x, w, "Von Mises")
    c, s = float(w @ np.cos(x) / total), float(w @ np.sin(x) / total)
    length = float(np.hypot(c, s))
    if length < 1e-8:
        raise FitError("Von Mises: the mean vector is 0: every direction is as likely, and the limit is uniform")

    def ratio(kappa: float) -> float:
        return float(i1e(kappa) / i0e(kappa))

    def function(k: Array) -> float:
        return float(k[0] * length - np.log(i0e(k[0])) - k[0])

    def slope(k: Array) -> tuple[Array, Array]:
        a = ratio(k[0])
        return np.array([length - a]), np.array([[-(1.0 - a / k[0] - a * a)]])

    start = length * (2.0 - length**2) / (1.0 - length**2)
    kappa = float(maximise(function, slope, np.array([start]), name="Von Mises")[0])
    a = ratio(kappa)
    errors = {"loc": 1.0 / np.sqrt(total * kappa * a), "concentration": 1.0 / np.sqrt(total * (1 - a * a - a / kappa))}
    return fitted(VonMises(number(float(np.arctan2(s, c))), number(kappa)), errors, x, w)
