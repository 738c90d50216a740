"""Better, worse or undecided: by the interval, at the promised rate of errors."""

import json

import numpy as np
import pytest
import scipy.stats

from foldin.errors import ConfigError, ShapeError
from foldin.evaluation import Verdict, decide, intervals, users_needed


def normal(mean: float, sd: float = 1.0, users: int = 4000, seed: int = 0) -> np.ndarray:
    """Differences of exactly this mean and standard deviation."""
    values = np.random.default_rng(seed).normal(size=users)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


HALF = 1.96 / np.sqrt(4000)  # of the interval of 4,000 users


@pytest.mark.parametrize(
    ("mean", "margin", "verdict"),
    [
        (1.2 * HALF, 0.0, Verdict.BETTER),
        (0.8 * HALF, 0.0, Verdict.UNDECIDED),
        (-1.2 * HALF, 0.0, Verdict.WORSE),
        (-0.8 * HALF, 2 * HALF, Verdict.BETTER),
        (-1.2 * HALF, 2 * HALF, Verdict.UNDECIDED),
        (-3.2 * HALF, 2 * HALF, Verdict.WORSE),
    ],
)
def test_the_verdict_is_that_of_the_interval_against_the_margin(mean, margin, verdict):
    found = decide(normal(mean), margin=margin)
    assert found.verdict is verdict
    assert (found.low, found.high) == pytest.approx((mean - HALF, mean + HALF), abs=0.1 * HALF)
    assert found.difference == pytest.approx(mean)
    assert json.loads(json.dumps(found.as_dict()))["verdict"] == verdict.value


def test_the_sentence_says_which_and_why():
    assert decide(normal(0.1), metric="ndcg@10").sentence.startswith(
        "Better: the difference of ndcg@10 is +0.1, with a 95 % "
    )
    assert decide(normal(0.0), margin=0.1).sentence.startswith("Not worse by more than the margin of 0.1: ")
    assert decide(normal(-0.2), margin=0.1).sentence.startswith("Worse by more than the margin of 0.1: ")
    assert decide(normal(-0.2)).sentence.startswith("Worse: ")
    assert decide(normal(0.0)).sentence.endswith("which holds 0.")
    needed = f"{users_needed(1.0, 0.02):,}"
    assert decide(normal(-0.01), margin=0.02).sentence.endswith(f"which holds -0.02; about {needed} users are needed.")
    assert decide(np.ones(9)).sentence == "Undecided: 9 users give no interval of the difference of metric."
    assert repr(decide(normal(0.1))) == decide(normal(0.1)).sentence


def test_a_verdict_is_withheld_with_its_reason_and_the_figures_stay():
    found = decide(normal(0.1))
    withheld = found.without_verdict("the users are not those that were planned")
    assert (found.verdict, withheld.verdict) == (Verdict.BETTER, Verdict.UNDECIDED)
    assert withheld.sentence == "Undecided: the users are not those that were planned."
    assert (withheld.low, withheld.high, withheld.half_width) == (found.low, found.high, found.half_width)
    assert found.half_width == pytest.approx((found.high - found.low) / 2)


def test_without_an_interval_nothing_is_decided():
    for differences in (np.array([]), np.array([0.5]), np.arange(9.0), np.zeros(500)):
        found = decide(differences, margin=0.1)
        assert found.verdict is Verdict.UNDECIDED
        assert found.low is found.high is None
    assert decide(np.arange(1.0, 100.0), anytime=True).low is None  # an asymptotic sequence begins at a hundred users
    assert decide(np.zeros(500), margin=0.1).users_needed is None


def test_a_run_that_is_worse_by_the_margin_is_seldom_called_better():
    rng, runs = np.random.default_rng(1), 400
    found = [decide(rng.exponential(size=3100) - 1.1, margin=0.1).verdict for _ in range(runs)]
    assert found.count(Verdict.BETTER) <= scipy.stats.binom.ppf(0.999, runs, 0.025)
    assert found.count(Verdict.WORSE) <= scipy.stats.binom.ppf(0.999, runs, 0.025)


def test_asking_every_night_needs_an_interval_for_that(monkeypatch):
    monkeypatch.setattr(intervals, "_MOST_DRAWN", 50)  # the usual interval without drawing, which is quicker
    rng, runs, nights = np.random.default_rng(2), 120, range(100, 2500, 80)
    wrong = {True: 0, False: 0}
    for _ in range(runs):
        differences = rng.normal(size=nights[-1])
        for anytime in wrong:
            wrong[anytime] += any(
                decide(differences[:users], anytime=anytime).verdict is not Verdict.UNDECIDED for users in nights
            )
    most = scipy.stats.binom.ppf(0.999, runs, 0.05)
    assert wrong[True] <= most < wrong[False]


@pytest.mark.parametrize(("margin", "true", "level", "power"), [(0.01, 0.0, 0.95, 0.8), (0.0, 0.02, 0.9, 0.95)])
def test_the_number_of_users_is_the_least_that_has_the_power(margin, true, level, power):
    users = users_needed(0.165, margin, true_difference=true, level=level, power=power)

    def probability(n: int) -> float:
        """P(the lower end of the interval is above −margin)."""
        return scipy.stats.norm.sf(scipy.stats.norm.isf((1.0 - level) / 2), loc=(true + margin) * np.sqrt(n) / 0.165)

    assert probability(users - 1) < power <= probability(users)
    assert users_needed(0.165, margin, true_difference=true, level=level, power=power, anytime=True) > users


def test_the_example_of_the_margin_of_one_hundredth():
    assert users_needed(0.165, 0.01) == 2137
    assert decide(normal(0.0, sd=0.165), margin=0.01).users_needed == 2137


def test_what_is_no_margin_or_difference_is_refused():
    for margin in (-0.1, np.nan):
        with pytest.raises(ConfigError, match="margin"):
            decide(normal(0.0), margin=margin)
    with pytest.raises(ShapeError, match="user 3 is not finite"):
        decide(np.append(np.zeros(3), np.nan))
    with pytest.raises(ShapeError, match="level"):
        decide(normal(0.0), level=1.0)
    with pytest.raises(ConfigError, match=r"is not above −0\.1"):
        users_needed(1.0, 0.1, true_difference=-0.1)
    with pytest.raises(ConfigError, match="users_needed"):
        users_needed(0.0, 0.1)
