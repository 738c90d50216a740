"""Items that were sent to the service, in the log of its events: the log of a store is that of its exported files."""

from datetime import date, datetime

import polars as pl
import pytest

import foldin
from foldin.data import prepare, read_log
from foldin.data.log.item_export import export_items
from foldin.errors import ConfigError
from foldin.models import FeatureRows
from foldin.serve import Event, ItemChange, ItemStore

START = 1_600_000_000


@pytest.fixture
def items(store) -> ItemStore:
    """Three users of four items, of which the service knows a part, and two items without events."""
    taken = {"ann": "abc", "bob": "abd", "cy": "acd"}
    store.append([Event(user, item, START + at) for user, one in taken.items() for at, item in enumerate(one)])
    found = ItemStore(store.engine)
    found.put(
        [
            ItemChange(
                item="a", title="A|'해", features={"genre": "x|y", "year": 1999, "seen": True, "tags": ["u", "v"]}
            ),
            ItemChange(item="b", features={"genre": "z", "year": 2000.5, "made": "2020-01-31", "none": None}),
            ItemChange(item="d", is_active=False, title="D"),
            ItemChange(item="new", title="New", features={"genre": "x", "year": 3, "mixed": 1}),
            ItemChange(item="gone", title="Gone", is_active=False, features={"mixed": "one"}),
        ]
    )
    return found


def test_a_log_has_what_was_sent_and_new_items_follow_the_others(items, url):
    log = read_log(url)
    rows = {row["item"]: row for row in log.items.to_dicts()}
    assert log.items["item"].to_list() == ["a", "b", "c", "d", "new"]  # "gone" has no event and is retired
    assert [rows[one]["title"] for one in rows] == ["A|'해", None, None, "D", "New"]
    assert [rows[one]["year"] for one in rows] == [1999.0, 2000.5, None, None, 3.0]
    assert [rows[one]["is_active"] for one in rows] == [True, True, True, False, True]
    assert log.items.schema["made"] == pl.Date()
    assert "none" not in log.items.columns
    assert (log.histories.n_items, log.histories.n_events) == (5, 9)
    notes = {note.text: note.count for note in log.report.notes}
    assert notes["items without events (in the catalog)"] == 1
    assert notes["items are retired: no list has them"] == 1


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_an_exported_file_describes_the_same_items(items, url, tmp_path, suffix):
    assert export_items(url, tmp_path / f"items{suffix}") == 5
    events = pl.DataFrame({"user": ["ann", "bob", "cy"] * 2, "item": ["a", "b", "c", "b", "d", "a"], "time": range(6)})
    found = foldin.read_log(events, items=tmp_path / f"items{suffix}").items
    wanted = read_log(url).items.filter(pl.col("item") != "new")
    for at, item in enumerate(found["item"]):
        known = wanted.row(by_predicate=pl.col("item") == item, named=True)
        for name in ("title", "genre", "year", "seen", "made"):
            assert found[name][at] == known[name], (item, name)
    assert found["is_active"].to_list() == [None, None, None, False]  # sent of d alone


def test_shards_have_the_same_items(items, url, tmp_path):
    log, shards = read_log(url), prepare(url, tmp_path / "shards", chunk_rows=4, block_events=4)
    assert shards.items.equals(log.items)
    assert shards.histories.fingerprint() == log.histories.fingerprint()
    assert read_log(tmp_path / "shards").items.equals(log.items)


def test_what_was_sent_comes_before_a_file_in_the_types_of_the_file(items, url, tmp_path):
    file = pl.DataFrame({"item": ["a", "b", "c"], "title": ["file a", "file b", "file c"], "year": [1, 2, 3]})
    file.write_csv(tmp_path / "items.csv")
    log = read_log(url, items=tmp_path / "items.csv")
    rows = {row["item"]: row for row in log.items.to_dicts()}
    assert [rows[one]["title"] for one in "abc"] == ["A|'해", "file b", "file c"]
    assert [rows[one]["year"] for one in "abc"] == [1999, 2, 3]  # 2000.5 is no whole number
    assert sum(note.count for note in log.report.notes if "'year'" in note.text) == 1


