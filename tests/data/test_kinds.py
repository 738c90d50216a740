"""Events keep their kind and their value, from the file to the split."""

import json

import numpy as np
import polars as pl
import pytest

from foldin.data import EventLog, Histories, last_out, read_log, strong, temporal
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
    assert log.core(user_events=4).kinds == log.kinds


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
    with pytest.raises(ColumnError, match="column 'type' contains 300 kinds of events, and at most 256"):
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


def test_kinds_and_values_are_part_of_the_fingerprint():
    plain = Histories(items=HISTORIES.items, offsets=HISTORIES.offsets, n_items=4)
    same = np.zeros(4, np.float32)
    found = {
        plain.fingerprint(),
        HISTORIES.fingerprint(),
        Histories(items=plain.items, offsets=plain.offsets, n_items=4, kinds=same.astype(np.uint8)).fingerprint(),
        Histories(items=plain.items, offsets=plain.offsets, n_items=4, values=same).fingerprint(),
    }
    assert len(found) == 4


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
    from foldin.data import read_given

    with pytest.raises(SplitError, match="min_rating or repeats would change the published split"):
        read_given(tmp_path, repeats="last")
    with pytest.raises(DataError, match="'first-of-kind', not 'all'"):
        read_given(tmp_path, repeats="all")
