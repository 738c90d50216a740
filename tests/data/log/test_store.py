"""The log of an event store: the service's events in the service's order, as of one moment, and that of an exported file."""

import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sqlalchemy as sa

import foldin.data.log
from foldin.data import EventLog, Source, prepare, read_log
from foldin.data.log.census import counts_of
from foldin.data.log.export import export_events
from foldin.data.log.store import events as table
from foldin.data.log.store import open_store
from foldin.errors import ConfigError, DataError, EmptyLogError, EventStoreError, MissingExtraError
from foldin.serve import Event, EventStore
from foldin.serve.storage.bulk import share_writing

START = 1_600_000_000


def some_events(count: int = 300, seed: int = 0) -> list[Event]:
    """Events in any order of time, many of them at the same time; some with a kind or a value, and ids that are hard to write."""
    rng = np.random.default_rng(seed)
    users = ["ann", "b,ob", 'c"y', " dee", "에밀", "7", "07"]
    items = [f"i{at}" for at in range(12)] + ["i\n12", "10,5"]
    return [
        Event(
            users[int(rng.integers(len(users)))],
            items[int(rng.integers(len(items)))],
            START + int(rng.integers(25)),
            ("", "view", "buy")[int(rng.integers(3))],
            None if rng.random() < 0.5 else float(rng.integers(10)),
        )
        for _ in range(count)
    ]


def same(found: EventLog, wanted: EventLog) -> None:
    for name in ("items", "offsets", "times", "kinds", "values"):
        a, b = getattr(found.histories, name), getattr(wanted.histories, name)
        assert (a is None) == (b is None), name
        assert a is None or (a.dtype == b.dtype and a.tobytes() == b.tobytes()), name
    assert found.users.to_list() == wanted.users.to_list()
    assert found.items.equals(wanted.items)
    assert found.kinds == wanted.kinds
    assert found.reading == wanted.reading
    dropped = [sorted((n.text, n.count) for n in log.report.notes if n.dropped) for log in (found, wanted)]
    assert dropped[0] == dropped[1]


def as_folded_in(store: EventStore, user: str, repeats: str) -> list[tuple[str, int]]:
    """(item, time) of each event of a user that counts, from the service's own history."""
    kept: dict[tuple[str, str], tuple[str, int]] = {}
    for one in store.history(user):
        key = (one.item, one.kind if repeats == "first-of-kind" else "")
        if repeats == "last":
            kept.pop(key, None)
        kept.setdefault(key, (one.item, one.time))
    return list(kept.values())


@pytest.mark.parametrize("repeats", ["first", "last", "first-of-kind"])
def test_histories_are_those_that_the_service_folds_in(store, url, repeats):
    for at in range(0, 300, 75):
        store.append(some_events()[at : at + 75])
    log = read_log(url, repeats=repeats)
    ids, kinds = log.items["item"].to_list(), log.kinds
    for at, user in enumerate(log.users):
        start, end = log.histories.offsets[at : at + 2]
        taken = zip(log.histories.items[start:end], log.histories.times[start:end], strict=True)
        assert [(ids[item], time) for item, time in taken] == as_folded_in(store, user, repeats)
    assert set(log.users) == {one.user for one in some_events()}
    assert kinds == ("", "buy", "view")


@pytest.mark.parametrize("options", [{}, {"repeats": "first-of-kind"}, {"repeats": "last", "min_rating": 3}], ids=str)
def test_the_log_of_a_store_is_that_of_the_exported_file(store, url, tmp_path, options):
    store.append(some_events())
    found = export_events(url, tmp_path / "events.parquet")
    log = read_log(url, **options)
    same(log, read_log(tmp_path / "events.parquet", **options))
    same(prepare(url, tmp_path / "shards", chunk_rows=70, block_events=50, **options), log)
    assert found.events == log.report.rows == len({one.identity for one in some_events()})
    assert found.url == log.report.source
    assert log.report.format == url.split(":")[0]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".ndjson"])
