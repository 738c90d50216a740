"""Confidence sequences: intervals of the difference of two arms' means that hold at all times together.

A 95 % interval that is computed again after every outcome is wrong at some time far more often than in 5 % of experiments, so
that whoever looks every day and stops at the first difference finds one where there is none. The intervals (L_t, U_t) here
satisfy

    P(for all t: L_t ≤ d ≤ U_t) ≥ level,   d = mean of the treatment − mean of the control

so that one may look at any time, stop for any reason, and go on after stopping. They come from Ville's inequality: a process
M_t ≥ 0 with M_0 = 1 that does not rise in expectation passes 1/α at any time with probability at most α, and the interval holds
the d for which M_t has not. The exact ones hold in whatever order the arms are filled, even by what was met before; the
asymptotic ones need an assignment at random in fixed shares.

    asymptotic     outcomes of any finite variance; right in the limit of many outcomes before the first look
    sub-Gaussian   outcomes with a known bound of their spread; exact for any number of outcomes
    bounded        outcomes in a known range, such as clicks; exact for any number of outcomes (`anytime_bounded.py`)

Source: howard2021; robbins1970 (mixtures); waudbysmith2024 (asymptotic sequences); johari2017 (the test that belongs to them).
"""

import numpy as np

from foldin.errors import ConfigError
from foldin.evaluation.running import RunningMean
from foldin.tensors import Array, Float64

__all__ = [
    "asymptotic_mean_sequence",
    "asymptotic_p_value",
    "asymptotic_sequence",
    "shortest_factor",
    "sub_gaussian_sequence",
]

Ends = tuple[Float64[Array, "..."], Float64[Array, "..."]]


def asymptotic_sequence(
    control: RunningMean,
    treatment: RunningMean,
    *,
    level: float = 0.95,
    tightest_at: float = 1000.0,
    burn_in: int = 100,
) -> Ends:
    """Ends of the asymptotic confidence sequence of the difference of two means, treatment − control.

        d̂ ± se √( (tρ² + 1) / (tρ²) · log((tρ² + 1) / α²) ),   se² = s₁²/n₁ + s₀²/n₀,   t = n₀ + n₁,   α = 1 − level

    with the ρ for which it is shortest at t = `tightest_at`. There it is 1.55 times as long as the usual 95 % interval. It is
    (−∞, ∞) before the arms have `burn_in` outcomes each, or while all outcomes are equal. The share of errors tends to α as
    `burn_in` grows; where hits are rare, choose it so that each arm has met dozens, or use `bounded_sequence`.

    Source: waudbysmith2024, theorem 2.2 and section 3.

    Raises:
        ConfigError: a level outside (0, 1), or a `tightest_at` or `burn_in` that is too small.
    """
    t, se = _two_arms(control, treatment, burn_in)
    return _around(treatment.mean - control.mean, se * _normal_factor(t, level, tightest_at))


def asymptotic_mean_sequence(
    outcomes: RunningMean, *, level: float = 0.95, tightest_at: float = 1000.0, burn_in: int = 100
) -> Ends:
    """Ends of the asymptotic confidence sequence of a mean: of paired differences, for one. See `asymptotic_sequence`.

    Source: waudbysmith2024, theorem 2.2.

    Raises:
        ConfigError: as `asymptotic_sequence`.
    """
    _check_burn_in(burn_in)
    n = np.maximum(outcomes.count, 1.0)
    known = (outcomes.count >= burn_in) & (outcomes.squares > 0.0)
    se = np.where(known, np.sqrt(outcomes.variance / n), np.inf)
    return _around(outcomes.mean, se * _normal_factor(n, level, tightest_at))


def asymptotic_p_value(
    control: RunningMean,
    treatment: RunningMean,
    *,
    level: float = 0.95,
    tightest_at: float = 1000.0,
    burn_in: int = 100,
) -> Float64[Array, "..."]:
    """p-value, valid at any time, of the hypothesis that the means are equal, by the mixture sequential probability ratio test.

        p = min(1, 1/Λ),   Λ = (1 + tρ²)^{−½} exp( ½ z² tρ² / (1 + tρ²) ),   z = d̂ / se

    It is at most 1 − level exactly if the interval of `asymptotic_sequence`, with the same arguments, does not hold 0. The
    probability that it is at most α at any time is at most α in the limit, for every α; the smallest so far may be quoted too.

    Source: johari2017.

    Raises:
        ConfigError: as `asymptotic_sequence`.
    """
    t, se = _two_arms(control, treatment, burn_in)
    mass = t * _rho_squared(level, tightest_at)
    z = (treatment.mean - control.mean) / se
    return np.minimum(1.0, np.sqrt(1.0 + mass) * np.exp(-0.5 * z**2 * mass / (1.0 + mass)))


