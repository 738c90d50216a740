"""Ids: words for a missing value, numbers with a point, ratings with a comma, users who are everybody."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from foldin.data import EventLog, catalog_of, everyone_of_frame, id_text, read_log
from foldin.errors import ColumnError, DataError, EmptyLogError
from tests.conftest import write_csv

WORDS = ("nan", "NULL", "None", "NA", "\\N", "-", "null", "<NA>", "#N/A", "undefined", "  ")


def read(tmp_path, rows, header=("user", "item"), **options) -> EventLog:
    return read_log(write_csv(tmp_path / "log.csv", rows, header), **options)


def dropped(log: EventLog) -> dict[str, int]:
    return {note.text: note.count for note in log.report.notes if note.dropped}


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("prefix", ["", "u"])
def test_words_for_no_user_are_dropped_and_counted(word, prefix, tmp_path):
    rows = [(word if k % 7 == 0 else f"{prefix}{k % 10}", k % 13) for k in range(130)]
    log = read(tmp_path, rows)
    assert log.users.to_list() == [f"{prefix}{k}" for k in range(10)]  # in the order of numbers again
    assert dropped(log)[f"no value in the user column 'user' (written {word!r})"] == 19
    assert log.report.kept == log.histories.n_events


def test_words_for_no_item_take_their_users_along(tmp_path):
    log = read(tmp_path, [("a", 1), ("b", "nan"), ("c", "NaN"), ("c", 2)])
    assert (log.users.to_list(), log.items["item"].to_list()) == (["a", "c"], ["1", "2"])
    assert dropped(log) == {"no value in the item column 'item' (written 'NaN', 'nan')": 2}


def test_a_word_that_is_an_id_among_words_is_kept_and_noted(tmp_path):
    log = read(tmp_path, [("None", "x"), *((name, item) for name in ("Ann", "Bob") for item in "xyz")])
    assert "None" in log.users.to_list()
    assert any("'None' as their user, kept as an id" in note.text for note in log.report.notes)


def test_nothing_left_says_why(tmp_path):
    with pytest.raises(EmptyLogError, match=r"no event is left: 2 no value .*written 'NULL'.*; 1 no value in the item"):
        read(tmp_path, [("NULL", 1), ("NULL", 2), (1, "NULL")])


def test_whole_numbers_with_a_point_are_numbers(tmp_path):
    log = read(tmp_path, [("10.0", "007"), ("9.0", "7"), ("9", "8.0")])
    assert log.users.to_list() == ["9", "10"]  # "9.0" and "9" are one user
    assert log.items["item"].to_list() == ["007", "7", "8.0"]  # a leading zero: spelled so on purpose
    assert log.histories.lengths.tolist() == [2, 1]
    assert any("user ids written like" in note.text for note in log.report.notes)


def test_floats_of_parquet_and_text_of_csv_give_one_spelling(tmp_path):
    pl.DataFrame({"user": [1.0, 2.0], "item": ["a", "b"]}).write_parquet(tmp_path / "a.parquet")
    assert read_log(tmp_path / "a.parquet").users.to_list() == ["1", "2"]
    assert read(tmp_path, [("1.0", "a"), ("2.0", "b")]).users.to_list() == ["1", "2"]


def test_broken_ids_are_located_in_the_file(tmp_path):
    pl.DataFrame({"user": [None, 1.0, 2.5], "item": ["x", "y", "z"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(ColumnError, match=r"whole numbers or text; row 3: 2\.5"):
        read_log(tmp_path / "a.parquet")


LARGE = np.arange(2**53, 2**53 + 8)  # of which floating-point numbers have only four
PLAIN = {"user": range(8), "item": [f"i{k}" for k in range(8)]}


@pytest.mark.parametrize(("dtype", "bits"), [(np.float64, 53), (np.float32, 24)])
@pytest.mark.parametrize("role", ["user", "item"])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, "file"])
def test_floats_that_cannot_tell_ids_apart_are_refused(make, role, dtype, bits, tmp_path):
    ids = (LARGE - 2**53 + 2**bits).astype(dtype)
    assert len(set(ids.tolist())) == 5  # 2^53, 2^53 + 2, 4, 6 and 8: to even
    frame = pl.DataFrame(PLAIN | {role: ids}) if make == "file" else make(PLAIN | {role: ids})
    if make == "file":
        frame.write_parquet(tmp_path / "log.parquet")
    with pytest.raises(ColumnError, match=rf"column '{role}': row 1: the id {2**bits} is .* integers or text"):
        read_log(tmp_path / "log.parquet" if make == "file" else frame)
    whole = read_log(pl.DataFrame(PLAIN | {role: LARGE - 2**53 + 2**bits}))
    assert (whole.users if role == "user" else whole.items["item"]).to_list() == [str(2**bits + k) for k in range(8)]


def test_the_largest_exact_floats_are_ids_as_before():
    ids = [2.0**53 - 2, 2.0**53 - 1, None]
    assert read_log(pl.DataFrame({"user": ids, "item": "abc"[:3]})).users.to_list() == [str(2**53 - 2), str(2**53 - 1)]


def test_features_and_requests_with_such_ids_are_refused_too():
    large, plain = {"id": LARGE.astype(float), "age": range(8)}, pl.DataFrame(PLAIN | {"item": LARGE, "user": LARGE})
    log = read_log(plain)
    with pytest.raises(ColumnError, match="the table of items: column 'id': row 1: the id 9007199254740992 is"):
        read_log(plain, items=pl.DataFrame(large))
    with pytest.raises(ColumnError, match="the table of users: column 'user_id': row 1: the id 9007199254740992 is"):
        read_log(plain, users=pl.DataFrame(large).rename({"id": "user_id"}))
    with pytest.raises(ColumnError, match="column 'user': row 1: the id 9007199254740992 is"):
        everyone_of_frame(
            plain.with_columns(pl.col("user").cast(float)), log.reading, catalog_of(log.items, log.histories)
        )
    with pytest.raises(DataError, match="the id 9007199254740992 is a floating-point number"):
        id_text(2.0**53)
    assert (id_text(2.0**53 - 1), id_text(2**53 + 1)) == ("9007199254740991", "9007199254740993")


def test_users_of_features_are_spelled_as_those_of_the_log():
    log = read_log(pl.DataFrame({"user": [10**15, 7], "item": ["a", "b"]}))
    described = log.with_users(pl.DataFrame({"user": [1e15, 7.0, float("nan")], "age": [30, 40, 50]}))
    assert described.user_features.rows() == [("7", 40), (str(10**15), 30)]


@pytest.mark.parametrize(
    ("ratings", "kept"),
    [
        (("4,5", "3,0", "5"), ["0", "2"]),
        (("4.5", "3.0", "5"), ["0", "2"]),
        (("1,234.5", "2", "3"), ["0"]),
        (("-1", "nan", "4"), ["2"]),
        (("", "NULL", "4"), ["2"]),
    ],
)
def test_ratings_of_many_spellings(ratings, kept, tmp_path):
    lines = "".join(f'{k},x,"{rating}"\n' for k, rating in enumerate(ratings))
    (tmp_path / "log.csv").write_text("user,item,rating\n" + lines)
    log = read_log(tmp_path / "log.csv", min_rating=4)
    assert log.users.to_list() == kept
    assert log.report.kept == len(kept)


def test_odd_ratings_are_noted_with_their_row(tmp_path):
    log = read(tmp_path, [(1, 1, 4), (1, 2, -1), (2, 1, "nan")], ("user", "item", "rating"), min_rating=4)
    texts = [note.text for note in log.report.notes]
    assert "ratings are negative ('rating'); first at row 2: -1" in texts
    assert "no value in the rating column 'rating'" in texts


@pytest.mark.parametrize(
    ("rating", "message"),
    [("4 stars", "1 of 3 values are not numbers; first at row 3: '4 stars'"), ("n/a!", "first at row 3")],
)
def test_ratings_that_are_no_numbers_are_located(rating, message, tmp_path):
    with pytest.raises(ColumnError, match=message):
        read(tmp_path, [(1, 1, 4), (1, 2, 5), (2, 1, rating)], ("user", "item", "rating"), min_rating=4)


def test_a_comma_of_either_kind_is_refused(tmp_path):
    (tmp_path / "log.csv").write_text('user,item,rating\n1,1,5\n1,2,"1,234"\n')
    with pytest.raises(ColumnError, match=r"'1,234' \(row 2\) can be 1\.234 or 1234"):
        read_log(tmp_path / "log.csv", min_rating=4)


def test_a_user_who_is_everybody_is_pointed_out(tmp_path):
    log = read(tmp_path, [(-1 if k % 3 == 0 else k % 50, k) for k in range(600)])
    assert [note.text.split(" alone")[0] for note in log.report.warnings] == ["events are of the user '-1'"]
