"""Intervals and tests over people."""

from collections.abc import Sequence

import numpy as np

from foldin.tensors import Array, Float64

__all__ = ["bootstrap_interval", "holm", "paired_test"]


def bootstrap_interval(
    values: Float64[Array, " people"], *, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over people.

    Source: efron1993, chapter 13.
    """
    n = len(values)
    if n == 0:
        return float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    step = max(1, (1 << 22) // n)
    for start in range(0, draws, step):
        chosen = rng.integers(0, n, size=(min(step, draws - start), n))
        means[start : start + step] = values[chosen].mean(axis=1)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def paired_test(a: Float64[Array, " people"], b: Float64[Array, " people"]) -> float:
    """p-value, two-sided, of equal means of two models on the same people: the paired t test.

    Equal values for everybody give 1.
    """
    import scipy.stats  # its import costs half a second, which `--help` need not wait for

    difference = a - b
    if len(difference) < 2 or not difference.any():
        return 1.0
    if np.ptp(difference) <= 1e-12 * np.abs(difference).max():
        return 0.0  # the same difference for everybody: the t statistic is infinite
    return float(scipy.stats.ttest_rel(a, b).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number: the chance of any false finding stays below the level.

    Source: holm1979.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for place, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]
