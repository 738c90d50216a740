"""Events keep their kind and their value, from the file to the split."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from foldin.data import EventLog, Histories, last_out, read_given, read_log, strong, temporal
from foldin.data.log.beside import clean_kind
from foldin.errors import ColumnError, DataError, ShapeError, SplitError
from tests.conftest import write_csv

NOW = 1_600_000_000
HEADER = ("user", "item", "type", "timestamp")
# Each user views item u, puts it into the cart and buys it; then views the next one.
ROWS = [
    row
    for u in range(12)
    for row in (
        (f"u{u}", f"i{u}", "view", NOW + 10 * u),
        (f"u{u}", f"i{u}", "cart", NOW + 10 * u + 1),
        (f"u{u}", f"i{u}", "buy", NOW + 10 * u + 1),
        (f"u{u}", f"i{(u + 1) % 12}", "view", NOW + 10 * u + 2),
    )
]


def read(tmp_path, rows=ROWS, header=HEADER, **options) -> EventLog:
    return read_log(write_csv(tmp_path / "log.csv", rows, header), **options)


def notes(log: EventLog) -> list[str]:
    return [note.text for note in log.report.notes]


def kinds_of_user(log: EventLog, user: str) -> list[tuple[str, str]]:
    at = log.users.to_list().index(user)
    one = log.histories.rows(at, at + 1)
    return [(log.items["item"][int(i)], log.kinds[int(k)]) for i, k in zip(one.items, one.kinds, strict=True)]


def test_a_kind_travels_with_its_event(tmp_path):
    log = read(tmp_path)
    assert log.kinds == ("buy", "cart", "view")
    assert kinds_of_user(log, "u3") == [("i3", "view"), ("i4", "view")]
    assert "rows have their kind in 'type': view 24, buy 12, cart 12" in notes(log)
    assert any("the first is kept; --repeats first-of-kind keeps one of each kind" in text for text in notes(log))
    assert kinds_of_user(read(tmp_path, repeats="last"), "u3") == [("i3", "buy"), ("i4", "view")]


def test_one_event_of_each_kind_is_kept_if_asked_for(tmp_path):
    twice = [*ROWS, ("u3", "i3", "view", NOW + 500)]
    log = read(tmp_path, twice, repeats="first-of-kind")
    assert kinds_of_user(log, "u3") == [("i3", "view"), ("i3", "cart"), ("i3", "buy"), ("i4", "view")]
    assert log.histories.n_events == len(ROWS)
    assert any(n.count == 1 and n.dropped and "the first of each kind is kept" in n.text for n in log.report.notes)
    assert log.core(user_events=2).kinds == log.kinds


@pytest.mark.parametrize("name", ["event", "action", "behavior_type", "행동", "eventType"])
def test_usual_names_are_known(tmp_path, name):
    assert read(tmp_path, header=("user", "item", name, "timestamp")).report.columns["kind"] == name


def test_a_type_of_items_is_no_kind_of_events(tmp_path):
    rows = [(f"u{u}", f"i{i}", "film" if i % 2 else "series", NOW + i) for u in range(9) for i in range(8)]
    log = read(tmp_path, rows)
    assert log.histories.kinds is None
    assert log.kinds == ()
    assert any("read as a feature and not as a kind of event (--kind type takes it)" in text for text in notes(log))
    assert read(tmp_path, rows, kind="type").kinds == ("film", "series")


def test_a_column_of_many_values_is_no_kind_unless_it_is_said(tmp_path):
    rows = [(f"u{n % 20}", f"i{n}", f"word {n}", NOW + n) for n in range(300)]
    assert "kind" not in read(tmp_path, rows).report.columns
    with pytest.raises(ColumnError, match=r"column 'type' \(--kind\) contains 300 kinds of events, and at most 256"):
        read(tmp_path, rows, kind="type")


def test_events_without_a_kind_are_kept(tmp_path):
    rows = [*ROWS, ("u1", "i9", "", NOW), ("u1", "i8", "null", NOW)]
    log = read(tmp_path, rows)
    assert log.kinds == ("", "buy", "cart", "view")
    assert ("i9", "") in kinds_of_user(log, "u1")
    assert any("view 24, buy 12, cart 12, none 2" in text for text in notes(log))


def test_kinds_may_be_numbers_and_stand_in_json(tmp_path):
    coded = {"view": 1, "cart": 2, "buy": 4}
    path = tmp_path / "log.ndjson"
    path.write_text("\n".join(json.dumps({"user": u, "item": i, "behavior": coded[k], "ts": t}) for u, i, k, t in ROWS))
    assert read_log(path).kinds == ("1", "2", "4")


def test_a_file_without_a_header_has_kinds_where_they_are_said(tmp_path):
    (tmp_path / "log.csv").write_text("\n".join(f"{u},{i},{k},{t}" for u, i, k, t in ROWS))
    log = read_log(tmp_path / "log.csv", user="column_1", item="column_2", kind="column_3")
    assert log.kinds == ("buy", "cart", "view")


def test_values_stay_with_their_events(tmp_path):
    rows = [("a", "x", "4,5", NOW), ("a", "y", "", NOW - 5), ("b", "x", "2", NOW), ("b", "z", "1", NOW + 1)]
    path = tmp_path / "log.tsv"
    path.write_text("user\titem\trating\ttime\n" + "\n".join("\t".join(map(str, row)) for row in rows))
    log = read_log(path)
    np.testing.assert_array_equal(log.histories.values, np.array([np.nan, 4.5, 2, 1], np.float32))
    kept = read_log(path, min_rating=2).histories
    assert kept.values.tolist() == [4.5, 2.0]


def test_values_that_are_no_numbers_are_left_out_with_a_note(tmp_path):
    rows = [(f"u{n % 5}", f"i{n}", "good" if n % 2 else "bad", NOW + n) for n in range(30)]
    log = read(tmp_path, rows, header=("user", "item", "rating", "time"))
    assert log.histories.values is None
    assert any(
        "rows are read without values: column 'rating': 30 of 30 values are not numbers" in text for text in notes(log)
    )


HISTORIES = Histories(
    items=np.array([3, 1, 3, 2], np.int32),
    offsets=np.array([0, 3, 4]),
    n_items=4,
    times=np.array([10, 20, 25, 30]),
    kinds=np.array([0, 0, 1, 2], np.uint8),
    values=np.array([1, 2, 3, np.nan], np.float32),
)


def test_histories_carry_kinds_and_values_through_every_change():
    assert HISTORIES.select(np.array([1, 0])).kinds.tolist() == [2, 0, 0, 1]
    assert HISTORIES.rows(0, 1).values.tolist() == [1, 2, 3]
    assert HISTORIES.where(HISTORIES.items != 1).kinds.tolist() == [0, 1, 2]
    assert HISTORIES.reindex(np.array([0, -1, 2, 3]), 4).kinds.tolist() == [0, 1, 2]
    assert HISTORIES.followed_by(HISTORIES).kinds.tolist() == [0, 0, 1, 0, 0, 1, 2, 2]
    assert HISTORIES.followed_by(Histories.empty(2, 4)).kinds is None
    assert HISTORIES.distinct().kinds.tolist() == [0, 0, 2]
    assert HISTORIES.without(Histories.from_lists([[3], []], 4)).values[:1].tolist() == [2]
    with pytest.raises(ShapeError, match="cannot take histories of 1 users"):
        HISTORIES.without(Histories.empty(1, 4))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("kinds", np.zeros(4, np.int64)), ("kinds", np.zeros(3, np.uint8)), ("values", np.zeros(4)), ("values", [1.0])],
)
def test_kinds_and_values_of_another_type_or_number_are_refused(name, wrong):
    parts = {one: getattr(HISTORIES, one) for one in ("items", "offsets", "n_items", "times", "kinds", "values")}
    with pytest.raises(ShapeError, match=name):
        Histories(**{**parts, name: wrong})


def test_what_no_training_reads_is_not_part_of_the_fingerprint():
    plain = Histories(items=HISTORIES.items, offsets=HISTORIES.offsets, n_items=4)
    beside = {"kinds": np.zeros(4, np.uint8), "values": np.zeros(4, np.float32)}
    assert replace(plain, **beside).fingerprint() == plain.fingerprint()
    assert replace(plain, times=np.zeros(4, np.int64)).fingerprint() != plain.fingerprint()


def big(tmp_path) -> EventLog:
    rng = np.random.default_rng(3)
    rows = [
        (f"u{u}", f"i{rng.integers(15)}", rng.choice(["view", "view", "cart", "buy"]), NOW + int(rng.integers(1000)))
        for u in range(60)
        for _ in range(20)
    ]
    return read(tmp_path, rows, repeats="first-of-kind")


@pytest.mark.parametrize("protocol", [strong, last_out, temporal])
def test_no_protocol_asks_for_an_item_that_was_shown(tmp_path, protocol):
    split = protocol(big(tmp_path))
    assert split.kinds == ("buy", "cart", "view")
    for held in (split.validation, split.test):
        assert held.targets.n_events > 0
        shown, asked = held.fold_in.pair_keys(), held.targets.pair_keys()
        assert not np.isin(asked, shown).any()
        assert len(np.unique(asked)) == len(asked)
    assert len(np.unique(split.train.pair_keys())) < split.train.n_events  # several kinds of one item are there


def test_last_out_shows_nothing_later_than_what_it_asks_for(tmp_path):
    # The view of c is the last new item; the purchase of a comes after it.
    rows = [
        ("u", "a", "view", 1),
        ("u", "a", "cart", 2),
        ("u", "b", "view", 3),
        ("u", "c", "view", 4),
        ("u", "a", "buy", 5),
        ("u", "c", "buy", 6),
    ]
    rows = [(*row[:3], NOW + row[3]) for row in rows]
    split = last_out(read(tmp_path, rows, repeats="first-of-kind"))
    names = split.catalog.ids
    assert [names[i] for i in split.train.items] == ["a", "a"]
    assert [names[i] for i in split.validation.targets.items] == ["b"]
    assert [names[i] for i in split.test.fold_in.items] == ["a", "a", "b"]
    assert [names[i] for i in split.test.targets.items] == ["c"]


def test_a_published_split_is_read_as_it_is(tmp_path):
    for name in ("train", "valid", "test"):
        pl.DataFrame({"user": [1, 2], "item": [f"{name}1", f"{name}2"]}).write_csv(tmp_path / f"{name}.csv")
    for options in ({"repeats": "last"}, {"kind": "type"}, {"rating": "stars"}, {"min_rating": 3}):
        with pytest.raises(SplitError, match=f"{next(iter(options))} would change the published split"):
            read_given(tmp_path, **options)
    with pytest.raises(DataError, match="'keep', not 'all'"):
        read_given(tmp_path, repeats="all")


def test_what_a_published_split_holds_beside_its_items_is_said_to_be_left(tmp_path):
    for name in ("train", "valid", "test"):
        pl.DataFrame({"user": [1, 2], "item": [f"{name}1", f"{name}2"], "rating": [3, 4]}).write_csv(
            tmp_path / f"{name}.csv"
        )
    split = read_given(tmp_path)
    assert any("of a published split are read without 'rating'" in note.text for note in split.report.notes)


def thrice(user: str, item: str, at: int) -> list[tuple[str, str, str, int]]:
    return [(user, item, kind, NOW + at + step) for step, kind in enumerate(("view", "cart", "buy"))]


def test_minimums_count_items_and_users_whatever_the_number_of_kinds(tmp_path):
    rows = [row for u in range(4) for i in range(3) for row in thrice(f"u{u}", f"i{i}", 10 * i)]
    rows += thrice("solo", "i0", 0) + thrice("u0", "rare", 90)
    log = read(tmp_path, rows, repeats="first-of-kind")
    kept = log.core(user_events=3, item_events=3)
    assert kept.users.to_list() == [f"u{u}" for u in range(4)]
    assert kept.items["item"].to_list() == ["i0", "i1", "i2"]
    assert kept.histories.n_events == 36
    split = last_out(log)
    assert "solo" not in split.train_users.to_list()
    assert (split.test.fold_in.lengths > 0).all()


def test_a_share_of_the_items_is_asked_for_whatever_the_number_of_kinds(tmp_path):
    rows = [
        row
        for u in range(60)
        for i in range(10)
        for row in (thrice(f"u{u}", f"i{i}", 10 * i) if i < 5 else [(f"u{u}", f"i{i}", "view", NOW + 10 * i)])
    ]
    rows += [row for u in range(30) for row in thrice(f"few{u}", "i0", 0) + thrice(f"few{u}", "i1", 10)]
    log = read(tmp_path, rows, repeats="first-of-kind")
    split = strong(log, held_out=0.3, min_events=1)
    few = split.test.users.str.starts_with("few").to_numpy()
    assert few.any()
    assert (split.test.targets.lengths[~few] == 2).all()
    assert (split.test.targets.lengths[few] == 0).all()


def test_events_that_are_neither_shown_nor_asked_for_are_counted(tmp_path):
    late = [("u0", "i0", "buy", NOW + 200), ("u1", "i1", "buy", NOW + 201)]
    rows = [row for u in range(4) for i in range(3) for row in [(f"u{u}", f"i{i}", "view", NOW + 10 * i + u)]]
    log = read(tmp_path, rows + late, repeats="first-of-kind")
    split = last_out(log)
    shown = split.test.fold_in.n_events + split.test.targets.n_events
    (left,) = [note for note in split.report.notes if "after the test target" in note.text]
    assert left.count == log.histories.n_events - shown == 2
    split = temporal(log, validation_share=0.4, test_share=0.15)
    assert split.test.targets.n_events == 0
    assert any(
        n.count == 2 and n.text.startswith("test events with items that the user already has")
        for n in split.report.notes
    )


@pytest.mark.parametrize("values", [[["view"], ["buy"]], [b"\xff\x00", b"\xfe\x00"]])
def test_a_column_that_holds_no_kinds_is_none_unless_it_is_said(tmp_path, values):
    file = tmp_path / "log.parquet"
    pl.DataFrame(
        {"user": [f"u{u % 9}" for u in range(90)], "item": [f"i{u // 9}" for u in range(90)], "action": values * 45}
    ).write_parquet(file)
    assert read_log(file).kinds == ()
    with pytest.raises(ColumnError, match=r"'action' .*--kind.* not kinds of events"):
        read_log(file, kind="action")


def test_a_column_of_many_kinds_after_the_first_rows_leaves_the_log_readable(tmp_path):
    rows = [
        (f"u{at % 70}", f"i{at // 70}", ("a", "b")[at % 3 % 2] if at < 6000 else f"k{at}", NOW + at)
        for at in range(6400)
    ]
    log = read(tmp_path, rows)
    assert log.histories.kinds is None
    assert any(
        note.warning and "read without kinds: column 'type' contains 402" in note.text for note in log.report.notes
    )
    with pytest.raises(ColumnError, match="402 kinds of events"):
        read(tmp_path, rows, kind="type")


def test_an_empty_column_is_no_kind_and_only_rows_that_have_one_are_counted(tmp_path):
    rows = [(f"u{at % 9}", f"i{at // 9}", "", NOW + at) for at in range(90)]
    assert read(tmp_path, rows).kinds == ()
    rows = [(*row[:2], "view" if at < 30 else "", row[3]) for at, row in enumerate(rows)]
    log = read(tmp_path, rows)
    assert any(
        note.count == 30 and note.text == "rows have their kind in 'type': none 60, view 30"
        for note in log.report.notes
    )


def test_whole_numbers_stay_whole_beside_a_gap(tmp_path):
    rows = [(f"u{at % 9}", f"i{at // 9}", (1, 2, None)[at % 4 % 3], NOW + at) for at in range(90)]
    file = tmp_path / "log.parquet"
    pl.DataFrame(rows, schema=HEADER, orient="row").with_columns(pl.col("type").cast(pl.Float64)).write_parquet(file)
    assert read_log(file, kind="type").kinds == ("", "1", "2")


def test_the_first_of_each_kind_needs_kinds(tmp_path):
    with pytest.raises(ColumnError, match=r"first-of-kind needs a column of kinds .*--kind.* 'user', 'item'"):
        read(tmp_path, [row[:2] for row in ROWS], HEADER[:2], repeats="first-of-kind")


def test_one_column_has_one_role(tmp_path):
    with pytest.raises(ColumnError, match="--time and --kind are both 'timestamp'"):
        read(tmp_path, kind="timestamp", time="timestamp")


def test_how_a_comma_is_read_all_ratings_decide(tmp_path):
    rows = [("u1", "i1", '"3,125"'), ("u2", "i2", '"1,5"'), ("u3", "i3", "4")]
    log = read(tmp_path, rows, ("user", "item", "rating"), min_rating=3)
    assert log.users.to_list() == ["u1", "u3"]
    assert log.histories.values.tolist() == [3.125, 4.0]
    assert any("ratings have a comma ('rating'): 3,125 as 3.125" in text for text in notes(log))


def test_values_beyond_32_bits_are_none(tmp_path):
    rows = [("u1", "i1", "1e39"), ("u2", "i2", "inf"), ("u3", "i3", "4")]
    log = read(tmp_path, rows, ("user", "item", "rating"))
    assert np.isnan(log.histories.values).tolist() == [True, True, False]
    assert any(note.count == 2 and "infinite or beyond 3.4e38" in note.text for note in log.report.notes)


@pytest.mark.parametrize("written", ["view", " view ", "null", "-", "", "NaN", "\n", "Buy"])
def test_a_kind_is_spelled_alike_in_files_and_requests(tmp_path, written):
    rows = [("u1", "i1", "view"), ("u1", "i2", written)]
    file = tmp_path / "log.parquet"
    pl.DataFrame(rows, schema=HEADER[:3], orient="row").write_parquet(file)
    log = read_log(file, kind="type")
    assert log.kinds[log.histories.kinds[1]] == clean_kind(written)