def test_what_was_sent_takes_the_types_of_a_file_value_by_value(items, url):
    sent = {
        "a": {"size": "1.50", "made": "2021-02-03", "seen": "true", "at": "2021-02-03T04:05:06", "parts": "u|v"},
        "b": {"size": "2", "made": "soon", "seen": "maybe", "at": "2021-02-03T04:05:06Z", "parts": ["w"]},
        "c": {"size": ["3", "4"], "made": 7, "seen": 1},
    }
    items.put([ItemChange(item=item, features=features) for item, features in sent.items()])
    day, moment = date(2020, 1, 31), datetime(2020, 1, 31, 1)
    file = pl.DataFrame({"item": ["a", "b", "c"], "size": ["s", "m", "l"], "made": [day] * 3, "seen": [False] * 3})
    file = file.with_columns(at=pl.lit(moment), parts=pl.Series(["x", "y", "z"]))
    log = read_log(url, items=file)
    rows = {row["item"]: row for row in log.items.to_dicts()}
    assert [rows[one]["size"] for one in "abc"] == ["1.50", "2", "3|4"]
    assert [rows[one]["made"] for one in "abc"] == [date(2021, 2, 3), day, day]
    assert [rows[one]["seen"] for one in "abc"] == [True, False, False]
    assert [rows[one]["at"] for one in "abc"] == [datetime(2021, 2, 3, 4, 5, 6), moment, moment]
    assert [rows[one]["parts"] for one in "abc"] == ["u|v", "w", "z"]
    misfits = {
        name: n
        for n, text in ((x.count, x.text) for x in log.report.notes)
        for name in sent["a"]
        if f"{name!r}" in text
    }
    assert misfits == {"made": 2, "seen": 2, "at": 1}


def test_new_items_are_in_the_catalog_of_models_that_read_features_alone(items, url):
    log = read_log(url)
    plain = foldin.fit_all(log, foldin.EASE(regularization=1.0))
    reading = foldin.fit_all(log, foldin.EASE(regularization=1.0, features=FeatureRows()))
    assert plain.catalog.ids == ["a", "b", "c", "d"]
    assert reading.catalog.ids == ["a", "b", "c", "d", "new"]
    assert "is_active" not in {one.column for one in reading.model.features.columns}


def test_retired_items_are_in_no_list(items, url, tmp_path):
    log = read_log(url)
    foldin.fit_all(log, foldin.EASE(regularization=1.0)).save(tmp_path / "run", histories=True)
    run = foldin.load(tmp_path / "run")
    listed = run.recommend(exclude_seen=False, k=4)["item"].to_list()
    assert set(listed) == {"a", "b", "c"}
    assert "d" not in run.similar("a")["item"].to_list()
    items.put([ItemChange(item="d", is_active=True)])
    log = read_log(url)
    assert "is_active" not in log.items.columns
    assert set(foldin.fit_all(log, foldin.EASE(regularization=1.0)).recommend(exclude_seen=False, k=4)["item"]) == set(
        "abcd"
    )


def test_a_database_without_items_gives_the_log_of_its_events(store, url):
    store.append([Event("ann", "a", START)])
    assert read_log(url).items.columns == ["item"]


def test_a_column_of_other_values_is_a_feature(tmp_path):
    events = pl.DataFrame({"user": ["ann"], "item": ["a"]})
    table = pl.DataFrame({"item": ["a"], "is_active": ["often"], "is_active_": [1]})
    log = foldin.read_log(events, items=table)
    assert log.items.columns == ["item", "is_active__", "is_active_"]
    assert log.items["is_active__"].to_list() == ["often"]
    assert any("'is_active__'" in note.text for note in log.report.notes)
    log = foldin.read_log(events, items=pl.DataFrame({"item": ["a"], "is_active": [2]}))
    assert log.items.to_dict(as_series=False) == {"item": ["a"], "is_active_": [2]}
    log = foldin.read_log(events, items=pl.DataFrame({"item": ["a"], "is_active": [0]}))
    assert log.items.to_dict(as_series=False) == {"item": ["a"], "is_active": [False]}


def test_a_title_that_is_sent_does_not_list_an_item_again_that_the_file_has_retired(items, url):
    file = pl.DataFrame({"item": ["a", "b", "d"], "is_active": [False, True, True]})
    rows = {row["item"]: row["is_active"] for row in read_log(url, items=file).items.to_dicts()}
    assert rows == {"a": False, "b": True, "c": True, "d": False, "new": True}
    items.put([ItemChange(item="a", is_active=True)])
    rows = {row["item"]: row["is_active"] for row in read_log(url, items=file).items.to_dicts()}
    assert rows == {"a": True, "b": True, "c": True, "d": False, "new": True}


def test_a_number_beyond_all_floating_point_numbers_is_text(items, url, tmp_path):
    items.put([ItemChange(item="c", features={"vast": 10**400, "many": [1, -(10**400)], "huge": 10**300})])
    row = read_log(url).items.row(by_predicate=pl.col("item") == "c", named=True)
    assert row["vast"] == str(10**400)
    assert row["many"] == f"1|-{10**400}"
    assert row["huge"] == 1e300
    assert export_items(url, tmp_path / "items.csv") == 6


def test_another_suffix_is_refused(items, url, tmp_path):
    with pytest.raises(ConfigError, match="ending in"):
        export_items(url, tmp_path / "items.txt")
