"""Intervals of means over users: exact where an exact one exists, and covering as often as they say."""

import numpy as np
import pytest
import scipy.stats

from foldin.errors import ShapeError
from foldin.evaluation import LEAST_USERS, bootstrap_interval, share_interval, studentized_interval
from foldin.evaluation import intervals as module

GAIN = 1.0 / np.log2(np.arange(2, 12))


def coverage(made, truth: float, method, trials: int = 200) -> float:
    """Share of intervals that hold the truth."""
    rng, inside = np.random.default_rng(5), 0
    for trial in range(trials):
        low, high = method(made(rng), draws=300, seed=trial)
        inside += low <= truth <= high
    return inside / trials


def test_of_many_normal_values_it_is_the_normal_interval():
    values = np.random.default_rng(0).normal(2.0, 3.0, 2000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert bootstrap_interval(values, draws=4000) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.02
    )
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)


@pytest.mark.parametrize("hits", [0, 1, 2, 30, 79])
def test_of_hits_it_is_the_interval_of_clopper_and_pearson(hits):
    values = np.zeros(79)
    values[:hits] = 1.0
    exact = scipy.stats.binomtest(hits, 79).proportion_ci(0.95)
    assert bootstrap_interval(values, draws=20_000) == pytest.approx((exact.low, exact.high), abs=2e-3)


@pytest.mark.parametrize("n", [LEAST_USERS, 79])
@pytest.mark.parametrize("rate", [0.03, 0.1])
def test_rare_hits_are_covered(n, rate):
    assert coverage(lambda rng: (rng.random(n) < rate).astype(float), rate, bootstrap_interval) >= 0.93
    gains = lambda rng: (rng.random(n) < rate) * rng.choice(GAIN, n)
    assert coverage(gains, rate * GAIN.mean(), bootstrap_interval) >= 0.93


def test_the_interval_of_common_shares_is_not_needlessly_wide():
    rng = np.random.default_rng(1)
    values = rng.beta(0.5, 1.5, 500)
    low, high = share_interval(values)
    assert high - low < 1.15 * 2 * 1.96 * values.std() / np.sqrt(500)
    assert 0.93 <= coverage(lambda rng: rng.beta(0.5, 1.5, 79), 0.25, share_interval) <= 0.995


@pytest.mark.parametrize(
    ("made", "truth", "least"),
    [
        (lambda rng: -rng.exponential(1.0, 79), -1.0, 0.91),
        (lambda rng: -rng.lognormal(0.0, 1.0, 79), -np.exp(0.5), 0.9),
        (lambda rng: rng.normal(size=LEAST_USERS), 0.0, 0.91),
    ],
    ids=["exponential", "lognormal", "few"],
)
def test_skewed_values_of_unknown_range_are_covered(made, truth, least):
    assert least <= coverage(made, truth, studentized_interval) <= 0.99


@pytest.mark.parametrize("n", [20, 79])
def test_differences_that_hardly_anybody_has_are_covered(n):
    def made(rng):
        return (rng.random(n) < 0.08).astype(float) - (rng.random(n) < 0.03)

    rng, inside, found = np.random.default_rng(2), 0, 0
    for trial in range(300):
        values = made(rng)
        low, high = studentized_interval(values, draws=400, seed=trial)
        if values.any():
            assert np.isfinite([low, high]).all()
            found += 1
            inside += low <= 0.05 <= high
    assert inside / found >= 0.93


def test_too_few_users_no_spread_or_no_numbers_give_no_interval():
    for values in (np.linspace(0, 1, LEAST_USERS - 1), np.array([]), np.array([2.0]), np.array([0.0, 1.0])):
        assert np.isnan(bootstrap_interval(values)).all()
    assert np.isnan(studentized_interval(np.zeros(50))).all()
    assert np.isnan(studentized_interval(np.full(50, -3.1))).all()
    assert np.isnan(studentized_interval(np.append(np.arange(50.0), -np.inf))).all()
    assert np.isfinite(bootstrap_interval(np.linspace(0, 1, LEAST_USERS))).all()
    assert bootstrap_interval(np.ones(50))[1] == pytest.approx(1.0)


def test_what_is_no_share_and_no_level_is_refused():
    with pytest.raises(ShapeError, match=r"shares lie in \[0, 1\]; met -1 to 2"):
        share_interval(np.linspace(-1, 2, 40))
    for level in (0.0, 1.0):
        with pytest.raises(ShapeError, match="level"):
            bootstrap_interval(np.linspace(0, 1, 40), level=level)
    with pytest.raises(ShapeError, match="one draw"):
        bootstrap_interval(np.linspace(0, 1, 40), draws=0)


@pytest.mark.parametrize("method", [share_interval, studentized_interval])
def test_the_expansion_for_many_users_agrees_with_drawing(method, monkeypatch):
    values = np.random.default_rng(3).beta(0.3, 3.0, 3000)
    drawn = method(values, draws=4000)
    monkeypatch.setattr(module, "_MOST_DRAWN", 10)
    expanded = method(values)
    assert expanded == pytest.approx(drawn, abs=0.06 * (drawn[1] - drawn[0]))
    assert sum(expanded) > 2 * values.mean()  # the longer tail is on the right
