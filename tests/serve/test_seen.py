"""What a user has taken is not listed again, however many events came since; the window limits what the model reads."""

import numpy as np
import pytest
import sqlalchemy as sa

from foldin.data import resolve_history
from foldin.runs import load_run
from foldin.serve import Event, Limits, Registry, ResolvedRequest, Service, Telemetry, rank_requests
from foldin.serve.schemas import RecommendRequest
from foldin.serve.storage.migrations import events as table
from tests.serve.conftest import ITEMS


def events_of(user: str, n: int, seed: int = 0) -> list[Event]:
    """i1 to i3 once, long ago; then n more events, with repeats, half of them on items that no model knows."""
    rng = np.random.default_rng(seed)
    old = [Event(user, f"i{at}", at) for at in (1, 2, 3)]
    names = [f"i{rng.integers(4, 12)}" if rng.random() < 0.5 else f"x{rng.integers(n)}" for _ in range(n)]
    return old + [Event(user, name, 1000 + at) for at, name in enumerate(names)]


def kept(store, events: list[Event]) -> None:
    """Write events without the receipts of `append`, which take longer than all that is tested here."""
    rows = [{"user_id": one.user, "item": one.item, "time": one.time, "kind": one.kind, "arrived": 0} for one in events]
    with store.engine.begin() as connection:
        connection.execute(sa.insert(table), rows)


@pytest.fixture
def known(runs, store):
    """A service with the limits of a real one, on either database."""
    registry = Registry()
    for name in ("multvae", "ease"):
        registry.deploy(runs[name])
    yield Service(registry, store, Limits(), Telemetry())
    registry.close()


@pytest.mark.parametrize("n", [1999, 2001, 5000, 20_000])
def test_seen_is_exact_however_many_newer_events_there_are(known, n):
    events = events_of("heavy", n)
    kept(known.events, events)
    taken = {event.item for event in events}
    for more in ({}, {"uncertainty": True}, {"explore": "thompson"}, {"explore": "temperature", "uncertainty": True}):
        (found,) = known.recommend([RecommendRequest(user="heavy", k=ITEMS, **more)])
        assert {hit["item"] for hit in found["items"]} == {f"i{at}" for at in range(ITEMS)} - taken
    (found,) = known.recommend([RecommendRequest(user="heavy", k=ITEMS, exclude_seen=False)])
    assert len(found["items"]) == ITEMS
    unknown = [event.item for event in events if event.item.startswith("x")]
    assert set(found["unknown_items"]) <= set(unknown)
    assert len(found["unknown_items"]) == min(2000, len(set(unknown)))


def test_the_window_counts_items_that_the_model_knows(known, runs):
    object.__setattr__(known.limits, "history", 4)
    names = ["i9", "i1", "i2", "i3", "x", "i4", "i5", *(["i5", "y"] * 10)]
    known.events.append([Event("p", name, at) for at, name in enumerate(names)])
    (found,) = known.recommend([RecommendRequest(user="p", k=ITEMS)])
    assert found["known_events"] == 4
    model = load_run(runs["multvae"]).model
    (same,) = rank_requests(model, [ResolvedRequest((2, 3, 4, 5), ITEMS, older=(9, 1))])
    assert [hit["item"] for hit in found["items"]] == [f"i{at}" for at in same.items[0]]
    assert [hit["probability"] for hit in found["items"]] == np.exp(same.scores[0].astype(np.float64)).tolist()
    assert not {"i9", "i1"} & {hit["item"] for hit in found["items"]}


@pytest.mark.parametrize("repeats", ["first", "last"])
def test_the_first_and_last_event_with_each_item_make_the_same_history_as_all(store, runs, repeats):
    rng = np.random.default_rng(1)
    catalog = load_run(runs["ease"]).catalog
    # Many events of one moment: their order is that of arrival. Late events take their place.
    batch = [Event("p", f"i{rng.integers(14)}", int(rng.integers(12))) for _ in range(300)]
    store.append(batch[:150])
    store.append(batch[150:])
    every, some = store.history("p"), store.first_and_last("p")
    assert len(some) < len(every)
    assert [one for one in every if one in some] == some
    made = [
        resolve_history(catalog, [e.item for e in part], times=[e.time for e in part], repeats=repeats)
        for part in (every, some)
    ]
    assert made[0] == made[1]
    assert store.first_and_last("nobody") == []


def test_older_items_of_one_request_do_not_reach_another(runs):
    for name in ("multvae", "ease", "popularity"):
        model = load_run(runs[name]).model
        together = rank_requests(
            model,
            [
                ResolvedRequest((0,), ITEMS, older=(5, 6)),
                ResolvedRequest((0,), ITEMS),
                ResolvedRequest((), ITEMS, older=(7,)),
            ],
        )
        assert not {0, 5, 6} & set(together[0].items[0])
        assert {5, 6} <= set(together[1].items[0])
        assert set(together[2].items[0]) == set(range(ITEMS)) - {7}
