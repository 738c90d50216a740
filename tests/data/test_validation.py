"""What is wrong with a log is said once, with the column and the first row, or counted."""

import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldin.data import Columns, ReadReport, log_from_table, read_log
from foldin.data.log.arrange import Events, arranged
from foldin.data.log.encode import encode
from foldin.data.order import stable_argsort
from foldin.errors import ColumnError, EmptyLogError
from tests.conftest import write_csv

NOW = 1_600_000_000


def read(tmp_path, rows, header=("user", "item", "timestamp"), **options):
    return read_log(write_csv(tmp_path / "events.csv", rows, header), **options)


def test_values_that_are_not_numbers_are_located(tmp_path):
    rows = [("a", "x", NOW), ("a", "y", "n/a"), ("b", "x", "soon")]
    with pytest.raises(ColumnError, match=r"column 'timestamp': 2 of 3 values are not numbers; first at row 2: 'n/a'"):
        read(tmp_path, rows)


def test_negative_times_are_refused(tmp_path):
    with pytest.raises(ColumnError, match=r"1 of 2 times are negative; first at row 2: -5"):
        read(tmp_path, [("a", "x", NOW), ("a", "y", -5)])


@pytest.mark.parametrize("odd", [NOW * 1000, NOW * 10**6, 0])
def test_mixed_units_are_refused(odd, tmp_path):
    with pytest.raises(ColumnError, match=r"mixes units: .*changes at row 3"):
        read(tmp_path, [("a", "x", NOW), ("a", "y", NOW), ("b", "y", odd)])


@pytest.mark.parametrize("factor", [1, 1000, 10**6, 10**9])
def test_every_unit_becomes_seconds(factor, tmp_path):
    log = read(tmp_path, [("a", "x", (NOW + 1) * factor), ("a", "y", NOW * factor)])
    assert log.histories.times.tolist() == [NOW, NOW + 1]


@pytest.mark.parametrize("text", ["2020-09-13T12:26:40", "2020-09-13 12:26:40", "2020-09-13T12:26:40.000Z"])
def test_dates_are_read(text, tmp_path):
    assert read(tmp_path, [("a", "x", text)]).histories.times.tolist() == [NOW]


def test_small_numbers_order_but_are_no_times(tmp_path):
    log = read(tmp_path, [("a", "x", 3), ("a", "y", 1)])
    assert log.histories.times is None
    assert [log.items["item"][int(i)] for i in log.histories.of(0)] == ["y", "x"]
    assert any("no absolute times" in note.text for note in log.report.notes)


def test_missing_ids_and_times_are_dropped_and_counted(tmp_path):
    rows = [("a", "x", NOW), ("", "x", NOW), ("b", "", NOW), ("b", "y", ""), ("b", "y", NOW)]
    log = read(tmp_path, rows)
    dropped = {note.text: note.count for note in log.report.notes if note.dropped}
    assert dropped == {
        "no value in the user column 'user'": 1,
        "no value in the item column 'item'": 1,
        "no value in the time column 'timestamp'": 1,
    }
    assert log.histories.n_events == log.report.kept == 2


@pytest.mark.parametrize(("repeats", "expected"), [("first", ["x", "y"]), ("last", ["y", "x"])])
def test_repeated_pairs_keep_one(repeats, expected, tmp_path):
    log = read(tmp_path, [("a", "x", NOW), ("a", "y", NOW + 1), ("a", "x", NOW + 2)], repeats=repeats)
    assert [log.items["item"][int(i)] for i in log.histories.of(0)] == expected
    assert [note.count for note in log.report.notes if note.dropped] == [1]


def test_ties_in_time_keep_the_order_of_the_file(tmp_path):
    log = read(tmp_path, [("b", "q", NOW), ("a", "z", NOW), ("a", "y", NOW), ("a", "x", NOW), ("a", "w", NOW - 1)])
    assert [log.items["item"][int(i)] for i in log.histories.of(0)] == ["w", "z", "y", "x"]


