"""Experiments in both databases: their periods, their users, and the events that their lists led to, counted by hand as well."""

import itertools

import numpy as np
import pytest

from foldin.serve import DeploymentStore, Event, ExperimentStore, Impression, ImpressionStore, RunRef

HOUR = 3600


def shown(list_id: str, user: str | None, at: int, items, *, arm="one", split: int | None = 5, **about) -> Impression:
    whole = {"model": arm, "run": f"run of {arm}", "ranker": "exact", "arm": arm, "share": 0.5, **about}
    return Impression(list_id=list_id, user=user, time=at, items=items, split=split, **whole)


@pytest.fixture
def found(store) -> ExperimentStore:
    return ExperimentStore(store.engine)


def test_each_change_of_the_split_is_an_experiment_until_the_next(store, found, monkeypatch):
    clock = itertools.count(1000, 10)
    monkeypatch.setattr("foldin.serve.storage.changes.time.time", lambda: next(clock))
    rows = DeploymentStore(store.engine)
    for name in ("one", "two", "three"):
        rows.deploy(name, RunRef(f"/runs/{name}", name), key="anna")
    assert found.periods() == []
    rows.split({"one": 0.5, "two": 0.5}, key="anna")  # 4
    rows.deploy("two", RunRef("/runs/new", "new"), key="anna")  # 5, no change of the split
    rows.split({"one": 0.5, "three": 0.5}, key="bert")  # 6, which says nothing of "one"
    rows.split({}, key="bert")  # 7
    rows.split({"two": 1.0}, key="anna")  # 8
    newest, second, first = found.periods()
    assert (first.id, first.key, first.shares) == (4, "anna", {"one": 0.5, "two": 0.5})
    assert (second.id, second.key, second.shares) == (6, "bert", {"one": 0.5, "three": 0.5})
    assert (newest.id, newest.end, newest.shares) == (8, None, {"two": 1.0})
    assert first.end == second.start
    assert second.end < newest.start


def test_users_enter_with_their_first_list_and_lists_are_counted_by_who_answered(store, found):
    lists = [
        shown("a", "ann", 300, ["i1"]),
        shown("b", "ann", 100, [], model="two"),
        shown("c", "bob", 200, ["i1"], arm="two"),
        shown("d", "cy", 50, ["i1"], split=6),
        shown("e", None, 50, ["i1"], split=None, arm=None, model="one"),
    ]
    ImpressionStore(store.engine).write(lists)
    assert [(one.user, one.arm, one.first) for one in found.users(5)] == [("ann", "one", 100), ("bob", "two", 200)]
    counted = [(one.arm, one.model, one.lists, one.empty) for one in found.lists(5)]
    assert counted == [("one", "one", 1, 0), ("one", "two", 1, 1), ("two", "two", 1, 0)]


def test_an_event_counts_after_a_list_of_the_experiment_that_held_its_item(store, found):
    lists = [
        shown("a", "ann", 1000, ["i1", "i'2"]),
        shown("b", "ann", 2000, ["i3"]),
        shown("c", "ann", 1000, ["i9"], split=6),
        shown("d", "bob", 1000, ["i1"]),
    ]
    ImpressionStore(store.engine).write(lists)
    counts = [
        Event("ann", "i1", 1000, "view"),  # in the second of the list
        Event("ann", "i'2", 1000 + HOUR, "view"),  # in the last second of the window
        Event("ann", "i3", 2500, "buy"),
        Event("ann", "i1", 1500, "buy", list_id="a"),
    ]
    not_counted = [
        Event("ann", "i1", 999, "early"),
        Event("ann", "i1", 1001 + HOUR, "late"),
        Event("ann", "i3", 1999, "not listed yet"),
        Event("ann", "i9", 1500, "of another experiment"),
        Event("ann", "i4", 1500, "never listed"),
        Event("ann", "i1", 1500, "of another list", list_id="b"),
        Event("ann", "i1", 1500, "of an unknown list", list_id="gone"),
        Event("cy", "i1", 1500, "of a user without a list"),
    ]
    store.append(counts + not_counted)
    assert sorted(found.outcomes(5, HOUR)) == [("ann", "buy", 2), ("ann", "view", 2)]


def test_counts_are_those_of_a_loop_over_all_lists_and_events(store, found):
    rng = np.random.default_rng(0)
    users, items, window = [f"u{at}" for at in range(12)], [f"i{at}" for at in range(8)], 400
    lists = [
        shown(
            f"l{at}",
            users[rng.integers(12)],
            int(rng.integers(1000)),
            list(rng.choice(items, 3, replace=False)),
            split=int(rng.integers(5, 7)),
        )
        for at in range(60)
    ]
    events = [
        Event(
            users[rng.integers(12)],
            items[rng.integers(8)],
            int(rng.integers(1600)),
            ("view", "buy")[rng.integers(2)],
            list_id=(None, f"l{rng.integers(60)}")[rng.integers(2)],
        )
        for _ in range(400)
    ]
    ImpressionStore(store.engine).write(lists)
    store.append(events)
    expected: dict[tuple[str, str], int] = {}
    own = [one for one in lists if one.split == 5]
    for event in {one.identity: one for one in reversed(events)}.values():  # the first of equal events is kept
        first = min((one.time for one in own if one.user == event.user), default=None)
        held = [
            one
            for one in own
            if one.user == event.user
            and one.time <= event.time
            and event.item in one.items
            and event.list_id in (None, one.list_id)
        ]
        if held and event.time <= first + window:
            expected[event.user, event.kind] = expected.get((event.user, event.kind), 0) + 1
    assert len(expected) > 8
    assert {(user, kind): count for user, kind, count in found.outcomes(5, window)} == expected
