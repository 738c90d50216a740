"""Lists for all users: their formulas by hand, the period that they count, and one computation for all processes."""

from collections import Counter

import numpy as np
import pytest

from foldin.data import EventWeights
from foldin.serve import Event
from foldin.serve.engine.item_lists import ItemLists, popular, trending
from foldin.serve.storage.item_lists import ItemListStore, ListedItem, Taken
from foldin.serve.storage.items import ItemChange, ItemStore

DAY = 86_400
NOW = 1_700_000_100


def store_events(store, *rows: tuple[str, int, float]) -> None:
    """Events of (item, number, days ago)."""
    events = [Event(f"u{user}", item, int(NOW - days * DAY)) for item, number, days in rows for user in range(number)]
    store.append(events)


def test_a_trend_is_the_posterior_mean_of_a_rate():
    taken = [Taken("steady", 10, 100), Taken("rising", 30, 100), Taken("rare", 1, 0), Taken("gone", 0, 5)]
    # X = 41, Y = 205: the steady and the rising one were expected 41 · 100 / 205 = 20 times, the rare one 0 times.
    expected = [ListedItem("rising", 40 / 30), ListedItem("rare", 11 / 10), ListedItem("steady", 20 / 30)]
    assert trending(taken, prior=10.0) == expected
    assert [one.item for one in popular(taken)] == ["rising", "steady", "gone", "rare"]


def test_the_score_is_the_mean_of_the_posterior_on_a_grid():
    rates = np.linspace(1e-4, 60, 400_000)
    x, e, a = 7, 2.5, 3.0
    log_posterior = x * np.log(rates * e) - rates * e + (a - 1) * np.log(rates) - a * rates
    weights = np.exp(log_posterior - log_posterior.max())
    (found, _) = trending([Taken("one", x, 5), Taken("other", 13, 35)], prior=a)
    assert found.score == pytest.approx((rates * weights).sum() / weights.sum(), rel=1e-4)


def test_more_of_everything_is_no_trend_and_without_a_past_the_most_taken_leads():
    assert {one.score for one in trending([Taken("a", 20, 10), Taken("b", 200, 100)], prior=0.5)} == {1.0}
    assert [one.item for one in trending([Taken("a", 2, 0), Taken("b", 3, 0)])] == ["b", "a"]
    assert trending([]) == popular([]) == []


def test_events_count_for_thirty_days_and_the_last_day_apart(store):
    store_events(store, ("a", 2, 0.5), ("b", 3, 1.5), ("a", 4, 29), ("old", 9, 31), ("future", 2, -1), ("edge", 1, 30))
    found = ItemListStore(store.engine).taken(NOW)
    assert found == [Taken("a", 2, 4), Taken("b", 0, 3)]


def test_events_weigh_by_the_rule_of_a_run_and_dislikes_do_not_count(store):
    rule = EventWeights(
        kinds={"view": 1.0, "buy": 10.0, "glance": 0.0, "dislike": -2.0},
        half_life=3600,
        dislike_below=3.0,
        min_rating=4.0,
    )
    late, before = NOW - DAY // 2, NOW - 5 * DAY
    rows = [
        ("a", late, "view", None),
        ("a", late, "buy", 5.0),
        ("a", before, "other", 4.0),  # a kind without a weight
        ("b", late, "dislike", None),
        ("b", before, "glance", None),
        ("c", late, "view", 2.9),  # a dislike
        ("c", before, "view", 3.0),  # neither
        ("c", before, "buy", None),
    ]
    store.append([Event(f"u{at}", item, time, kind, value) for at, (item, time, kind, value) in enumerate(rows)])
    lists = ItemListStore(store.engine)
    assert lists.taken(NOW, rule) == [Taken("a", 11.0, 1.0, 102.0), Taken("c", 0.0, 10.0, 100.0)]
    assert lists.taken(NOW) == [Taken("a", 2, 1), Taken("b", 1, 1), Taken("c", 1, 2)]
    assert lists.taken(NOW, EventWeights(half_life=60)) == [
        Taken("a", 2, 1, 3),
        Taken("b", 1, 1, 2),
        Taken("c", 1, 2, 3),
    ]
    made = ItemLists(lists, weighting=lambda: rule)
    made.look(NOW)
    assert made.get("popular") == (ListedItem("a", 12.0), ListedItem("c", 10.0))
    # X = 11, Y = 11, and an event is worth 202 / 22 on average.
    assert made.get("trending") == (ListedItem("a", pytest.approx((10 * 202 / 22 + 11) / (10 * 202 / 22 + 1))),)


def test_a_trend_does_not_depend_on_the_unit_of_the_weights():
    numbers = [("steady", 10, 100), ("rising", 30, 100), ("rare", 1, 0)]
    plain = trending([Taken(*one) for one in numbers])
    tripled = trending([Taken(item, 3.0 * x, 3.0 * y, 9.0 * (x + y)) for item, x, y in numbers])
    assert [one.item for one in tripled] == [one.item for one in plain]
    assert [one.score for one in tripled] == pytest.approx([one.score for one in plain])


def test_a_sum_of_weights_is_as_uncertain_as_its_number_of_units():
    rng = np.random.default_rng(0)
    views, buys = rng.poisson(20.0, 100_000), rng.poisson(2.0, 100_000)
    unit = (20.0 + 2.0 * 10**2) / (20.0 + 2.0 * 10)  # of an item with 20 views and 2 purchases of weight 10
    in_units = (views + 10 * buys) / unit
    assert in_units.var() == pytest.approx(in_units.mean(), rel=0.03)
    (found,) = trending([Taken("one", 40.0, 40.0, 440.0)], prior=1.0)
    assert found.score == (unit + 40.0) / (unit + 40.0) == 1.0


def test_recent_items_are_the_newest_that_are_active(store):
    items, lists = ItemStore(store.engine), ItemListStore(store.engine)
    items.put([ItemChange(item="b"), ItemChange(item="a"), ItemChange(item="gone", is_active=False)])
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE foldin_items SET created = 5 WHERE item = 'a'")
    assert [one.item for one in lists.newest_items(9)] == ["b", "a"]
    assert [one.item for one in lists.newest_items(1)] == ["b"]
    assert lists.newest_items(9)[1].score == 5.0


def test_one_process_makes_the_lists_of_a_period_and_all_show_them(store):
    counted: Counter[str] = Counter()

    class Counting(ItemListStore):
        def taken(self, now, weighting=None):
            counted["taken"] += 1
            return super().taken(now, weighting)

    first, second = (ItemLists(Counting(store.engine), seconds=300) for _ in range(2))
    reader = ItemLists(Counting(store.engine), seconds=0)
    store_events(store, ("a", 2, 0.5))
    reader.look(NOW)
    assert (reader.time, reader.get("popular")) == (None, ())
    first.look(NOW)
    store_events(store, ("b", 3, 0.5))
    for one in (second, first, reader):
        one.look(NOW + 1)
        assert one.get("popular") == (ListedItem("a", 2.0),)
        assert one.time == NOW // 300 * 300
    assert counted["taken"] == 1
    second.look(NOW + 300)
    reader.look(NOW + 300)
    assert [one.item for one in reader.get("popular")] == ["b", "a"]
    assert counted["taken"] == 2
