"""Experiments that last longer than their lists: what is counted stays when lists are deleted, until a user is erased."""

import numpy as np
import pytest
import sqlalchemy as sa

from foldin.serve import Event, ExperimentStore, Impression, ImpressionStore
from foldin.serve.storage.experiment_tables import kept_events, kept_users

WINDOWS = (50, 400, 5000)


def counted(found: ExperimentStore, split: int = 5) -> list:
    lists = found.lists(split)
    return [found.users(split), lists, *(sorted(found.outcomes(split, one)) for one in WINDOWS)]


def left(store, table: sa.Table) -> set[str]:
    with store.engine.connect() as connection:
        return set(connection.execute(sa.select(table.c.user_id)).scalars())


@pytest.fixture
def found(store) -> ExperimentStore:
    """Two experiments of twelve users, with events that name a list, another's list, an unknown one, or none."""
    rng = np.random.default_rng(1)
    users, items, models = [f"u{at}" for at in range(12)], [f"i{at}" for at in range(8)], ("one", "two")
    lists = []
    for at in range(90):
        user, split = int(rng.integers(12)), (5, 6, None)[int(rng.integers(3))]
        arm, size = models[user % 2], int(rng.integers(4))
        chosen = [str(one) for one in rng.choice(items, size, replace=False)]
        about = {"model": models[int(rng.integers(2))], "run": "r", "ranker": "exact", "items": chosen, "split": split}
        about |= {} if split is None else {"arm": arm, "share": 0.5}
        time = int(rng.integers(1000))
        lists.append(Impression(list_id=f"l{at}", user=users[user] if at % 9 else None, time=time, **about))
    events = [
        Event(
            users[int(rng.integers(12))],
            items[int(rng.integers(8))],
            int(rng.integers(1600)),
            ("view", "buy")[int(rng.integers(2))],
            list_id=(None, f"l{rng.integers(100)}")[int(rng.integers(2))],
        )
        for _ in range(400)
    ]
    ImpressionStore(store.engine).write(lists)
    store.append(events)
    return ExperimentStore(store.engine)


def test_what_is_counted_stays_when_lists_are_deleted_bit_by_bit(store, found):
    before = counted(found)
    assert all(before)
    assert any(one.empty for one in before[1])
    log = ImpressionStore(store.engine)
    deleted = 0
    for until in (300, 300, 555, 1000):
        deleted += log.purge(until, at_once=7)
        assert counted(found) == before
    assert deleted == 90
    assert counted(found, 6)[0]
    assert left(store, kept_users) == {"", *(one.user for split in (5, 6) for one in found.users(split))}


def test_later_lists_and_events_are_added_to_what_was_kept(store, found):
    log, times = ImpressionStore(store.engine), {one.user: one.first for one in found.users(5)}
    log.purge(1000)
    arm = next(one.arm for one in found.users(5) if one.user == "u3")
    about = {"model": arm, "run": "r", "arm": arm, "share": 0.5, "split": 5, "ranker": "exact"}
    log.write([Impression(list_id="new", user="u3", time=2000, items=["i-new"], **about)])
    store.append([Event("u3", "i-new", 2001, "late"), Event("u3", "i-other", 2001, "late")])
    assert {one.user: one.first for one in found.users(5)} == times
    assert ("u3", "late", 1) in found.outcomes(5, 5000)
    sizes = {(one.arm, one.model): one.lists for one in found.lists(5)}
    log.purge(3000)
    assert {(one.arm, one.model): one.lists for one in found.lists(5)} == sizes
    assert ("u3", "late", 1) in found.outcomes(5, 5000)


def test_a_user_who_is_erased_is_in_no_experiment(store, found):
    log = ImpressionStore(store.engine)
    log.purge(600)
    before = found.users(5)
    store.erase("u3")
    assert [one.user for one in found.users(5)] == [one.user for one in before if one.user != "u3"]
    assert "u3" not in left(store, kept_users) | left(store, kept_events)
    assert all(user != "u3" for user, _, _ in found.outcomes(5, 5000))


def test_lists_of_no_split_leave_nothing(store):
    log = ImpressionStore(store.engine)
    log.write([Impression(list_id="a", user="ann", time=10, items=["i1"], model="one", run="r", ranker="exact")])
    store.append([Event("ann", "i1", 11)])
    assert log.purge(20) == 1
    assert left(store, kept_users) | left(store, kept_events) == set()
