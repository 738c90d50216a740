"""Events: written once, in order of time, erased, on both databases."""

import contextlib
import shutil
import sqlite3
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from foldin.errors import ConfigError, EventStoreError, IdempotencyError
from foldin.serve import Event, EventStore, KeyRing, Receipt, connect
from foldin.serve.storage.migrations import VERSION, migrate, version
from tests.serve.kills import killed_while_writing


def test_events_come_back_in_order_of_time_and_late_ones_find_their_place(store):
    store.append([Event("p", "b", 20), Event("p", "c", 30), Event("q", "x", 5)])
    store.append([Event("p", "a", 10), Event("p", "d", 30)])
    assert [one.item for one in store.history("p")] == ["a", "b", "c", "d"]
    assert store.history("p", newest=2) == [Event("p", "c", 30), Event("p", "d", 30)]
    assert store.history("nobody") == []


def test_the_same_event_counts_once(store):
    one = Event("p", "a", 1)
    assert store.append([one, one, Event("p", "a", 2)]) == Receipt(2, 1)
    assert store.append([one]) == Receipt(0, 1)
    assert len(store.history("p")) == 2


def test_a_view_and_a_purchase_in_one_second_are_two_events(store):
    batch = [Event("p", "a", 1, "view"), Event("p", "a", 1, "buy", 19.5), Event("p", "a", 1)]
    assert store.append([*batch, Event("p", "a", 1, "view", 3.0)]) == Receipt(3, 1)
    assert store.history("p") == batch
    assert store.append([Event("p", "a", 1, "buy", 20.0)]) == Receipt(0, 1)  # a value makes no other event
    assert store.history("p") == batch
    store.append([Event("p", "a", 2, "view"), Event("p", "a", 3, "view"), Event("p", "b", 4, "view")])
    kept = [(one.time, one.kind) for one in store.first_and_last("p") if one.item == "a"]
    assert kept == [(1, "view"), (1, "buy"), (1, ""), (3, "view")]


def test_a_key_holds_for_the_kinds_and_values_of_its_batch(store):
    store.append([Event("p", "a", 1, "view")], key="k")
    for other in (Event("p", "a", 1), Event("p", "a", 1, "buy"), Event("p", "a", 1, "view", 2.0)):
        with pytest.raises(IdempotencyError, match="'k' was used with other events"):
            store.append([other], key="k")


def test_a_value_is_one_number_however_it_is_written(store):
    store.append([Event("p", "a", 1, "view", 3)], key="k")
    assert store.append([Event("p", "a", 1, "view", 3.0)], key="k") == Receipt(1, 0, replayed=True)


def test_a_batch_sent_again_by_its_key_gets_its_first_answer(store):
    batch = [Event("p", "a", 1), Event("p", "b", 2)]
    assert store.append(batch, key="k") == Receipt(2, 0)
    assert store.append(batch, key="k") == Receipt(2, 0, replayed=True)
    with pytest.raises(IdempotencyError, match="'k' was used with other events"):
        store.append([Event("p", "c", 3)], key="k")
    assert [one.item for one in store.history("p")] == ["a", "b"]


def test_a_large_batch_is_one_transaction(store):
    batch = [Event("p", f"i{at}", at) for at in range(950)]
    assert store.append(batch) == Receipt(950, 0)
    assert [one.time for one in store.history("p")] == list(range(950))


