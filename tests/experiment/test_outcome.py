"""Decisions on paired differences: what is accepted, what is worse, and how often that is wrong."""

import hashlib
import json
import re
import threading
import time
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest
import scipy.stats

from foldin.errors import ConfigError
from foldin.experiment import nights as kept
from foldin.experiment.nights import (
    NIGHTS,
    Night,
    decide_night,
    pooled,
    read_nights,
    recipe_of,
    secret_of,
    write_nights,
)
from foldin.experiment.outcome import Outcome, Pooled, Rule, decide
from foldin.experiment.retrained import Retrained
from foldin.models import user_key

RULE = Rule(metric="ndcg@10", margin=-0.01)
SD = 0.165  # of the difference of NDCG@10 of two models of one kind on MovieLens-1M


def normal(mean: float, users: int, seed: int = 0) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean, SD, users), -1.0, 1.0)


def exactly(mean: float, users: int, sd: float = SD) -> np.ndarray:
    """Differences whose mean and standard deviation are exactly these."""
    values = np.random.default_rng(0).normal(0.0, 1.0, users)
    values = (values - values.mean()) / values.std(ddof=1)
    return mean + sd * values


def night(differences: dict[str, float], incumbent: str = "one", *, secret: bytes = bytes(32), **about) -> Night:
    users, values = pl.Series(list(differences), dtype=pl.String), np.array(list(differences.values()), dtype=float)
    whole = {"when": "2026-01-01T00:00:00+00:00", "recipe": "r", "metric": "ndcg@10", "cut": 0, **about}
    return Night.of(users, values, secret=secret, incumbent=incumbent, **whole)


@pytest.mark.parametrize("look", [1, 2, 5])
def test_the_interval_is_that_of_the_mean_at_the_level_of_the_look(look):
    found = decide(exactly(0.003, 4000), RULE, look=look)
    z = scipy.stats.norm.ppf(1.0 - 0.05 / (look * (look + 1)) / 2.0)
    assert found.level == pytest.approx(1.0 - 0.05 / (look * (look + 1)))
    assert (found.low, found.high) == pytest.approx((0.003 - z * SD / 4000**0.5, 0.003 + z * SD / 4000**0.5), abs=2e-4)
    assert found.difference == pytest.approx(0.003)


@pytest.mark.parametrize(
    ("mean", "margin", "outcome"),
    [
        (0.05, -0.01, Outcome.ACCEPTED),
        (0.0, -0.01, Outcome.ACCEPTED),
        (-0.05, -0.01, Outcome.WORSE),
        (-0.009, -0.01, Outcome.WORSE),  # not above the margin, and surely below 0
        (-0.003, -0.005, Outcome.UNDECIDED),
        (-0.009, -0.02, Outcome.ACCEPTED),  # surely worse, but by less than what is put up with
        (0.003, 0.01, Outcome.WORSE),  # surely not better by the margin
        (0.008, 0.01, Outcome.UNDECIDED),
        (0.02, 0.01, Outcome.ACCEPTED),
    ],
)
def test_the_outcome_is_where_the_interval_lies(mean, margin, outcome):
    """With 4,000 users, half the interval's width is .0058."""
    assert decide(exactly(mean, 4000), Rule(margin=margin)).outcome is outcome


def test_equal_models_are_undecided_until_there_are_enough_users():
    few, many = decide(exactly(0.0, 1000), RULE), decide(exactly(0.0, 1800), RULE)
    assert (few.outcome, many.outcome) == (Outcome.UNDECIDED, Outcome.ACCEPTED)
    # By the normal distribution (2.24 · .165 / .01)² = 1,368 users.
    assert re.search(r"about 1,[345]00 users decide", few.sentence(RULE))
    assert few.sentence(RULE).startswith("undecided: the difference of ndcg@10 is +0.0000 (97.5 % interval -0.01")


@pytest.mark.parametrize("users", [20, 60, 400])
def test_models_with_the_same_lists_are_decided_by_the_number_of_users(users):
    """As with Clopper and Pearson, no difference among n users excludes a mean below (α/2)^(1/n) − 1."""
    found = decide(np.zeros(users), RULE)
    low = (0.025 / 2) ** (1.0 / users) - 1.0
    assert (found.low, found.high) == pytest.approx((low, -low), rel=0.15)
    assert (found.outcome is Outcome.ACCEPTED) == (low > -0.01)


