"""Titles and attributes: joined by the ids that meet, typed, and never in the way of the log."""

import datetime

import polars as pl
import pytest

from foldin.data import Catalog, EventLog, log_from_table, read_items, read_log
from foldin.data.log.columns import Columns
from foldin.data.log.report import ReadReport
from foldin.errors import ColumnError, DataError
from tests.conftest import write_csv


@pytest.fixture
def log_file(tmp_path):
    return write_csv(tmp_path / "log.csv", [(u, i) for u in range(4) for i in range(7, 12)], ("user", "item"))


def text(tmp_path, content: str, name: str = "things.csv"):
    (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path / name


def noted(log: EventLog) -> dict[str, int]:
    return {note.text: note.count for note in log.report.notes}


def test_attributes_are_what_they_are(tmp_path):
    table = read_items(
        text(
            tmp_path,
            "item,title,year,price,zip,on,day,genres,tags,cost,empty,mixed\n"
            '7,1984,1999,9.5,02139,True,2020-09-13,Comedy|Drama,"[""a"", ""b""]","4,5",,12\n'
            "8,Film,2001,10,10115,false,2020-09-14,Drama,['c'],5,,x\n"
            "9,,NULL,,20095,,,,[],,,\n",
        )
    )
    assert table.schema == {
        **{"item": pl.String, "title": pl.String, "year": pl.Int64, "price": pl.Float64, "zip": pl.String},
        **{"on": pl.Boolean, "day": pl.Date, "genres": pl.String, "tags": pl.String, "cost": pl.Float64},
        **{"empty": pl.String, "mixed": pl.String},
    }
    assert table["year"].to_list() == [1999, 2001, None]
    assert table["on"].to_list() == [True, False, None]
    assert table["day"][0] == datetime.date(2020, 9, 13)
    assert table["tags"].to_list() == ["a|b", "c", ""]
    assert table["genres"].to_list() == ["Comedy|Drama", "Drama", None]
    assert table["cost"].to_list() == [4.5, 5.0, None]


def test_lists_of_parquet_are_one_text_like_those_of_csv(tmp_path):
    pl.DataFrame({"item": [7, 8], "genres": [["Comedy", "Drama"], None], "sizes": [[1, 2], [3]]}).write_parquet(
        tmp_path / "a.parquet"
    )
    table = read_items(tmp_path / "a.parquet")
    assert table["genres"].to_list() == ["Comedy|Drama", None]
    assert table["sizes"].to_list() == ["1|2", "3"]


def test_one_word_among_numbers_keeps_text_and_is_noted(tmp_path, log_file):
    rows = [(i, 2000 + i if i != 9 else "soon") for i in range(40)]
    log = read_log(log_file, items=write_csv(tmp_path / "i.csv", rows, ("item", "year")))
    assert noted(log)["values of the feature 'year' are no numbers, so that it is read as text; the first: 'soon'"] == 1


def test_items_of_which_nothing_joins_are_refused_with_both_spellings(tmp_path, log_file):
    items = write_csv(tmp_path / "i.csv", [(f"{i:03d}", f"Film {i}") for i in range(12)], ("item", "title"))
    with pytest.raises(ColumnError, match=r"describes none of the log's 5 items: '000' there, '7' in the log"):
        read_log(log_file, items=items)
    with pytest.raises(ColumnError, match="the table of items: describes none"):
        log_from_table(
            pl.DataFrame({"user": [1], "item": [1]}),
            Columns(user="user", item="item"),
            ReadReport(source="made", format="table", columns={}, rows=1),
            items=pl.DataFrame({"item": ["x"], "title": ["X"]}),
        )


def test_partial_joins_and_repeated_lines_are_counted(tmp_path, log_file):
    items = write_csv(tmp_path / "i.csv", [(7, "A"), (7, "B"), (8, "C"), (99, "D")], ("item", "title"))
    log = read_log(log_file, items=items)
    assert log.items["title"].to_list() == ["A", "C", None, None, None]
    assert noted(log)[f"lines of {items} repeat an item; the first line is used"] == 1
    assert noted(log)[f"of 5 items are not described in {items}; the first: '9'"] == 3


def test_numbers_with_a_point_meet_whole_numbers(tmp_path, log_file):
    items = write_csv(tmp_path / "i.csv", [(f"{i}.0", f"Film {i}") for i in range(12)], ("item", "title"))
    assert read_log(log_file, items=items).items["title"].to_list() == [f"Film {i}" for i in range(7, 12)]
    pl.DataFrame({"item": [7.0, 8.0, None], "title": ["A", "B", "C"]}).write_parquet(tmp_path / "i.parquet")
    assert read_log(log_file, items=tmp_path / "i.parquet").items["title"].to_list()[:2] == ["A", "B"]


def test_the_column_that_joins_is_taken_where_the_usual_one_does_not(tmp_path, log_file):
    items = write_csv(tmp_path / "i.csv", [(f"x{i}", i, f"Film {i}") for i in range(12)], ("item", "number", "title"))
    log = read_log(log_file, items=items)
    assert log.items["title"][0] == "Film 7"
    assert any("joined by the column 'number'" in one for one in noted(log))
    assert Catalog(log.items.with_columns(count=pl.lit(1))).find_title("film 8") == 1


def test_names_of_other_languages(tmp_path, log_file):
    items = write_csv(tmp_path / "i.csv", [(i, f"영화 {i}", 2000 + i) for i in range(12)], ("상품번호", "제목", "연도"))
    table = read_log(log_file, items=items).items
    assert table.row(0) == ("7", "영화 7", 2007)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", "item,title\n1,A, b\n"),
        ("movies.csv", "movieId,title\nx1,A\nx2,B\n"),
        ("movies.dat", "1::A\n"),
        ("u.item", "7|A\n"),
        ("items.csv", ""),
    ],
)
def test_a_bad_file_beside_a_log_leaves_the_log_readable(name, content, tmp_path, log_file):
    text(tmp_path, content, name)
    log = read_log(log_file)
    assert log.items.columns == ["item"]
    assert log.histories.n_events == 20
    (warning,) = log.report.warnings
    assert warning.text.startswith("file beside the log is not used: ")
    assert name in warning.text
    with pytest.raises(DataError):
        read_log(log_file, items=tmp_path / name)