def test_writers_at_once_lose_nothing_and_double_nothing(store):
    receipts: list[Receipt] = []

    def write(writer: int) -> None:
        for at in range(20):
            # Every batch is sent by two writers, under one key.
            batch = [Event("p", f"i{writer // 2}-{at}-{n}", at) for n in range(3)]
            receipts.append(store.append(batch, key=f"{writer // 2}-{at}"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 120
    assert sum(receipt.replayed for receipt in receipts) == 60
    assert all(receipt.accepted == 3 for receipt in receipts)
    assert len(store.history("p")) == 180


def test_erasure_leaves_nothing_of_a_user(store):
    store.append([Event("p", "a", 1), Event("p", "b", 2), Event("q", "a", 1)])
    assert store.erase("p") == 2
    assert store.history("p") == []
    assert len(store.history("q")) == 1
    assert store.erase("p") == 0


def test_keys_are_kept_as_digests_alone(store):
    ring = KeyRing(store.engine)
    secret = ring.create("shop", ["read", "write"])
    with store.engine.connect() as connection:
        kept = str(connection.execute(sa.text("SELECT * FROM foldin_keys")).all())
    assert secret not in kept
    other = KeyRing(store.engine)  # another process
    assert other.fresh(secret) is None
    found = other.find(secret)
    assert found is not None
    assert other.fresh(secret) == found
    assert other.fresh(secret + "x") is None
    assert (found.name, found.scopes) == ("shop", ("read", "write"))
    assert ring.find(secret + "x") is None
    assert [one.name for one in ring.names()] == ["shop"]
    with pytest.raises(ConfigError, match="'shop' already"):
        ring.create("shop", ["read"])
    with pytest.raises(ConfigError, match="not everything"):
        ring.create("other", ["everything"])
    ring.remove("shop")
    assert ring.fresh(secret) is None
    assert ring.find(secret) is None
    with pytest.raises(ConfigError, match="no key named 'shop'"):
        ring.remove("shop")


def test_wrong_keys_cost_no_query_each(store):
    ring, asked = KeyRing(store.engine), []
    secret = ring.create("shop", ["read"])
    sa.event.listen(store.engine, "before_cursor_execute", lambda *about: asked.append(about[2]))
    until = time.monotonic() + 10.0
    before = time.monotonic()
    for at in range(2000):
        assert ring.find(f"foldin_{at}") is None
        assert time.monotonic() < until
    reads = 1 + (time.monotonic() - before) / 0.25
    assert 1 <= len(asked) <= reads + 1
    assert ring.find(secret).name == "shop"
    other = KeyRing(store.engine)  # another process
    assert other.find("foldin_x") is None
    late = ring.create("late", ["read"])
    assert ring.find(late).name == "late"
    ring.remove("late")
    assert ring.find(late) is None
    assert ring.find(secret).name == "shop"
    assert other.find(secret).name == "shop"


def test_a_database_that_is_away_is_not_asked_for_every_wrong_key(store, monkeypatch):
    ring, asked = KeyRing(store.engine), []

    def away(*_):
        asked.append(1)
        raise sa.exc.OperationalError("connect", {}, Exception("away"))

    monkeypatch.setattr("foldin.serve.storage.keys._PAUSE", 3600.0)
    ring._read = -3600.0 + time.monotonic() - 1.0
    with monkeypatch.context() as broken:
        broken.setattr(store.engine, "connect", away)
        for at in range(5):
            with pytest.raises(EventStoreError, match="away"):
                ring.find(f"foldin_{at}")
    assert asked == [1]


def test_a_database_is_migrated_once_and_a_later_one_refused(store):
    migrate(store.engine)
    EventStore(store.engine)
    with store.engine.begin() as connection:
        assert connection.execute(sa.select(version.c.version)).scalars().all() == [VERSION]
        connection.execute(sa.update(version).values(version=VERSION + 1))
    try:
        with pytest.raises(EventStoreError, match=f"has version {VERSION + 1}, this foldin knows {VERSION}"):
            migrate(store.engine)
    finally:  # the database is shared with other tests
        with store.engine.begin() as connection:
            connection.execute(sa.update(version).values(version=VERSION))


def test_a_database_that_is_away_is_said(tmp_path):
    with pytest.raises(EventStoreError, match="cannot be used"):
        EventStore(connect(f"sqlite:///{tmp_path}/none/events.db"))
    with pytest.raises(EventStoreError, match="cannot be used"):
        EventStore(connect("postgresql://nobody@127.0.0.1:1/none"))
    for wrong in ("mysql://a/b", "no url", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ConfigError, match="events: "):
            connect(wrong)


def killed_under_load(store, url, runs, rounds: int) -> None:
    acknowledged, kept = killed_while_writing(store, runs["ease"], url, rounds=rounds)
    assert acknowledged >= 10 * rounds
    assert kept >= acknowledged


@pytest.mark.long
def test_killed_under_load_no_acknowledged_event_is_lost_and_none_doubled(tmp_path, runs):
    url = f"sqlite:///{tmp_path / 'events.db'}"
    killed_under_load(EventStore(connect(url)), url, runs, rounds=1)


@pytest.mark.long
def test_killed_again_and_again_on_either_database(store, url, runs):
    killed_under_load(store, url, runs, rounds=4)


def test_a_database_of_an_earlier_version_keeps_its_events_and_keys(tmp_path):
    # Written by the code of commit 724c5b6, in which a user was called a person.
    path = tmp_path / "events.db"
    shutil.copy(Path(__file__).parent / "data" / "events_version_1.db", path)
    with contextlib.closing(sqlite3.connect(path)) as by_hand:  # what an operator may have added
        by_hand.execute("CREATE VIEW items AS SELECT item FROM foldin_events")
    engine = connect(f"sqlite:///{path}")
    store = EventStore(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM items")).scalar() == 4
    assert store.history("anna") == [Event("anna", "i1", 100), Event("anna", "i2", 100), Event("anna", "i1", 200)]
    assert store.append([Event("bert", "i1", 50), Event("bert", "i2", 60)]) == Receipt(1, 1)
    again = [Event("anna", "i1", 100), Event("anna", "i2", 100), Event("bert", "i1", 50), Event("anna", "i1", 200)]
    assert store.append(again, key="shop/1") == Receipt(4, 0, replayed=True)
    assert [(key.name, key.scopes) for key in KeyRing(engine).names()] == [("shop", ("read", "write"))]
    assert store.append([Event("anna", "i1", 100, "buy")]) == Receipt(1, 0)
    assert [one.kind for one in store.history("anna")] == ["", "", "buy", ""]
    assert store.erase("anna") == 4
    engine.dispose()
