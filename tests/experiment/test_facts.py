"""Facts of a log, by brute force on small logs; and the worth of the order, by loops."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from foldin.data import Catalog, Histories, last_out, strong
from foldin.experiment import measure_log, measure_order
from foldin.experiment.order import _log_likelihoods, _pairs, _shares
from tests.conftest import make_log


def test_the_numbers_are_those_of_a_count_by_hand(split):
    facts, train = measure_log(split), split.train
    lists = [train.of(user).tolist() for user in range(len(train))]
    assert (facts.users, facts.items, facts.events) == (len(lists), train.n_items, sum(map(len, lists)))
    assert facts.density == len({(u, i) for u, one in enumerate(lists) for i in one}) / (len(lists) * train.n_items)
    assert facts.repeated == 0.0
    assert facts.events_per_user == tuple(np.quantile([len(one) for one in lists], (0.1, 0.5, 0.9)))
    assert facts.validation_users == int((split.validation.targets.lengths > 0).sum())
    assert facts.order == "times"
    assert "training users, items, events" in repr(facts)


def test_which_items_are_retired_is_no_feature(split):
    table = split.catalog.table.with_columns(is_active=pl.lit(value=False), year=1999)
    facts = measure_log(dataclasses.replace(split, catalog=Catalog(table)))
    assert set(facts.features) == {*measure_log(split).features, "year"}


def test_items_without_earlier_events_and_ties_are_counted():
    split = last_out(make_log(users=30))
    times = np.arange(split.train.n_events, dtype=np.int64) // 2 * 10
    train = dataclasses.replace(split.train, times=times)
    facts = measure_log(dataclasses.replace(split, train=train))
    cut = np.quantile(times, 0.9, method="higher")
    before = set(train.items[times < cut].tolist())
    late = train.items[times >= cut].tolist()
    assert facts.cold == sum(item not in before for item in late) / len(late)
    users = train.users()
    both = [(u, t) for u, t in zip(users.tolist(), times.tolist(), strict=True)]
    assert facts.tied == sum(both.count(one) > 1 for one in both) / len(both)


def test_without_times_the_order_is_that_of_the_file():
    split = strong(make_log(users=30, times=False), held_out=5)
    facts = measure_log(split)
    assert (facts.order, facts.tied, facts.cold) == ("file", None, None)
    assert "the order of the rows of the file" in repr(facts)


def test_the_likelihood_of_transitions_is_that_of_loops():
    rng = np.random.default_rng(0)
    before, after, given, wanted = (rng.integers(0, 5, n) for n in (60, 60, 30, 30))
    shares = _shares(after, 5)
    assert shares == pytest.approx([(1 + list(after).count(i)) / 65 for i in range(5)])
    sums = {}
    for kappa in (1.0, 10.0, 100.0, 1_000.0, 10_000.0):
        found = []
        for i, j in zip(given, wanted, strict=True):
            both = sum((a, b) == (i, j) for a, b in zip(before, after, strict=True))
            found.append(np.log((both + kappa * shares[j]) / (list(before).count(i) + kappa)))
        sums[kappa] = np.array(found)
    expected = max(sums.values(), key=np.sum)
    assert _log_likelihoods(before, after, given, wanted, shares) == pytest.approx(expected)


def test_the_earlier_item_is_one_before_the_last():
    read = Histories.from_lists([[3, 1, 4], [5, 9, 2, 6, 8]], 10)
    earlier = set()
    for seed in range(30):
        users, items, last, other = _pairs(read, np.random.default_rng(seed))
        assert users.tolist() == [0, 1, 1, 1]
        assert items.tolist() == [4, 2, 6, 8]
        assert last.tolist() == [1, 9, 2, 6]
        assert other[:2].tolist() == [3, 5]
        earlier.add(int(other[3]))
    assert earlier == {5, 9, 2}


@pytest.mark.parametrize("follow", [True, False])
def test_the_gain_is_above_zero_exactly_where_items_follow_each_other(follow):
    rng = np.random.default_rng(1)
    users = []
    for _ in range(300):
        items = [int(rng.integers(50))]
        while len(items) < 8:
            item = (items[-1] + 1) % 50 if follow and rng.random() < 0.8 else int(rng.integers(50))
            if item not in items:
                items.append(item)
        users.append(items if follow else rng.permutation(items).tolist())
    found = measure_order(Histories.from_lists(users, 50))
    assert found.users == 300
    assert (found.low > 1.0) is follow
    assert follow or found.low < 0.0 < found.high


def test_a_log_without_three_items_of_a_user_has_no_order():
    assert measure_order(Histories.from_lists([[0, 1], [2], [3, 3, 3, 4]], 5)) is None
    assert measure_order(Histories.empty(3, 4)) is None
