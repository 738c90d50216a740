"""The log of lists on both databases: what was written is read, a user is erased from it for good, and old lists are purged."""

import time

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.store import open_store
from foldin.errors import EventStoreError
from foldin.serve import Event, EventStore, Impression, ImpressionStore, connect
from foldin.serve.storage.impression_tables import erasures, impressions
from foldin.serve.storage.migrations import version

NOW = 1_600_000_000


def a_list(list_id: str, user: str | None = "ann", at: int = NOW, **about) -> Impression:
    whole = {"model": "shop", "run": "d" * 12, "ranker": "exact", "items": ["i1", "i2"], **about}
    return Impression(list_id=list_id, user=user, time=at, **whole)


@pytest.fixture
def lists(store) -> ImpressionStore:
    return ImpressionStore(store.engine)


def count(engine: sa.Engine, table: sa.Table) -> int:
    with engine.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def test_a_list_is_read_as_it_was_written(lists):
    plain = a_list("a")
    full = a_list(
        "b",
        at=NOW + 1,
        arm="shop",
        share=0.25,
        split=7,
        ranker="temperature:0.5",
        items=["해", "i'1\"", "\\"],
        propensities=[0.5, 0.1, 1.0],
        propensity_of="given_above",
        history={"items": ["i9"], "times": [NOW - 5]},
        restricted=True,
        context={"page": "home", "nested": {"a": [1, None, True, 0.5]}},
    )
    assert lists.write([full, plain, a_list("c", user=None), a_list("d", user="bob")]) == 4
    assert lists.of_user("ann") == [plain, full]
    assert lists.known(["a", "c", "none", *map(str, range(1200))]) == {"a", "c"}


def test_a_list_that_is_written_again_stays_as_it_is(lists):
    lists.write([a_list("a")])
    lists.write([a_list("a", items=["other"]), a_list("b")])
    assert [one.items for one in lists.of_user("ann")] == [["i1", "i2"], ["i1", "i2"]]


def test_more_lists_than_a_statement_takes_are_all_written(store, lists):
    many = [a_list(f"l{at:03d}", at=NOW + at, share=None if at % 2 else 0.5) for at in range(123)]
    assert lists.write(many) == 123
    assert lists.of_user("ann") == many
    assert lists.write([]) == 0


def test_an_erased_user_s_lists_are_gone_and_those_still_to_be_written_never_arrive(store, lists):
    now = int(time.time())
    lists.write([a_list("a", at=now - 60), a_list("b", user="bob", at=now - 60)])
    store.append([Event("ann", "i1", now, list_id="a")])
    assert store.erase("ann") == 1
    assert lists.of_user("ann") == []
    late = [a_list("c", at=now), a_list("d", user="bob", at=now), a_list("e", user=None, at=now)]
    assert lists.write(late) == 2  # another process had them in its memory while the user was erased
    assert lists.of_user("ann") == []
    assert [one.list_id for one in lists.of_user("bob")] == ["b", "d"]
    assert lists.write([a_list("f", at=now + 60)]) == 1  # the user came back
    assert store.erase("ann") == 0
    assert lists.of_user("ann") == []


def test_what_remembers_an_erasure_does_not_name_the_user_and_is_forgotten(store, lists):
    store.erase("ann@example.org")
    with store.engine.begin() as connection:
        assert "ann" not in connection.execute(sa.select(erasures.c.digest)).scalar_one()
    lists.purge(0)
    assert count(store.engine, erasures) == 1
    with store.engine.begin() as connection:
        connection.execute(sa.update(erasures).values(time=int(time.time()) - 3601))
    lists.purge(0)
    assert count(store.engine, erasures) == 0


def test_lists_older_than_a_time_are_purged_in_parts(store, lists):
    lists.write([a_list(f"old-{at}", at=NOW - 1 - at) for at in range(7)] + [a_list("new")])
    assert lists.purge(NOW, at_once=3) == 7
    assert lists.known(["new", "old-0"]) == {"new"}
    assert count(store.engine, impressions) == 1


@pytest.mark.parametrize("many", [1, 1001])
def test_an_event_keeps_the_list_that_it_names_and_is_one_event_with_or_without_it(store, many):
    events = [Event("ann", f"i{at}", NOW, list_id="a" if at % 2 == 0 else None) for at in range(many)]
    assert store.append(events, key="k").accepted == many
    assert store.append(events, key="k").replayed
    assert store.history("ann") == events
    assert store.append([Event("ann", "i0", NOW, list_id="other")]).duplicates == 1
    with open_store(store.engine.url.render_as_string(hide_password=False)) as stored:
        assert stored.events == many


def test_a_database_of_version_4_gains_the_log_and_can_be_read_before(tmp_path):
    url = f"sqlite:///{tmp_path}/events.db"
    store = EventStore(connect(url))
    store.append([Event("ann", "i1", NOW)])
    with store.engine.begin() as connection:  # as it was before
        for statement in (
            "DROP TABLE foldin_impressions",
            "DROP TABLE foldin_erasures",
            "ALTER TABLE foldin_events DROP COLUMN list_id",
        ):
            connection.exec_driver_sql(statement)
        connection.execute(sa.update(version).values(version=4))
    store.engine.dispose()
    with open_store(url) as stored:
        assert stored.events == 1
    again = EventStore(connect(url))
    assert again.append([Event("ann", "i2", NOW, list_id="a")]).accepted == 1
    assert [one.list_id for one in again.history("ann")] == [None, "a"]
    assert ImpressionStore(again.engine).write([a_list("a")]) == 1
    again.engine.dispose()


def test_a_database_that_is_away_is_an_error_of_the_store(tmp_path):
    engine = connect(f"sqlite:///{tmp_path}/none/events.db")
    lists = ImpressionStore(engine)
    for call in (
        lambda: lists.write([a_list("a")]),
        lambda: lists.known(["a"]),
        lambda: lists.of_user("ann"),
        lambda: lists.purge(0),
    ):
        with pytest.raises(EventStoreError) as met:
            call()
        assert isinstance(met.value.__cause__, SQLAlchemyError)
