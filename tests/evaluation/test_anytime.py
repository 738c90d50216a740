"""Intervals that may be looked at at any time: their formulas, and their errors under a thousand looks."""

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from foldin.errors import ConfigError, ShapeError
from foldin.evaluation import (
    RunningMean,
    asymptotic_mean_sequence,
    asymptotic_p_value,
    asymptotic_sequence,
    bounded_p_value,
    bounded_sequence,
    sub_gaussian_sequence,
)
from foldin.evaluation.anytime import shortest_factor

RUNS, LOOKS, ALPHA = 400, 1000, 0.05
MOST = scipy.stats.binom.ppf(
    0.999, RUNS, ALPHA
)  # errors of a method that keeps its level, but for one case in a thousand


def hits(rng: np.random.Generator, rate: float, each: int = 10) -> RunningMean:
    """An arm of zeros and ones in RUNS experiments, at LOOKS looks after `each` more users."""
    count = np.broadcast_to(np.arange(1.0, LOOKS + 1.0) * each, (RUNS, LOOKS))
    total = np.cumsum(rng.binomial(each, rate, (RUNS, LOOKS)), axis=1)
    return RunningMean(count, total / count, total * (1.0 - total / count))


def ever(wrong: np.ndarray) -> int:
    """Number of experiments with an error at any look."""
    return int(wrong.any(axis=1).sum())


def misses(ends, truth: float) -> int:
    return ever((ends[0] > truth) | (truth > ends[1]))


def usual(control: RunningMean, treatment: RunningMean) -> tuple:
    """The 95 % interval that is right at one look."""
    half = 1.96 * np.sqrt(control.variance / control.count + treatment.variance / treatment.count)
    middle = treatment.mean - control.mean
    return middle - half, middle + half


@pytest.fixture(scope="module")
def equal():
    """Two arms of equal rate in many experiments."""
    rng = np.random.default_rng(0)
    return hits(rng, 0.3), hits(rng, 0.3)


def test_a_thousand_looks_are_no_more_errors_than_promised_and_many_by_the_usual_interval(equal):
    assert misses(asymptotic_sequence(*equal), 0.0) <= MOST
    assert ever(bounded_p_value(*equal) <= ALPHA) <= MOST
    assert misses(sub_gaussian_sequence(*equal, sd=0.5), 0.0) <= MOST
    late = equal[0][:, 10:], equal[1][:, 10:]  # looks from 110 users in an arm
    assert misses(usual(*late), 0.0) > 5 * MOST
    assert misses(tuple(end[:, -1:] for end in usual(*equal)), 0.0) <= MOST  # at the last look alone it is right


def test_the_sequences_hold_a_difference_of_gaussian_and_of_rare_outcomes():
    rng = np.random.default_rng(1)
    steps = rng.normal([[[0.0]], [[0.3]]], 2.0, (2, RUNS, LOOKS))
    arms = RunningMean.along(steps[0]), RunningMean.along(steps[1])
    assert misses(sub_gaussian_sequence(*arms, sd=2.0, tightest_at=300), 0.3) <= MOST
    assert misses(asymptotic_sequence(*arms, tightest_at=300), 0.3) <= MOST
    means = RunningMean.along(steps[1] - steps[0])
    assert misses(asymptotic_mean_sequence(means, tightest_at=300), 0.3) <= MOST
    rare = hits(rng, 0.01)[:, ::20], hits(rng, 0.02)[:, ::20]
    ends = bounded_sequence(*rare)
    assert misses(ends, 0.01) <= MOST
    # With 10,000 users an arm most experiments show the difference, and more with a prior of such rates; by the range few would.
    near = bounded_sequence(*rare, prior=(2.0, 98.0))
    assert misses(near, 0.01) <= MOST
    assert (sub_gaussian_sequence(*rare, sd=0.5)[0][:, -1] > 0.0).mean() < 0.2
    assert 0.6 < (ends[0][:, -1] > 0.0).mean() < 0.9 < (near[0][:, -1] > 0.0).mean()


def test_outcomes_between_the_ends_of_the_range_are_held_too():
    rng = np.random.default_rng(2)
    values = 2.0 * rng.beta(0.2, 1.8, (2, RUNS, 300)) - 1.0
    arms = RunningMean.along(values[0]), RunningMean.along(values[1])
    assert ever(bounded_p_value(*arms, low=-1.0, high=1.0) <= ALPHA) <= MOST
    some = arms[0][:, 4::60], arms[1][:, 4::60]
    assert misses(bounded_sequence(*some, low=-1.0, high=1.0), 0.0) <= MOST