def test_an_order_column_goes_before_time(tmp_path):
    rows = [("a", "x", NOW, 2), ("a", "y", NOW + 5, 1)]
    header = ("user", "item", "timestamp", "pos")
    assert read(tmp_path, rows, header=header, order="pos").histories.times.tolist() == [NOW + 5, NOW]
    # Unasked, a column of that name beside times may be a place on a page: times order.
    assert read(tmp_path, rows, header=header).histories.times.tolist() == [NOW, NOW + 5]
    assert read(tmp_path, [("a", "x", 2), ("a", "y", 1)], header=("user", "item", "pos")).histories.items.tolist() == [
        1,
        0,
    ]


@pytest.mark.parametrize("kind", ["milliseconds", "datetime", "small floats"])
def test_order_within_a_second_is_kept(kind, tmp_path):
    values = {
        "milliseconds": [NOW * 1000 + 900, NOW * 1000 + 100],
        "datetime": ["2020-09-13 12:26:40.900", "2020-09-13 12:26:40.100"],
        "small floats": [0.9, 0.1],
    }[kind]
    log = read(tmp_path, [("a", "x", values[0]), ("a", "y", values[1])])
    assert [log.items["item"][int(i)] for i in log.histories.of(0)] == ["y", "x"]


def test_missing_values_of_parquet_are_missing(tmp_path):
    table = pl.DataFrame(
        {"user": ["a", "", "b"], "item": [1.0, 2.0, float("nan")], "rating": [5.0, 5.0, 5.0], "timestamp": [NOW] * 3}
    )
    table.write_parquet(tmp_path / "a.parquet")
    log = read_log(tmp_path / "a.parquet")
    assert (log.users.to_list(), log.items["item"].to_list()) == (["a"], ["1"])
    assert log.report.kept == 1
    pl.DataFrame({"user": ["a", "b"], "item": [1, 2], "rating": [float("nan"), 4.0]}).write_parquet(
        tmp_path / "b.parquet"
    )
    assert read_log(tmp_path / "b.parquet", min_rating=4).users.to_list() == ["b"]


def test_large_unsigned_ids_keep_their_spelling(tmp_path):
    big = 2**63 + 5
    pl.DataFrame({"user": pl.Series([big], dtype=pl.UInt64), "item": [1]}).write_parquet(tmp_path / "a.parquet")
    assert read_log(tmp_path / "a.parquet").users.to_list() == [str(big)]