def shortest_factor(level: float) -> float:
    """Half the length of an asymptotic sequence in standard errors, where it is shortest: 3.04 at 95 %, in the place of 1.96.

    Source: waudbysmith2024.

    Raises:
        ConfigError: a level outside (0, 1).
    """
    return float(np.sqrt(_peak(_alpha(level) ** 2)))


def sub_gaussian_sequence(
    control: RunningMean, treatment: RunningMean, *, sd: float, level: float = 0.95, tightest_at: float = 1000.0
) -> Ends:
    """Ends of a confidence sequence of the difference of two means, exact for any numbers of outcomes.

    For sub-Gaussian outcomes with E exp(λ(y − μ)) ≤ exp(λ²σ²/2), mixing over λ ~ N(0, 1/r) of each arm gives

        M = Π_k √(r / (n_kσ² + r)) exp( n_k²(ȳ_k − μ_k)² / (2(n_kσ² + r)) )

    and the largest difference of the means for which M ≤ 1/α, by the inequality of Cauchy and Schwarz, the ends

        d̂ ± √( C Σ_k (n_kσ² + r) / n_k² ),   C = 2 log(1/α) + Σ_k log((n_kσ² + r) / r)

    The r makes it shortest at `tightest_at` outcomes in two equal arms. It is (−∞, ∞) while an arm has no outcome.

    Source: howard2021, proposition 5 (normal mixture); robbins1970.

    Args:
        sd: σ. For outcomes in a range it is at most half its length; for Gaussian outcomes it is their standard deviation.

    Raises:
        ConfigError: a level outside (0, 1), or an `sd` or `tightest_at` that is not positive.
    """
    if not (np.isfinite(sd) and sd > 0.0):
        raise ConfigError(f"sd: a positive number was expected, not {sd:g}")
    alpha = _alpha(level)
    r = 0.5 * _positive("tightest_at", tightest_at) * sd**2 / (_peak(alpha) - 1.0)
    constant, spread = np.asarray(2.0 * np.log(1.0 / alpha)), np.asarray(0.0)
    for arm in (control, treatment):
        variance = arm.count * sd**2 + r
        constant = constant + np.log(variance / r)
        spread = spread + np.where(arm.count > 0.0, variance / np.square(np.maximum(arm.count, 1.0)), np.inf)
    return _around(treatment.mean - control.mean, np.sqrt(constant * spread))


def _alpha(level: float) -> float:
    if not 0.0 < level < 1.0:
        raise ConfigError(f"level: a number between 0 and 1 was expected, not {level:g}")
    return 1.0 - level


def _positive(name: str, value: float) -> float:
    if not (np.isfinite(value) and value >= 1.0):
        raise ConfigError(f"{name}: a number of outcomes of at least 1 was expected, not {value:g}")
    return value


def _check_burn_in(burn_in: int) -> None:
    if burn_in < 2:
        raise ConfigError(f"burn_in: at least two outcomes are needed for a standard deviation, not {burn_in}")


def _two_arms(
    control: RunningMean, treatment: RunningMean, burn_in: int
) -> tuple[Float64[Array, "..."], Float64[Array, "..."]]:
    """(outcomes in both arms, standard error of the difference, ∞ where it is not known)."""
    _check_burn_in(burn_in)
    arms = (control, treatment)
    known = np.minimum(control.count, treatment.count) >= burn_in
    squared = sum(arm.variance / np.maximum(arm.count, 1.0) for arm in arms)
    return control.count + treatment.count, np.sqrt(np.where(known & (squared > 0.0), squared, np.inf))


def _around(middle: Float64[Array, "..."], radius: Float64[Array, "..."]) -> Ends:
    return middle - radius, middle + radius


def _peak(alpha: float) -> float:
    """The y > 1 with y − log y = 1 − log α: n σ²/r + 1 where a normal mixture is shortest.

    Source: waudbysmith2024 (by Lambert's function).
    """
    from scipy.special import lambertw

    return float(-lambertw(-alpha / np.e, -1).real)


def _rho_squared(level: float, tightest_at: float) -> float:
    return (_peak(_alpha(level) ** 2) - 1.0) / _positive("tightest_at", tightest_at)


def _normal_factor(t: Float64[Array, "..."], level: float, tightest_at: float) -> Float64[Array, "..."]:
    """Half the length of the interval in standard errors; that of a usual 95 % interval is 1.96."""
    mass = np.maximum(t, 1.0) * _rho_squared(level, tightest_at)
    return np.sqrt((mass + 1.0) / mass * np.log((mass + 1.0) / _alpha(level) ** 2))