def test_text_files_hold_the_same_log(store, url, tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("foldin.data.log.store._BATCH", 100)
    store.append(some_events())
    export_events(url, tmp_path / f"events{suffix}")
    log = read_log(tmp_path / f"events{suffix}", rating="value")
    same(log, read_log(url))


def test_kinds_and_values_that_come_late_or_never(store, url, tmp_path):
    """The first rows of a file decide on its columns elsewhere; a store knows them."""
    store.append([Event(f"u{at % 50}", f"i{at % 70}", START + at) for at in range(5500)])
    assert read_log(url).kinds == ()
    assert read_log(url).histories.values is None
    store.append([Event("u1", "i1", START + 9000, "buy", 2.5)])
    log = read_log(url, repeats="first-of-kind")
    assert log.kinds == ("", "buy")
    assert np.nansum(log.histories.values) == 2.5
    export_events(url, tmp_path / "events.parquet")
    same(log, read_log(tmp_path / "events.parquet", repeats="first-of-kind"))


def test_ids_that_look_like_something_else_are_ids(store, url, tmp_path):
    days = [Event(f"2020-01-{at % 5 + 1:02}", f"{1_600_000_000 + at % 9}", at) for at in range(60)]
    store.append(days)
    log = read_log(url)
    assert set(log.users) == {one.user for one in days}
    assert log.histories.times is not None
    assert log.histories.times.min() == 0  # seconds, however few
    export_events(url, tmp_path / "events.parquet")
    same(log, read_log(tmp_path / "events.parquet"))


def test_a_view_does_not_change_while_others_write(store, url, monkeypatch):
    first = [Event("ann", f"i{at}", START + at) for at in range(10)]
    store.append([*first, Event("bob", "i1", START)])
    with open_store(url) as stored:
        batches = stored.batches(3)
        seen = [next(batches)]
        store.append([Event("ann", "late", START - 1)])
        store.erase("bob")
        seen += batches
    every = pl.concat(seen)
    assert every["item"].to_list() == [one.item for one in first] + ["i1"]
    assert stored.events == every.height == 11
    with open_store(url) as stored:
        assert pl.concat(stored.batches())["item"].to_list() == [one.item for one in first] + ["late"]


def test_a_log_is_found_again_in_a_store_that_has_grown(store, url):
    store.append(some_events())
    log = read_log(url)
    store.append([Event("new", "i1", START - 5), Event("ann", "i2", START - 5)])
    same(read_log(log.report.source), log)
    split = Source(path=url, protocol="strong", held_out=1, min_events=1).split()
    assert split.source["path"] == read_log(url).report.source != log.report.source
    assert read_log(url).histories.n_events > log.histories.n_events
    store.erase("ann")
    assert "ann" not in read_log(log.report.source).users


def test_an_erased_user_is_in_no_file(store, url, tmp_path):
    store.append([Event("ann", "i1", START), Event("bob", "i2", START)])
    store.erase("bob")
    export_events(url, tmp_path / "events.csv")
    text = (tmp_path / "events.csv").read_text()
    assert text == "user,item,time,kind,value,list_id\nann,i1,2020-09-13T12:26:40Z,,,\n"


def test_a_store_from_before_events_named_lists_is_exported(store, url, tmp_path):
    store.append([Event("ann", "i1", START)])
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE foldin_events DROP COLUMN list_id")
    export_events(url, tmp_path / "events.parquet")
    assert pl.read_parquet(tmp_path / "events.parquet")["list_id"].to_list() == [None]
    assert read_log(url).histories.n_events == 1
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE foldin_events ADD COLUMN list_id TEXT")


def test_a_view_waits_for_those_who_have_drawn_numbers(store, url):
    """Otherwise an event could arrive later with a number below the last one that was read."""
    if url.startswith("sqlite"):
        pytest.skip("has one writer at a time")
    store.append([Event("ann", "i1", START)])
    seen: list[int] = []

    def read() -> None:
        with open_store(url) as stored:
            seen.append(stored.events)

    with store.engine.begin() as writing:
        share_writing(writing)
        draw = sa.func.nextval(sa.func.pg_get_serial_sequence(table.name, "id"))
        number = writing.execute(sa.select(draw)).scalar_one()
        reader = threading.Thread(target=read)
        reader.start()
        reader.join(0.3)
        assert not seen
        row = {"id": number, "user_id": "b", "item": "i", "time": 1, "kind": "", "arrived": START}
        writing.execute(sa.insert(table).values(row))
    reader.join(20)
    assert seen == [2]


def interrupted(url, shards, monkeypatch):
    """A preparation that ends before the events are in order."""

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(sys.modules["foldin.data.shards.prepare"], "write_blocks", fails)
        with pytest.raises(KeyboardInterrupt):
            prepare(url, shards, chunk_rows=70)


def test_a_preparation_goes_on_with_the_events_that_it_began_with(store, url, tmp_path, monkeypatch):
    store.append(some_events())
    log = read_log(url)
    interrupted(url, tmp_path / "shards", monkeypatch)
    store.append([Event("new", "i1", START)])
    shards = prepare(url, tmp_path / "shards", chunk_rows=70)
    same(shards, log)
    assert shards.report.source == log.report.source
    assert not list(tmp_path.glob("*.partial"))


def test_events_that_did_not_reach_the_disk_are_taken_again_with_all_that_was_made_of_them(
    store, url, tmp_path, monkeypatch
):
    store.append(some_events())
    interrupted(url, tmp_path / "shards", monkeypatch)
    (part, *_) = sorted((tmp_path / "shards.partial" / "source").glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-9])
    store.append([Event("a first one", f"i{k}", START + k) for k in range(100)])
    same(prepare(url, tmp_path / "shards", chunk_rows=70), read_log(url))