def test_a_time_of_day_is_no_time(tmp_path):
    import datetime

    pl.DataFrame({"user": [1], "item": [1], "time": [datetime.time(3, 4)]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ColumnError, match="dates or numbers were expected"):
        read_log(tmp_path / "a.parquet")


def test_odd_ids_are_kept_and_counted(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text('user,item\n" ann",x\nbob,"y\tz"\n')
    log = read_log(path)
    assert [note.count for note in log.report.notes if "control characters" in note.text] == [1, 1]
    assert log.users.to_list() == [" ann", "bob"]


@pytest.mark.parametrize(
    ("header", "options", "message"),
    [
        (("who", "item"), {}, "no column looks like the user; there are 'who', 'item'; give --user"),
        (("user", "what"), {}, "no column looks like the item"),
        (("user", "item"), {"time": "when"}, r"no column 'when' \(--time\)"),
        (("user", "item"), {"min_rating": 3}, "--min-rating needs a rating column"),
    ],
)
def test_missing_columns_are_named(header, options, message, tmp_path):
    with pytest.raises(ColumnError, match=message):
        read(tmp_path, [("a", "x")], header=header, **options)


def test_usual_spellings_and_said_names(tmp_path):
    rows = [("a", "x", 4, NOW)]
    log = read(tmp_path, rows, header=("reviewerID", "parent_asin", "overall", "unixReviewTime"))
    assert log.report.columns == {
        "user": "reviewerID",
        "item": "parent_asin",
        "rating": "overall",
        "time": "unixReviewTime",
    }
    log = read(tmp_path, rows, header=("who", "what", "n", "when"), user="who", item="what", time="when")
    assert log.report.columns == {"user": "who", "item": "what", "time": "when"}


def test_an_empty_log_and_one_emptied_by_a_filter(tmp_path):
    with pytest.raises(EmptyLogError, match="no events"):
        read(tmp_path, [])
    with pytest.raises(EmptyLogError, match="no event is left: 1 rating below 4"):
        read(tmp_path, [("a", "x", 2)], header=("user", "item", "rating"), min_rating=4)


@pytest.mark.parametrize("broken", [2.5, 1e19, float("inf")])
def test_ids_that_are_broken_numbers_are_refused(broken):
    table = pl.DataFrame({"user": [1.0, broken], "item": ["x", "y"]})
    report = ReadReport(source="made", format="table", columns={}, rows=2)
    with pytest.raises(ColumnError, match=rf"ids must be whole numbers or text; row 2: {re.escape(str(broken))}"):
        log_from_table(table, Columns(user="user", item="item"), report)


def test_whole_floats_as_ids_are_whole_numbers():
    table = pl.DataFrame({"user": [10.0, 9.0], "item": ["x", "y"]})
    report = ReadReport(source="made", format="table", columns={}, rows=2)
    assert log_from_table(table, Columns(user="user", item="item"), report).users.to_list() == ["9", "10"]


@given(st.lists(st.integers(-(2**62), 2**62), max_size=40) | st.lists(st.integers(-5, 5), max_size=40))
def test_stable_argsort_is_stable(values):
    keys = np.array(values, dtype=np.int64)
    assert stable_argsort(keys).tolist() == np.argsort(keys, kind="stable").tolist()


@given(st.lists(st.integers(-(2**40), 2**40) | st.integers(0, 9), min_size=1, max_size=30), st.booleans())
def test_encode_gives_back_the_ids_in_value_order(values, as_text):
    series = pl.Series([str(v) for v in values] if as_text else values)
    codes, ids = encode(series)
    assert [ids[int(c)] for c in codes] == [str(v) for v in values]
    assert ids.to_list() == [str(v) for v in sorted(set(values))]


def test_the_core_holds_both_minima_and_counts_what_it_drops(log):
    core = log.core(user_events=8, item_events=12)
    assert core.histories.lengths.min() >= 8
    assert core.histories.counts().min() >= 12
    assert core.report.kept == core.histories.n_events
    with pytest.raises(EmptyLogError, match="no user has at least"):
        log.core(user_events=1000)


@pytest.mark.parametrize("repeats", ["first", "last", "first-of-kind", "keep"])
@pytest.mark.parametrize("by_time", [True, False])
def test_events_are_arranged_as_one_by_one(repeats, by_time, monkeypatch):
    monkeypatch.setattr("foldin.data.log.arrange._CACHED", 30)  # several groups of users, and users above it
    rng = np.random.default_rng(0)
    n, n_users, n_items = 900, 40, 25
    users = (n_users * rng.random(n) ** 3).astype(np.int32)
    items, kinds = rng.integers(0, n_items, n).astype(np.int32), rng.integers(0, 3, n).astype(np.uint8)
    times = rng.integers(0, 300, n)
    times = np.sort(times) if by_time else times
    events = Events(users=users, items=items, keys=times, times=times, kinds=kinds)
    found, dropped = arranged(events, np.bincount(users, minlength=n_users), n_items, repeats)
    wanted = []
    for user in range(n_users):
        own = sorted(np.flatnonzero(users == user), key=lambda at: times[at])
        seen, kept = set(), []
        for at in reversed(own) if repeats == "last" else own:
            name = {"keep": at, "first-of-kind": (items[at], kinds[at])}.get(repeats, items[at])
            if name not in seen:
                kept.append(at)
            seen.add(name)
        wanted.append(kept[::-1] if repeats == "last" else kept)
    order = np.concatenate(wanted).astype(int)
    assert dropped == n - len(order)
    assert np.diff(found.offsets).tolist() == [len(one) for one in wanted]
    assert np.array_equal(found.items, items[order])
    assert np.array_equal(found.times, times[order])
    assert np.array_equal(found.kinds, kinds[order])


def test_a_word_that_was_kept_as_an_id_stays_when_the_rows_of_other_words_go(tmp_path):
    rows = [*(("7", "1"), ("7", "2"), ("8", "1"), ("nan", "2"), ("abc", "null")), *(("9", f"{k}") for k in range(3, 9))]
    pl.DataFrame(rows, schema=["user", "item"], orient="row").write_csv(tmp_path / "log.csv")
    log = read_log(tmp_path / "log.csv")
    items = log.items["item"].to_list()
    found = {user: [items[at] for at in log.histories.of(k)] for k, user in enumerate(log.users.to_list())}
    assert found == {"7": ["1", "2"], "8": ["1"], "9": [f"{k}" for k in range(3, 9)], "nan": ["2"]}
