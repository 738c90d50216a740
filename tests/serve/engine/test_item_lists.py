"""Lists for all users: their formulas by hand, the period that they count, and one computation for all processes."""

from collections import Counter

import numpy as np
import pytest

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
        def taken(self, now):
            counted["taken"] += 1
            return super().taken(now)

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
