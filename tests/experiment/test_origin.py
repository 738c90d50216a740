"""A cut in time, and models of different catalogs on the same users."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from foldin.data import Catalog, HeldOut, Histories, catalog_of
from foldin.errors import ConfigError, EmptyLogError, SplitError
from foldin.evaluation import evaluate
from foldin.experiment import cut_log, fit_all, latest_cut, score, until_now
from foldin.experiment.origin import newest_time
from foldin.models import EASEConfig, Popularity, PopularityConfig
from foldin.training import fit
from tests.experiment.nightly import BEGIN, log_of, nightly_log

# Users: ann (before and after), bob (before only), cat (after only), dan (after the cut only an item taken before).
EVENTS = [
    ("ann", "a", BEGIN + 10),
    ("ann", "b", BEGIN + 20),
    ("ann", "c", BEGIN + 110),
    ("ann", "new", BEGIN + 120),
    ("bob", "b", BEGIN + 30),
    ("cat", "a", BEGIN + 130),
    ("dan", "a", BEGIN + 40),
    ("eve", "c", BEGIN + 50),
    ("eve", "b", BEGIN + 100),
]


def test_a_cut_divides_what_is_known_from_what_is_to_be_found():
    origin = cut_log(log_of(EVENTS), BEGIN + 100)
    items = origin.items.to_list()
    assert origin.users.to_list() == ["ann", "eve"]
    assert [[items[i] for i in origin.histories.of(u)] for u in range(2)] == [["a", "b"], ["c"]]
    assert [[items[i] for i in origin.targets.of(u)] for u in range(2)] == [["c", "new"], ["b"]]
    assert origin.newcomers == 1
    assert set(origin.before.users) == {"ann", "bob", "dan", "eve"}
    assert set(origin.before.items["item"]) == {"a", "b", "c"}
    assert origin.before.histories.n_events == 5
    assert len(cut_log(log_of(EVENTS), BEGIN + 1000)) == 0
    with pytest.raises(SplitError, match="all 9 events are among the latest ones"):
        cut_log(log_of(EVENTS), BEGIN + 10)
    for cut in (lambda log: cut_log(log, 100), lambda log: latest_cut(log, "1d")):
        with pytest.raises(SplitError, match=r"(needs|with) a column of absolute times"):
            cut(log_of(EVENTS, times=False))


def test_events_ahead_of_the_clock_are_left_out_and_counted():
    log = log_of(EVENTS)
    assert until_now(log, BEGIN + 130) is log
    found = until_now(log, BEGIN + 109.5)
    assert set(found.users) == {"ann", "bob", "dan", "eve"}
    assert found.items["item"].to_list() == ["a", "b", "c"]
    assert found.histories.times.max() == BEGIN + 100
    note = found.report.warnings[-1]
    assert (note.count, note.dropped) == (3, True)
    assert found.report.kept == found.histories.n_events == 6
    described = log.with_new_items(pl.DataFrame({"item": ["x"], "year": [1999]}))
    assert until_now(described, BEGIN + 109).items["item"].to_list() == ["a", "b", "c", "x"]
    assert until_now(log_of(EVENTS, times=False), 0.0).histories.n_events == len(EVENTS)
    with pytest.raises(EmptyLogError, match="all 9 events are ahead"):
        until_now(log, BEGIN)


def test_the_newest_time_is_that_of_the_newest_event_that_is_not_ahead_of_the_clock():
    early, late = (log_of(EVENTS[a:b]).histories for a, b in ((0, 2), (2, 9)))
    assert newest_time(early, late, now=BEGIN + 1000) == newest_time(early, late) == BEGIN + 130
    assert newest_time(early, late, now=BEGIN + 125) == BEGIN + 120
    assert newest_time(early, late, now=BEGIN + 25) == BEGIN + 20
    assert newest_time(early, late, now=BEGIN) is None
    assert newest_time(replace(early, times=early.times - 2 * BEGIN)) == 20 - BEGIN  # before 1970
    assert newest_time(early, replace(late, times=None)) is None
    assert newest_time() is None


def test_an_item_that_was_taken_before_is_no_target():
    events = [("ann", "a", BEGIN + 10), ("ann", "b", BEGIN + 110), ("bob", "b", BEGIN + 20)]
    log = log_of(events)
    again = Histories(
        items=np.array([0, 0, 1, 1], dtype=np.int32),
        offsets=np.array([0, 3, 4]),
        n_items=2,
        times=np.array([10, 105, 110, 20]),
    )
    origin = cut_log(replace(log, histories=again), 100)
    assert origin.targets.items.tolist() == [1]


def test_the_latest_events_are_those_of_a_period_or_a_share_and_later_than_what_a_model_knows():
    log = nightly_log(1)
    newest = int(log.histories.times.max())
    assert latest_cut(log, "1d") == newest + 1 - 86_400
    assert latest_cut(log, "12h") == newest + 1 - 43_200
    assert latest_cut(log, "2w") == newest + 1 - 14 * 86_400
    cut = latest_cut(log, "0.2")
    assert (log.histories.times >= cut).mean() == pytest.approx(0.2, abs=0.01)
    assert latest_cut(log, "1d", after=newest - 5) == newest - 4
    for odd in ("1", "0", "0.0", "1.5", "-1d", "d", "1y", "yesterday"):
        with pytest.raises(ConfigError, match="a duration such as 12h"):
            latest_cut(log, odd)


def test_the_metric_is_that_of_the_evaluation_where_the_catalogs_are_the_same():
    origin = cut_log(nightly_log(1), latest_cut(nightly_log(1), "1d"))
    made = fit_all(origin.before, EASEConfig(regularization=10.0))
    found = score(made.model, made.catalog, origin, "ndcg@10")
    # The log after the cut has no further item, so that its indices are those of the model.
    assert made.catalog.ids == origin.items.to_list()
    held = HeldOut(fold_in=origin.histories, targets=origin.targets, users=origin.users)
    expected = evaluate(made.model, held, metrics=("ndcg@10",), likelihood=False)
    assert np.allclose(found.values, expected.values("ndcg@10"), atol=1e-12)
    assert found.values.mean() > 0.3
    assert (found.unknown_targets, found.unknown_events) == (0, 0)


def test_models_are_compared_by_external_ids_whatever_the_order_of_their_items():
    origin = cut_log(nightly_log(1), latest_cut(nightly_log(1), "1d"))
    before = origin.before.histories
    order = np.random.default_rng(1).permutation(before.n_items)
    place = np.argsort(order)
    catalog = Catalog.from_ids([origin.before.items["item"][int(at)] for at in order])
    config = EASEConfig(regularization=10.0)
    model = config.model_class(before.n_items, config)
    fit(model, before.reindex(place, before.n_items))
    plain = fit_all(origin.before, config)
    expected = score(plain.model, plain.catalog, origin, "ndcg@10").values
    assert np.allclose(score(model, catalog, origin, "ndcg@10").values, expected, atol=1e-9)


def test_an_item_that_a_model_does_not_know_is_a_miss():
    """By hand: the popularity list of ann is c alone, and her targets are c and an item that no model knows."""
    origin = cut_log(log_of(EVENTS), BEGIN + 100)
    made = fit_all(origin.before, PopularityConfig())
    found = score(made.model, made.catalog, origin, "ndcg@2")
    best = 1.0 + 1.0 / np.log2(3)
    # eve is shown a and b, which ann, bob and dan have taken twice each: b by its index is second.
    assert found.values == pytest.approx([1.0 / best, 1.0 / np.log2(3)])
    assert found.unknown_targets == 1
    smaller = Popularity(1)
    fit(smaller, Histories.from_lists([[0]], 1))
    lone = score(smaller, Catalog.from_ids(["c"]), origin, "recall@2")
    assert lone.values == pytest.approx([0.5, 0.0])
    assert (lone.unknown_targets, lone.unknown_events) == (2, 2)


def test_a_catalog_with_items_that_the_log_has_no_more_of_is_no_trouble():
    origin = cut_log(log_of(EVENTS), BEGIN + 100)
    model = Popularity(3)
    fit(model, Histories.from_lists([[0, 1], [0, 2], [0]], 3))
    found = score(model, Catalog.from_ids(["gone", "c", "b"]), origin, "recall@1")
    assert found.values.tolist() == [0.0, 0.0]  # the list is the item that is gone
    assert catalog_of(origin.before.items, origin.before.histories).ids == ["a", "b", "c"]
