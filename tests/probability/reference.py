"""Log-likelihoods in mpmath, fifty digits and more, and how far from their maximum an estimate is."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np

from foldin import probability as pr

Parameters = Sequence[Any]


def _log_bessel(k: Any) -> Any:
    if k < 500:
        return mp.log(mp.besseli(0, k))
    total = term = mp.mpf(1)
    for n in range(1, 300):  # Hankel's series
        term = term * (2 * n - 1) ** 2 / (8 * n * k)
        total += term
        if term < mp.mpf(10) ** -mp.mp.dps:
            break
    return k - mp.log(2 * mp.pi * k) / 2 + mp.log(total)


def _gamma(t: Parameters, x: Any) -> Any:
    return t[0] * mp.log(t[1]) - mp.loggamma(t[0]) + (t[0] - 1) * mp.log(x) - t[1] * x


def _dirichlet(t: Parameters, x: Any) -> Any:
    return mp.loggamma(mp.fsum(t)) + mp.fsum((a - 1) * mp.log(v) - mp.loggamma(a) for a, v in zip(t, x, strict=True))


def _student(t: Parameters, x: Any) -> Any:
    half = (t[0] + 1) / 2
    own = mp.loggamma(half) - mp.loggamma(t[0] / 2) - mp.log(t[0] * mp.pi) / 2 - mp.log(t[2])
    return own - half * mp.log1p(((x - t[1]) / t[2]) ** 2 / t[0])


def _negative_binomial(t: Parameters, x: Any) -> Any:
    own = mp.loggamma(x + t[0]) - mp.loggamma(t[0]) - mp.loggamma(x + 1)
    return own + t[0] * mp.log(1 - t[1]) + x * mp.log(t[1])


def _wishart(t: Parameters, x: Any) -> Any:
    """Of one dimension: a gamma."""
    return _gamma((t[0] / 2, 1 / (2 * t[1] ** 2)), x)


# Family → (fit, names of its parameters, log p of one value).
REFERENCE: dict[str, tuple[Callable, tuple[str, ...], Callable[[Parameters, Any], Any]]] = {
    "bernoulli": (pr.fit_bernoulli, ("probs",), lambda t, x: mp.log(t[0] if x else 1 - t[0])),
    "binomial": (
        lambda x, w=None: pr.fit_binomial(x, 9, w),
        ("probs",),
        lambda t, x: mp.log(mp.binomial(9, x)) + x * mp.log(t[0]) + (9 - x) * mp.log(1 - t[0]),
    ),
    "poisson": (pr.fit_poisson, ("rate",), lambda t, x: x * mp.log(t[0]) - t[0] - mp.loggamma(x + 1)),
    "geometric": (pr.fit_geometric, ("probs",), lambda t, x: mp.log(t[0]) + x * mp.log(1 - t[0])),
    "negative binomial": (pr.fit_negative_binomial, ("total_count", "probs"), _negative_binomial),
    "normal": (
        pr.fit_normal,
        ("loc", "scale"),
        lambda t, x: -mp.log(t[1]) - mp.log(2 * mp.pi) / 2 - ((x - t[0]) / t[1]) ** 2 / 2,
    ),
    "log-normal": (
        pr.fit_log_normal,
        ("loc", "scale"),
        lambda t, x: -mp.log(x * t[1]) - mp.log(2 * mp.pi) / 2 - ((mp.log(x) - t[0]) / t[1]) ** 2 / 2,
    ),
    "exponential": (pr.fit_exponential, ("rate",), lambda t, x: mp.log(t[0]) - t[0] * x),
    "gamma": (pr.fit_gamma, ("concentration", "rate"), _gamma),
    "inverse gamma": (
        pr.fit_inverse_gamma,
        ("concentration", "rate"),
        lambda t, x: _gamma(t, 1 / x) - 2 * mp.log(x),
    ),
    "beta": (pr.fit_beta, ("concentration1", "concentration0"), lambda t, x: _dirichlet(t, (x, 1 - x))),
    "dirichlet": (pr.fit_dirichlet, ("concentration",), _dirichlet),
    "student t": (pr.fit_student_t, ("df", "loc", "scale"), _student),
    "von mises": (
        pr.fit_von_mises,
        ("loc", "concentration"),
        lambda t, x: t[1] * mp.cos(x - t[0]) - mp.log(2 * mp.pi) - _log_bessel(t[1]),
    ),
    "wishart": (lambda x, w=None: pr.fit_wishart(x[:, None, None], w), ("df", "scale_tril"), _wishart),
}


class Distance(NamedTuple):
    """From the maximum.

    Args:
        step: the longest Newton step of a parameter, in its standard errors.
        log_likelihood: that of the parameters, in nats.
        errors: standard errors from finite differences of the log-likelihood, in the order of the parameters.
        said: the standard errors of the fit.
        found: the fit.
    """

    step: float
    log_likelihood: float
    errors: np.ndarray
    said: np.ndarray
    found: pr.Fitted


def distance(family: str, x: np.ndarray, weights: np.ndarray | None = None, *, digits: int = 60) -> Distance:
    """How far a fit is from the maximum of its log-likelihood, by central differences."""
    fit, names, log_p = REFERENCE[family]
    found = fit(x) if weights is None else fit(x, weights)
    values = np.concatenate([np.ravel(getattr(found.distribution, name).numpy()) for name in names])
    said = [np.ravel(found.standard_errors[name].numpy()) for name in names if name in found.standard_errors]
    sizes = [np.size(getattr(found.distribution, name).numpy()) for name in names]
    each = [np.ravel(found.standard_errors[name].numpy()) if name in found.standard_errors else None for name in names]
    spreads = np.nan_to_num(
        np.concatenate([np.zeros(n) if one is None else one for one, n in zip(each, sizes, strict=True)]), posinf=0.0
    )
    with mp.workdps(digits):
        rows = [[mp.mpf(float(v)) for v in row] if np.ndim(row) else mp.mpf(float(row)) for row in x]
        w = [mp.mpf(1)] * len(rows) if weights is None else [mp.mpf(float(v)) for v in weights]
        at = [mp.mpf(float(v)) for v in values]
        # A location near 0 is moved in its standard errors: relative to itself the moves would be lost in the digits.
        unit = [max(abs(v), mp.mpf(float(s))) or mp.mpf(1) for v, s in zip(at, spreads, strict=True)]
        h = mp.mpf(10) ** -(digits // 4)

        def total(*moves: tuple[int, int]) -> Any:
            moved = list(at)
            for i, way in moves:
                moved[i] += way * h * unit[i]
            return mp.fsum(v * log_p(moved, row) for v, row in zip(w, rows, strict=True) if v)

        k, middle = len(at), total()
        slope, bend = mp.matrix(k, 1), mp.matrix(k, k)
        for i in range(k):
            above, below = total((i, 1)), total((i, -1))
            slope[i], bend[i, i] = (above - below) / (2 * h), -(above - 2 * middle + below) / h**2
            for j in range(i):
                cross = (
                    total((i, 1), (j, 1)) - total((i, 1), (j, -1)) - total((i, -1), (j, 1)) + total((i, -1), (j, -1))
                )
                bend[i, j] = bend[j, i] = -cross / (4 * h * h)
        covariance = bend**-1
        step = covariance * slope
        errors = [mp.sqrt(covariance[i, i]) for i in range(k)]
        longest = max(float(abs(step[i]) / errors[i]) for i in range(k))
        return Distance(
            longest,
            float(middle),
            np.array([float(e * u) for e, u in zip(errors, unit, strict=True)]),
            np.concatenate(said),
            found,
        )
