import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldin.evaluation import bootstrap_interval, holm, paired_test


def test_the_bootstrap_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).normal(2.0, 3.0, 2000)
    low, high = bootstrap_interval(values, draws=4000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)


def test_the_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        low, high = bootstrap_interval(rng.exponential(1.0, 80), draws=400, seed=trial)
        inside += low <= 1.0 <= high
    assert 0.88 <= inside / 200 <= 0.99


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
    found = [paired_test(rng.normal(size=50), rng.normal(size=50)) < 0.05 for _ in range(400)]
    assert 0.02 < np.mean(found) < 0.09