def mixture(total: float, variance: float, scale: float) -> float:
    """∫ exp(λS − λ²V/2) N(λ; 0, scale²) dλ by quadrature."""
    middle = total / (variance + scale**-2)
    width = 12.0 / np.sqrt(variance + scale**-2)

    def density(x: float) -> float:
        return np.exp(x * total - 0.5 * x**2 * variance) * scipy.stats.norm.pdf(x, scale=scale)

    return scipy.integrate.quad(density, middle - width, middle + width)[0]


def arm(count: float, mean: float, sd: float) -> RunningMean:
    return RunningMean(np.asarray(count), np.asarray(mean), np.asarray(sd**2 * (count - 1.0)))


@pytest.mark.parametrize("t", [150.0, 1000.0, 40_000.0])
def test_at_the_ends_the_mixture_is_one_in_alpha(t):
    """Independent check of the closed forms: the mixture is integrated, with the ρ of its definition."""
    y = scipy.optimize.brentq(lambda y: y - np.log(y) - 1.0 + 2.0 * np.log(ALPHA), 1.5, 50.0)
    rho = np.sqrt((y - 1.0) / 1000.0)
    low, high = asymptotic_mean_sequence(arm(t, 3.0, 1.0))
    assert mixture((high - 3.0) * t, t, rho) == pytest.approx(1.0 / ALPHA, rel=1e-6)
    assert low + high == pytest.approx(6.0)
    two = asymptotic_sequence(arm(t / 4, 1.0, 3.0), arm(3 * t / 4, 3.0, 2.0), burn_in=30)
    se = np.sqrt(9.0 / (t / 4) + 4.0 / (3 * t / 4))
    assert (two[1] - 2.0) / se == pytest.approx((high - 3.0) * np.sqrt(t))


def test_the_ends_of_two_sub_gaussian_arms_touch_the_region():
    """No pair of means inside M ≤ 1/α has a larger difference than the upper end, and one has it."""
    counts, sd = np.array([300.0, 700.0]), 0.8
    ends = sub_gaussian_sequence(arm(300, 0.0, sd), arm(700, 0.0, sd), sd=sd)
    y = scipy.optimize.brentq(lambda y: y - np.log(y) - 1.0 + np.log(ALPHA), 1.5, 50.0)
    r = 500.0 * sd**2 / (y - 1.0)
    angles = np.linspace(0.0, np.pi / 2, 4001)
    spread = counts * sd**2 + r
    # log M = Σ ½ log(r/V) + n² d² / 2V: an ellipse of the deviations d.
    radius = np.sqrt(2.0 * np.log(1.0 / ALPHA) + np.log(spread / r).sum())
    reach = radius * (np.sqrt(spread) / counts) @ np.stack([np.cos(angles), np.sin(angles)])
    assert ends[1] == pytest.approx(reach.max(), rel=1e-6)
    deviation = (ends[1] / reach.max()) * radius * np.sqrt(spread) / counts
    at = angles[reach.argmax()]
    split = deviation * np.array([np.cos(at), np.sin(at)])
    logs = [np.log(mixture(n * d, n * sd**2, 1.0 / np.sqrt(r))) for n, d in zip(counts, split, strict=True)]
    assert sum(logs) == pytest.approx(np.log(1.0 / ALPHA), rel=1e-5)


def log_mixture(p: np.ndarray, n: int, s: int) -> np.ndarray:
    """log of the beta-binomial over the binomial probability of s hits."""
    return scipy.stats.betabinom.logpmf(s, n, 0.5, 0.5) - scipy.stats.binom.logpmf(s, n, p)