def test_too_few_users_have_no_interval_and_decide_nothing():
    for users in (0, 1, 9):
        found = decide(np.full(users, 0.5), RULE)
        assert (found.outcome, found.low, found.half_width) == (Outcome.UNDECIDED, None, None)
        assert f"{users} users are too few" in found.sentence(RULE)


def test_looking_every_night_does_not_swap_in_what_is_at_the_margin():
    """At the margin the probability of ever being accepted is at most α/2; without the levels of the looks it would be above."""
    nights, trials, users = 5, 240, 3100
    rng = np.random.default_rng(3)
    ever = plain = 0
    for _ in range(trials):
        values = rng.normal(RULE.margin, SD, nights * users)
        ends = [values[: (look + 1) * users] for look in range(nights)]
        ever += any(decide(one, RULE, look=look).outcome is Outcome.ACCEPTED for look, one in enumerate(ends, start=1))
        plain += any(one.mean() - 1.96 * one.std() / len(one) ** 0.5 > RULE.margin for one in ends)
    assert ever <= scipy.stats.binom.ppf(0.999, trials, 0.025)
    assert plain > scipy.stats.binom.ppf(0.95, trials, 0.025)


def test_rules_are_read_from_text_and_wrong_ones_are_refused():
    assert Rule.of("ndcg@10:-0.01") == RULE
    assert Rule.of("recall@20:.005", undecided="fresh") == Rule(metric="recall@20", margin=0.005, undecided="fresh")
    for text in ("ndcg@10", "ndcg@10:", "ndcg@10:low", "ndcg@10:nan", ":0.1"):
        with pytest.raises(ConfigError, match=r"METRIC:MARGIN was expected|metric ''"):
            Rule.of(text)
    with pytest.raises(ConfigError, match="metric 'auc'"):
        Rule.of("auc:-0.01")
    with pytest.raises(ConfigError, match="between −1 and 1"):
        Rule.of("ndcg@10:-2")
    with pytest.raises(ConfigError, match="one of keep, fresh"):
        Rule(undecided="toss")
    swapped = {one for one in Outcome if Rule().swaps(Pooled(outcome=one))}
    assert swapped == {Outcome.FIRST, Outcome.ACCEPTED}
    assert {one for one in Outcome if Rule(undecided="fresh").swaps(Pooled(outcome=one))} == swapped


@pytest.mark.parametrize(
    ("mean", "margin", "taken"), [(-0.3, -0.01, False), (-0.005, -0.01, True), (0.02, 0.05, False), (0.06, 0.05, True)]
)
def test_an_undecided_model_is_taken_as_the_fresh_one_only_if_its_mean_is_not_below_the_margin(mean, margin, taken):
    """A dozen users, of whom no interval decides."""
    found = decide(exactly(mean, 12, sd=0.6), Rule(margin=margin))
    assert found.outcome is Outcome.UNDECIDED
    assert not Rule(margin=margin).swaps(found)
    rule = Rule(margin=margin, undecided="fresh")
    assert rule.swaps(found) is taken
    told = Retrained(rule=rule, decision=found, swapped=taken, generation=2, seconds={}).sentence
    assert told.endswith("the fresh model is taken" if taken else "so that the fresh model is not taken")


def test_a_user_counts_once_with_the_mean_of_the_nights():
    first = night({"ann": 0.4, "bob": 0.0, **{f"u{k}": 0.1 for k in range(20)}})
    second = night({"ann": 0.2, "cat": -0.3, **{f"v{k}": -0.1 for k in range(20)}})
    found = pooled([first], second, Rule(margin=0.0))
    assert found.users == 43
    assert found.difference == pytest.approx((0.3 + 0.0 - 0.3 + 20 * 0.1 - 20 * 0.1) / 43)
    assert (found.nights, found.look) == (2, 2)


def test_only_nights_of_the_same_pool_are_pooled():
    users = {f"u{k}": 0.1 * (k % 3 - 1) for k in range(30)}
    tonight = night(users)
    others = [night(users, "other"), night(users, recipe="s"), night(users, metric="ndcg@20")]
    found = pooled(others, tonight, RULE)
    assert (found.users, found.nights, found.look) == (30, 1, 1)


def test_a_pool_goes_back_only_as_far_as_the_margin_needs():
    own = [{f"n{number}u{k}": float(one) for k, one in enumerate(exactly(0.0, 1100))} for number in range(5)]
    *earlier, tonight = map(night, own)
    found = pooled(earlier, tonight, rule := Rule(margin=-0.0085))
    # At the fifth look z is 3.14, so that (3.14 · .165 / .0085)² = 3,715 users are needed: those of four nights.
    assert (found.nights, found.users, found.look) == (4, 4400, 5)
    assert found.outcome is Outcome.ACCEPTED
    assert "4,400 users of 4 nights" in found.sentence(rule)