def test_a_store_in_numbers(store, url):
    assert counts_of(url)["events"] == 0
    assert counts_of(url)["times"] is None
    every = list({one.identity: one for one in some_events()}.values())
    store.append(every)
    found = counts_of(url)
    assert found["events"] == len(every)
    assert found["users"] == len({one.user for one in every})
    assert found["items"] == len({one.item for one in every})
    assert found["kinds"] == {kind: sum(one.kind == kind for one in every) for kind in ("", "view", "buy")}
    assert found["times"] == [min(one.time for one in every), max(one.time for one in every)]


def test_only_what_arrived_since(store, url, tmp_path):
    store.append([Event("ann", "i1", START), Event("bob", "i2", START)])
    with store.engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.item == "i1").values(arrived=100))
        connection.execute(sa.update(table).where(table.c.item == "i2").values(arrived=200))
    for since, items in ((100, ["i1", "i2"]), (101, ["i2"]), (201, [])):
        found = export_events(url, tmp_path / "part.parquet", since=since)
        assert pl.read_parquet(tmp_path / "part.parquet")["item"].to_list() == items
        assert found.events == len(items)
        assert found.arrived == (200 if items else None)


def test_an_empty_store_is_an_empty_log(store, url, tmp_path):
    with pytest.raises(EmptyLogError, match=r"until=0: the log contains no events"):
        read_log(url)
    for suffix in (".parquet", ".csv", ".jsonl"):
        assert export_events(url, tmp_path / f"none{suffix}").events == 0
    assert pl.read_parquet(tmp_path / "none.parquet").columns == ["user", "item", "time", "kind", "value", "list_id"]
    assert (tmp_path / "none.csv").read_text() == "user,item,time,kind,value,list_id\n"


def test_a_time_that_no_calendar_has_is_refused(store, url):
    store.append([Event("ann", "i1", START), Event("bob", "i1", 10**15)])
    with pytest.raises(DataError, match="an event of the user 'bob' has the time 1000000000000000, in no calendar"):
        read_log(url)


def test_a_failed_export_leaves_the_old_file(store, url, tmp_path):
    store.append([Event("ann", "i1", 10**15)])
    for suffix in (".parquet", ".csv"):
        path = tmp_path / f"events{suffix}"
        path.write_text("before")
        with pytest.raises(DataError):
            export_events(url, path)
        assert path.read_text() == "before"
    assert len(list(tmp_path.glob("events.*"))) >= 2
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".events")]


def test_what_is_no_store_is_said(tmp_path):
    missing = f"sqlite:///{tmp_path}/none.db"
    with pytest.raises(DataError, match=r"none\.db: no such file; `foldin events import` or `foldin serve` makes it"):
        read_log(missing)
    assert not (tmp_path / "none.db").exists()
    empty = tmp_path / "empty.db"
    empty.touch()
    with pytest.raises(DataError, match="holds no events: there is no table foldin_events"):
        read_log(f"sqlite:///{empty}")
    shutil.copy(Path(__file__).parents[2] / "serve" / "data" / "events_version_1.db", tmp_path / "old.db")
    with pytest.raises(DataError, match="was written by an earlier version"):
        read_log(f"sqlite:///{tmp_path}/old.db")
    (tmp_path / "text.db").write_text("user,item\n" * 100)
    with pytest.raises(EventStoreError, match="cannot be used"):
        read_log(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(ConfigError, match="was expected, not mysql"):
        read_log("mysql://a/b")
    with pytest.raises(DataError, match="an event store has no encoding"):
        read_log(missing, encoding="utf-8")


def test_without_the_extra_one_line_says_what_to_install(monkeypatch):
    for name in ("export", "store"):
        monkeypatch.delitem(sys.modules, f"foldin.data.log.{name}", raising=False)
        monkeypatch.delattr(foldin.data.log, name, raising=False)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(
        MissingExtraError, match=r"an event store needs the package 'sqlalchemy': pip install 'foldin\[store\]'"
    ):
        read_log("sqlite:///events.db")
