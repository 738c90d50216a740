"""Maximum-likelihood estimation for families with a location and a scale, in closed form.

Values are first measured from one of them, in units of their spread, so that neither their size nor their distance from 0 costs
precision.
"""

import math

import numpy as np
from torch.distributions import Laplace, LogNormal, MultivariateNormal, Normal

from foldin.errors import FitError
from foldin.probability.fitted import Fitted, Weights, checked, fitted, refuse_equal, scaled
from foldin.probability.special import log_ratio
from foldin.tensors import Array, Float64

__all__ = ["fit_laplace", "fit_log_normal", "fit_multivariate_normal", "fit_normal"]

_LOG_2_PI = math.log(2.0 * math.pi)


def fit_normal(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a normal distribution: μ is the mean, and σ = √(mean square deviation).

    The Fisher information is I(μ) = 1/σ² and I(σ) = 2/σ².

    Raises:
        FitError: all values are equal: σ → 0.
    """
    x, p, total = checked(x, weights, name="Normal")
    refuse_equal(x, "Normal", "the variance goes to 0")
    own = scaled(x)
    mean = float(p @ own.d)
    sd = math.sqrt(p @ (own.d - mean) ** 2)
    scale = math.ldexp(sd, int(own.exponent))
    errors = {"loc": scale / math.sqrt(total), "scale": scale / math.sqrt(2.0 * total)}
    value = -total * (math.log(sd) + float(own.log_unit()) + 0.5 * (_LOG_2_PI + 1.0))
    return fitted("Normal", Normal, {"loc": own.back(mean), "scale": scale}, errors, value)


def fit_log_normal(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a log-normal distribution: the normal fit of log x.

    Raises:
        FitError: all values are equal: the scale goes to 0.
    """
    x, p, total = checked(x, weights, name="Log-normal", low=0, open_ends=True)
    refuse_equal(x, "Log-normal", "the scale goes to 0")
    middle = float(np.sort(x)[len(x) // 2])
    logs = log_ratio(x, middle)
    mean = float(p @ logs)
    sd = math.sqrt(p @ (logs - mean) ** 2)
    loc = math.log(middle) + mean
    errors = {"loc": sd / math.sqrt(total), "scale": sd / math.sqrt(2.0 * total)}
    value = -total * (math.log(sd) + 0.5 * (_LOG_2_PI + 1.0) + loc)
    return fitted("Log-normal", LogNormal, {"loc": loc, "scale": sd}, errors, value)


def fit_laplace(x: Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a Laplace distribution: μ is the weighted median, and b the mean absolute deviation from it.

    The Fisher information is I(μ) = I(b) = 1/b².

    Raises:
        FitError: all values are equal: the scale goes to 0.
    """
    x, p, total = checked(x, weights, name="Laplace")
    refuse_equal(x, "Laplace", "the scale goes to 0")
    own = scaled(x)
    order = np.argsort(own.d, kind="stable")
    mass = np.cumsum(p[order])
    half = 0.5 * mass[-1]
    low = own.d[order][np.searchsorted(mass, half)]
    high = own.d[order][min(int(np.searchsorted(mass, half, side="right")), len(x) - 1)]
    median = float((low + high) / 2.0)
    deviation = float(p @ np.abs(own.d - median))
    scale = math.ldexp(deviation, int(own.exponent))
    error = scale / math.sqrt(total)
    value = -total * (math.log(2.0 * deviation) + float(own.log_unit()) + 1.0)
    return fitted("Laplace", Laplace, {"loc": own.back(median), "scale": scale}, {"loc": error, "scale": error}, value)


def fit_multivariate_normal(x: Float64[Array, "n k"] | Array, weights: Weights = None) -> Fitted:
    """Maximum-likelihood estimate of a multivariate normal distribution: the mean and the covariance of the points.

    The standard error of an entry of the covariance is √((Σ_ij² + Σ_ii Σ_jj)/n). The covariance is represented by its Cholesky
    factor, from the QR decomposition of the points, so that columns whose scales differ by hundreds of orders of magnitude, and
    nearly collinear columns, are handled.

    Raises:
        FitError: the points lie in fewer dimensions than they have columns, for example because a column is constant: the
            determinant of the covariance → 0.
    """
    x, p, total = checked(x, weights, name="Multivariate normal", axes=2)
    width = x.shape[1]
    flat = (x == x[0]).all(axis=0)
    if flat.any():
        raise FitError(
            f"Multivariate normal: all values of column {int(flat.argmax())} are equal: the points lie in fewer than {width} "
            "dimensions, and the likelihood has no maximum, it grows without bound as the variance of that column goes to 0"
        )
    own = scaled(x)
    mean = p @ own.d
    centered = own.d - mean
    centered = centered - p @ centered
    sds = np.sqrt(p @ centered**2)
    upper = np.linalg.qr(np.sqrt(p)[:, None] * centered / sds, mode="r")
    spectrum = np.linalg.svd(upper, compute_uv=False)
    if len(upper) < width or spectrum[-1] <= 4.0 * np.finfo(float).eps * width * spectrum[0]:
        raise FitError(
            f"Multivariate normal: the points lie in fewer than {width} dimensions: the likelihood has no maximum, it grows "
            "without bound as the determinant of the covariance goes to 0"
        )
    lower = (np.sign(np.diag(upper))[:, None] * upper).T * sds[:, None]
    with np.errstate(over="ignore", under="ignore"):
        factor = np.ldexp(lower.T, own.exponent).T
        covariance = factor @ factor.T
        variances = np.diag(covariance)
        errors = {
            "loc": np.ldexp(sds, own.exponent) / math.sqrt(total),
            "covariance_matrix": np.sqrt((covariance**2 + np.outer(variances, variances)) / total),
        }
    log_det = float(np.log(np.diag(lower)).sum() + own.log_unit().sum())
    value = -total * (log_det + 0.5 * width * (_LOG_2_PI + 1.0))
    parameters = {"loc": own.back(mean), "scale_tril": factor}
    return fitted("Multivariate normal", MultivariateNormal, parameters, errors, value)