@pytest.mark.parametrize(("n", "s"), [((40, 60), (3, 25)), ((50, 10), (0, 10)), ((200, 300), (1, 2))])
def test_the_ends_of_two_bounded_arms_are_those_of_a_search(n, s):
    grid = np.linspace(0.0005, 0.9995, 2000)
    inside = log_mixture(grid, n[0], s[0])[:, None] + log_mixture(grid, n[1], s[1])[None, :] <= np.log(1.0 / ALPHA)
    differences = (grid[None, :] - grid[:, None])[inside]
    arms = [RunningMean.of([1.0] * hit + [0.0] * (count - hit)) for count, hit in zip(n, s, strict=True)]
    found = bounded_sequence(*arms)
    assert found == pytest.approx((differences.min(), differences.max()), abs=1.5e-3)
    scaled = [RunningMean(one.count, 5.0 + 10.0 * one.mean, 100.0 * one.squares) for one in arms]
    assert bounded_sequence(*scaled, low=5.0, high=15.0) == pytest.approx([10.0 * end for end in found])
    assert bounded_sequence(*arms[::-1]) == pytest.approx((-found[1], -found[0]))


def test_p_values_and_intervals_agree(equal):
    some = equal[0][:40, ::25], equal[1][:40, ::25]
    apart = RunningMean(some[0].count, some[0].mean * 0.85, some[0].squares)
    for arms in (some, (apart, some[1])):
        for level in (0.95, 0.5):
            low, high = bounded_sequence(*arms, level=level)
            assert (((low > 0.0) | (high < 0.0)) == (bounded_p_value(*arms) <= 1.0 - level)).all()
            low, high = asymptotic_sequence(*arms, level=level)
            assert (((low > 0.0) | (high < 0.0)) == (asymptotic_p_value(*arms, level=level) <= 1.0 - level)).all()
    assert (bounded_p_value(apart, some[1])[:, -1] < 0.01).mean() > 0.9


def test_a_sequence_is_shortest_where_it_is_asked_to_be():
    for t in (200.0, 5000.0):
        lengths = [np.ptp(asymptotic_mean_sequence(arm(t, 0.0, 1.0), tightest_at=at)) for at in (t / 3, t, 3 * t)]
        assert lengths[1] < min(lengths[0], lengths[2])
        assert lengths[1] == pytest.approx(2.0 * shortest_factor(0.95) / np.sqrt(t))
        halves = arm(t / 2, 0.0, 1.0), arm(t / 2, 0.0, 1.0)
        lengths = [np.ptp(sub_gaussian_sequence(*halves, sd=1.0, tightest_at=at)) for at in (t / 3, t, 3 * t)]
        assert lengths[1] < min(lengths[0], lengths[2])
    assert shortest_factor(0.95) / 1.96 == pytest.approx(1.55, abs=0.005)


def test_before_there_is_anything_to_know_an_interval_holds_everything():
    none, few, same = RunningMean.of([]), RunningMean.of(np.arange(99.0)), RunningMean.of(np.ones(500))
    for pair in ((none, none), (few, few), (same, same), (few, same)):
        assert asymptotic_sequence(*pair) == (-np.inf, np.inf)
        assert asymptotic_p_value(*pair) == 1.0
    assert np.isfinite(asymptotic_sequence(few, few, burn_in=99)).all()
    assert asymptotic_mean_sequence(few) == asymptotic_mean_sequence(same) == (-np.inf, np.inf)
    assert sub_gaussian_sequence(none, same, sd=1.0) == (-np.inf, np.inf)
    assert bounded_sequence(none, none) == pytest.approx((-1.0, 1.0))
    assert bounded_p_value(none, none) == 1.0


def test_what_is_no_level_range_or_size_is_refused():
    one = RunningMean.of(np.linspace(0.0, 1.0, 200))
    for level in (0.0, 1.0, np.nan):
        with pytest.raises(ConfigError, match="level"):
            asymptotic_sequence(one, one, level=level)
        with pytest.raises(ConfigError, match="level"):
            bounded_sequence(one, one, level=level)
    with pytest.raises(ConfigError, match="tightest_at"):
        asymptotic_mean_sequence(one, tightest_at=0.0)
    with pytest.raises(ConfigError, match="burn_in"):
        asymptotic_sequence(one, one, burn_in=1)
    with pytest.raises(ConfigError, match="sd: a positive number"):
        sub_gaussian_sequence(one, one, sd=0.0)
    with pytest.raises(ConfigError, match="a range was expected, not 1 to 1"):
        bounded_sequence(one, one, low=1.0)
    with pytest.raises(ConfigError, match="prior"):
        bounded_sequence(one, one, prior=(0.0, 1.0))
    with pytest.raises(ShapeError, match=r"from 0 to 0\.4 have a mean between; met 0\.5"):
        bounded_p_value(one, one, high=0.4)