def test_nights_are_kept_and_damage_of_one_stops_no_other(tmp_path):
    assert read_nights(tmp_path) == []
    nights = [night({"ann": 0.123456789, "bob": 0.0}), night({"ann": 0.5}, "two"), night({"cat": -0.5}, "two")]
    write_nights(tmp_path, nights)
    found = read_nights(tmp_path)
    assert [len(one.differences) for one in found] == [0, 1, 1]  # the users of an earlier incumbent are dropped
    assert [(one.users, one.incumbent) for one in found] == [(2, "one"), (1, "two"), (1, "two")]
    assert found[0].difference == pytest.approx(0.0617283945)
    assert found[1].differences == nights[1].differences
    assert "ann" not in (tmp_path / NIGHTS).read_text()
    lines = (tmp_path / NIGHTS).read_text().splitlines()
    damaged = [lines[1][:-20], "null", '{"when": 1}', "", *(lines[2].replace("-0.5", odd) for odd in ('"x"', "NaN"))]
    (tmp_path / NIGHTS).write_text("\n".join((lines[0], *damaged, lines[2])))
    assert [one.users for one in read_nights(tmp_path)] == [2, 1]


def test_users_are_kept_by_digests_that_nobody_can_compute_without_the_secret_of_the_folder(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    secret = secret_of(here)
    assert secret == secret_of(here) != secret_of(there)
    assert (here / ".nights.key").stat().st_mode & 0o077 == 0
    one = night({"ann": 0.5}, secret=secret)
    digests = {*one.differences, *night({"ann": 0.5}, "two", secret=secret).differences}
    digests |= set(night({"ann": 0.5}, secret=secret_of(there)).differences)
    assert len(digests) == 3  # the user of two pools, or of two folders, is not seen to be the same
    plain = {hashlib.blake2b(b"ann", digest_size=8).hexdigest(), f"{user_key('ann'):032x}"[:16]}
    assert not digests & plain
    assert night({"ann": 0.25}, secret=secret).differences.keys() == one.differences.keys()  # in one pool it is
    (here / ".nights.key").write_text("cut o")
    assert len(secret_of(here)) == 32


def test_nights_with_plain_digests_of_users_lose_them_and_are_of_no_pool(tmp_path):
    old = replace(night({"ann": 0.5}), key="", differences={f"{user_key('ann'):032x}"[:16]: 0.5})
    stored = asdict(old)
    del stored["key"]
    (tmp_path / NIGHTS).write_text(json.dumps(stored) + "\n")
    tonight = night({"ann": 0.5, "bob": 0.0}, secret=secret_of(tmp_path))
    assert decide_night(tmp_path, tonight, RULE).users == 2
    assert [len(one.differences) for one in read_nights(tmp_path)] == [0, 2]
    assert next(iter(old.differences)) not in (tmp_path / NIGHTS).read_text()


def test_nights_that_are_kept_at_the_same_time_are_all_kept_and_counted(tmp_path, monkeypatch):
    def slowly(folder) -> list[Night]:
        found = read_nights(folder)
        time.sleep(0.02)  # the others come meanwhile
        return found

    monkeypatch.setattr(kept, "read_nights", slowly)
    looks = []
    users = [{f"n{number}u{at}": 0.0 for at in range(5)} for number in range(4)]

    def keep(differences: dict[str, float]) -> None:
        looks.append(decide_night(tmp_path, night(differences), RULE).look)

    threads = [threading.Thread(target=keep, args=(one,)) for one in users]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(looks) == [1, 2, 3, 4]
    found = read_nights(tmp_path)
    assert sorted(map(sorted, (one.differences for one in found))) == sorted(
        sorted(night(one).differences) for one in users
    )
    assert {one.outcome for one in found} == {"undecided"}


def test_a_recipe_is_the_model_its_settings_and_how_training_starts():
    one = recipe_of("ease", {"regularization": 1.0}, warm=False)
    assert one == recipe_of("ease", {"regularization": 1.0}, warm=False)
    others = [("als", {"regularization": 1.0}, False), ("ease", {"regularization": 2.0}, False)]
    others.append(("ease", {"regularization": 1.0}, True))
    assert one not in {recipe_of(name, config, warm=warm) for name, config, warm in others}
