"""Tests of the shares of the arms: their formulas, and false alarms under a thousand looks."""

import numpy as np
import pytest
import scipy.stats

from foldin.errors import ConfigError, ShapeError
from foldin.evaluation import chi_square_ratio_test, sequential_ratio_test

RUNS, LOOKS, ALPHA = 400, 1000, 0.05


def assigned(shares, seed: int = 0) -> np.ndarray:
    """Counts of the arms in RUNS experiments, at LOOKS looks after ten more users each."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.multinomial(10, shares, (RUNS, LOOKS)), axis=1)


def test_the_p_value_is_that_of_the_marginal_likelihood_of_the_counts():
    planned = np.array([0.5, 0.3, 0.2])
    for counts in ([60, 20, 20], [5, 90, 5], [0, 0, 7]):
        n = sum(counts)
        free = scipy.stats.dirichlet_multinomial.logpmf(counts, 40.0 * planned, n)
        fixed = scipy.stats.multinomial.logpmf(counts, n, planned)
        found = sequential_ratio_test(counts, [5, 3, 2], concentration=40.0)
        assert found == pytest.approx(min(1.0, np.exp(fixed - free)))
        assert chi_square_ratio_test(counts, planned) == pytest.approx(
            scipy.stats.chisquare(counts, n * planned).pvalue
        )
    assert sequential_ratio_test([0, 0], [1, 1]) == 1.0
    assert sequential_ratio_test([50, 50], [1, 1]) == 1.0


def test_a_thousand_looks_are_no_more_false_alarms_than_promised_and_many_by_the_test_for_one_look():
    counts = assigned([0.5, 0.3, 0.2])
    most = scipy.stats.binom.ppf(0.999, RUNS, ALPHA)
    for concentration in (10.0, 100.0, 1000.0):
        found = sequential_ratio_test(counts, [0.5, 0.3, 0.2], concentration=concentration)
        assert (found <= ALPHA).any(axis=1).sum() <= most
    once = chi_square_ratio_test(counts, [0.5, 0.3, 0.2])
    assert (once <= ALPHA).any(axis=1).sum() > 5 * most
    assert (once[:, -1] <= ALPHA).sum() <= most


def test_a_mismatch_is_found():
    counts = assigned([0.53, 0.47])
    assert (sequential_ratio_test(counts, [1, 1]) <= 0.01).any(axis=1).mean() > 0.95


def test_what_is_no_count_or_plan_is_refused():
    for planned in ([1.0], [0.5, 0.0], [0.5, np.nan], 0.5):
        with pytest.raises(ConfigError, match="planned"):
            sequential_ratio_test([1, 2], planned)
    with pytest.raises(ShapeError, match="one for each of 2 arms"):
        sequential_ratio_test([1, 2, 3], [1, 1])
    for counts in ([1.5, 2.0], [-1, 2]):
        with pytest.raises(ShapeError, match="whole numbers"):
            chi_square_ratio_test(counts, [1, 1])
    with pytest.raises(ShapeError, match="at least one user"):
        chi_square_ratio_test([0, 0], [1, 1])
    with pytest.raises(ConfigError, match="concentration"):
        sequential_ratio_test([1, 2], [1, 1], concentration=0.0)
