"""A history in indices: ids and titles, times, repeats, unknown items."""

import polars as pl
import pytest

from foldin.data import Catalog, ResolvedHistory, read_log, repeats_of, resolve_history
from foldin.errors import DataError, ShapeError, UnknownItemError

CATALOG = Catalog(pl.DataFrame({"item": ["a", "b", "c", "d"], "title": ["A", "B", "C", "D"], "count": [4, 3, 2, 1]}))


@pytest.mark.parametrize(
    ("repeats", "items", "times"), [("first", (1, 0, 2), (10, 11, 13)), ("last", (0, 2, 1), (12, 13, 14))]
)
def test_repeats_count_as_the_log_s_rule_says(repeats, items, times):
    ids = ["b", "a", "a", "c", "b"]
    found = resolve_history(CATALOG, ids, repeats=repeats)
    assert found == ResolvedHistory(items, None, ())
    assert resolve_history(CATALOG, ids, times=range(10, 15), repeats=repeats) == ResolvedHistory(items, times, ())
    (users,) = [found.histories(4)]
    assert users.of(0).tolist() == list(items)
    assert users.times is None


@pytest.mark.parametrize("repeats", ["first", "last"])
def test_a_history_is_what_the_same_log_would_have_of_that_user(tmp_path, repeats):
    taken = [("b", 5), ("c", 1), ("b", 2), ("d", 9), ("c", 9), ("a", 9), ("b", 9), ("a", 4)]
    path = tmp_path / "log.csv"
    path.write_text("user,item,timestamp\n" + "".join(f"u,{i},{1_600_000_000 + t}\n" for i, t in taken))
    log = read_log(path, repeats=repeats)
    kept = [log.items["item"][int(at)] for at in log.histories.of(0)]
    found = resolve_history(CATALOG, [i for i, _ in taken], times=[t for _, t in taken], repeats=repeats)
    assert [CATALOG.ids[at] for at in found.items] == kept
    assert [1_600_000_000 + t for t in found.times] == log.histories.times.tolist()
    assert found.histories(4).times.tolist() == list(found.times)


def test_unknown_items_are_handed_back_once_and_take_their_times_along():
    found = resolve_history(CATALOG, ["x", "a", "y", "x", "b"], times=[1, 2, 3, 4, 5])
    assert found == ResolvedHistory((0, 1), (2, 5), ("x", "y"))
    assert resolve_history(CATALOG, ["A", " a", ""]).unknown == ("A", " a", "")
    assert resolve_history(CATALOG, []) == ResolvedHistory((), None, ())
    assert resolve_history(CATALOG, [], times=[]).histories(4).lengths.tolist() == [0]


def test_titles_come_after_ids_and_repeat_them():
    assert resolve_history(CATALOG, ["b"], titles=["c", "B", "a"]).items == (1, 2, 0)
    assert resolve_history(CATALOG, ["b"], titles=["c", "B", "a"], repeats="last").items == (2, 1, 0)
    with pytest.raises(UnknownItemError, match="no item in the catalog has the title 'z'"):
        resolve_history(CATALOG, [], titles=["z"])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="2 events came with 1 times"):
        resolve_history(CATALOG, ["a", "b"], times=[1])
    with pytest.raises(DataError, match="'first-of-kind', 'keep', not 'both'"):
        resolve_history(CATALOG, ["a"], repeats="both")


def test_the_rule_of_a_run():
    assert repeats_of({"source": {"path": "log.csv", "repeats": "last"}}) == "last"
    for info in ({"source": {"path": "log.csv"}}, {"source": {}}, {"source": None}, {}):
        assert repeats_of(info) == "first"


def test_one_event_of_each_kind_counts_where_the_log_kept_one_of_each():
    ids, kinds, times = ["a", "b", "a", "a", "a"], ["view", "view", "buy", "view", "buy"], [10, 20, 30, 5, 40]
    found = resolve_history(CATALOG, ids, times=times, kinds=kinds, repeats="first-of-kind")
    names = [CATALOG.ids[at] for at in found.items]
    assert (names, found.times) == (["a", "b", "a"], (5, 20, 30))
    assert found.items == resolve_history(CATALOG, ["a", "b", "a"], kinds=["", "x", "y"], repeats="first-of-kind").items
    for repeats in ("first", "last"):  # which ignore kinds
        plain = resolve_history(CATALOG, ids, times=times, repeats=repeats)
        assert resolve_history(CATALOG, ids, times=times, kinds=kinds, repeats=repeats) == plain
    assert resolve_history(CATALOG, ids, repeats="first-of-kind") == resolve_history(CATALOG, ids)
    with pytest.raises(ShapeError, match="5 events came with 1 kinds"):
        resolve_history(CATALOG, ids, kinds=["view"])
