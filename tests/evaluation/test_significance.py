import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from foldin.errors import ShapeError
from foldin.evaluation import holm, paired_test


def test_holm_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values):
    adjusted = holm(values)
    assert all(a >= p for a, p in zip(adjusted, values, strict=True))
    order = np.argsort(values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_the_paired_test_sees_a_small_steady_difference():
    a = np.random.default_rng(2).normal(0, 1, 300)
    steady = a + np.random.default_rng(3).normal(0.05, 0.05, 300)
    assert paired_test(steady, a) < 1e-6
    assert paired_test(a, a) == 1.0
    assert paired_test(a + 1, a) == pytest.approx(0.0)


def test_the_paired_test_is_honest_when_there_is_nothing():
    rng = np.random.default_rng(4)
    found = [paired_test(rng.normal(size=50), rng.normal(size=50)) < 0.05 for _ in range(200)]
    assert 0.01 <= np.mean(found) < 0.09


def signs_turned(difference) -> float:
    """The same test by SciPy, all signs tried."""
    found = scipy.stats.permutation_test(
        (difference, np.zeros(len(difference))),
        lambda x, y: (x - y).mean(),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    return float(found.pvalue)


@pytest.mark.parametrize(
    "difference",
    [[1.0, 1.0], [1.0, 2.0], [1.0, 0.0, 0.0], [0.1, 0.2, 0.3, -0.4], [0.3, 0.5, 0.2, 0.0, 0.7, -0.1, 0.4]],
    ids=str,
)
def test_few_users_are_tested_by_turning_all_signs(difference):
    a = np.array(difference)
    assert paired_test(a, np.zeros(len(a))) == pytest.approx(signs_turned(a))


def test_a_constant_difference_is_as_sure_as_the_number_of_users():
    for n in (1, 2, 3, 10, 25, 400):
        assert paired_test(np.full(n, 0.3), np.full(n, 0.1)) == pytest.approx(2.0 ** (1 - n))
    assert paired_test(np.array([0.2, 0.0, 0.0]), np.zeros(3)) == 1.0


def test_hits_are_tested_by_the_sign_test():
    a, b = np.zeros(500), np.zeros(500)
    a[:40], b[30:60] = 1.0, 1.0  # 30 users hit by a alone, 20 by b alone
    assert paired_test(a, b) == pytest.approx(scipy.stats.binomtest(30, 50).pvalue)
    assert paired_test(b, a) == paired_test(a, b)


def test_drawn_signs_agree_with_all_signs_and_are_never_impossible():
    rng = np.random.default_rng(6)
    difference = np.concatenate((rng.normal(0.2, 1.0, 60), np.zeros(100)))
    exact = scipy.stats.ttest_1samp(difference[:60], 0.0).pvalue
    assert paired_test(difference, np.zeros(160)) == pytest.approx(exact, rel=0.15)
    sure = rng.normal(5.0, 1.0, 60)
    assert paired_test(sure, np.zeros(60)) == 1e-4


@pytest.mark.parametrize("n", [6, 30, 300])
def test_no_difference_is_seldom_called_one(n):
    rng = np.random.default_rng(7)
    found = np.array([paired_test(rng.laplace(size=n), rng.laplace(size=n)) for _ in range(200)])
    assert (found <= 0.05).mean() < 0.09
    assert (found <= 0.5).mean() == pytest.approx(0.5, abs=0.1)


def test_other_numbers_of_users_are_refused_and_infinite_ones_are_not_tested():
    with pytest.raises(ShapeError, match="the same users on both sides, not 3 and 1"):
        paired_test(np.zeros(3), np.zeros(1))
    assert np.isnan(paired_test(np.array([0.0, -np.inf]), np.zeros(2)))
    assert np.isnan(paired_test(np.array([0.0, -np.inf]), np.array([0.0, -np.inf])))
    assert paired_test(np.array([]), np.array([])) == 1.0
