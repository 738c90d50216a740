"""Times however they are written, and one line about those that cannot be read."""

import datetime

import numpy as np
import polars as pl
import pytest

from foldin.data import Source, read_log
from foldin.data.log.dates import layouts_of
from foldin.data.log.times import time_like, to_times
from foldin.errors import ColumnError
from tests.conftest import write_csv

# Sunday, 13 September 2020, 12:26:40 UTC
NOW = 1_600_000_000
MIDNIGHT = NOW - 44_800


def seconds(*values, **options) -> list[int]:
    found = to_times(pl.Series("when", values), "log.csv", **options).seconds
    assert found is not None
    return found.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-09-13 12:26:40+00:00", NOW),
        ("2020-09-13T12:26:40+02:00", NOW - 7_200),
        ("2020-09-13T12:26:40.25-0330", NOW + 12_600),
        ("2020-09-13T12:26:40+09", NOW - 32_400),
        ("2020-09-13T12:26:40Z", NOW),
        ("2020-09-13T12:26:40.277Z", NOW),
        ("2020-09-13 12:26:40 UTC", NOW),
        ("2020-09-13 12:26:40.123456 UTC", NOW),
        ("2020-09-13 12:26:40 +0000 UTC", NOW),
        ("2020-09-13 12:26", NOW - 40),
        ("2020-09-13T12:26Z", NOW - 40),
        ("2020-09-13", MIDNIGHT),
        ("2020/9/13 12:26:40", NOW),
        ("20200913T122640Z", NOW),
        ("13.09.2020 12:26", NOW - 40),
        ("13/09/2020", MIDNIGHT),
        ("13/09/2020 12:26:40", NOW),
        ("9/13/2020 12:26:40 PM", NOW),
        ("Sun, 13 Sep 2020 12:26:40 +0000", NOW),
        ("Sun, 13 Sep 2020 21:26:40 +0900", NOW),
        ("Sun, 13 Sep 2020 12:26:40 GMT", NOW),
        ("Sun Sep 13 12:26:40 2020", NOW),
        ("Sun Sep 13 12:26:40 +0000 2020", NOW),
        ("13 September 2020", MIDNIGHT),
        ("Sep 13, 2020", MIDNIGHT),
        ("09 13, 2020", MIDNIGHT),
        ("13-Sep-20", MIDNIGHT),
        ("13/Sep/2020:12:26:40 +0000", NOW),
        ("2020년 9월 13일 12:26", NOW - 40),
        ("2020. 9. 13.", MIDNIGHT),
        ("2020年09月13日", MIDNIGHT),
        ("20200913122640", NOW),
        ("202009131226", NOW - 40),
        ("2020091312", NOW - 1_600),
        ("20200913", MIDNIGHT),
        ("20200913122640277", NOW),
        ("1600000000", NOW),
        ("1600000000.5", NOW),
        ("1600000000,5", NOW),
        ("1600000000277", NOW),
        ("1600000000277000", NOW),
        ("1600000000277000111", NOW),
    ],
)
def test_times_are_read_as_they_are_written(text, expected):
    later = to_times(pl.Series("when", [text, text]), "log.csv")
    assert later.seconds is not None
    assert later.seconds.tolist() == [expected] * 2
    assert later.notes[0].count == 2  # how it was read is said
    assert time_like(pl.Series([text])) or "," in text


@pytest.mark.parametrize("number", [20200913, 20200913122640, 202009131226])
def test_dates_in_digits_are_dates_in_parquet_too(number):
    assert seconds(number, number)[0] in (MIDNIGHT, NOW, NOW - 40)


def test_shapes_may_be_mixed_within_a_column():
    assert seconds("2020-09-13 12:26:40", "2020-09-13", "2020-09-13T12:26:40+01:00") == [NOW, MIDNIGHT, NOW - 3_600]


def test_the_day_is_found_by_all_values_not_by_the_first():
    assert seconds("05/06/2020", "13/06/2020") == seconds("2020-06-05", "2020-06-13")
    assert seconds("05/06/2020", "06/13/2020 10:00") == seconds("2020-05-06", "2020-06-13 10:00")
    assert seconds("05.06.2020", "07.08.2020") == seconds("2020-06-05", "2020-08-07")
    assert seconds("06/06/2020") == seconds("2020-06-06")


def test_days_that_can_be_months_are_refused_with_the_option_that_decides():
    message = (
        r"log.csv: column 'when': '05/06/2020' can be 2020-06-05 or 2020-05-06.*--time-format day-first or month-first"
    )
    with pytest.raises(ColumnError, match=message):
        seconds("05/06/2020", "07/08/2020")
    assert seconds("05/06/2020", time_format="day-first") == seconds("2020-06-05")
    assert seconds("05/06/2020", time_format="month-first") == seconds("2020-05-06")
    with pytest.raises(ColumnError, match="day-first or year-first"):
        seconds("13/09/20", "14/09/20")
    assert seconds("20/09/13", time_format="year-first") == [MIDNIGHT]
    with pytest.raises(ColumnError, match="mixes dates with the day first"):
        seconds("13/09/2020", "09/13/2020")


def test_a_format_that_is_said_is_used():
    assert seconds("13~09~2020", time_format="%d~%m~%Y") == [MIDNIGHT]
    assert seconds("16000000", time_format="seconds") == [16_000_000]
    assert seconds(20200913122640, time_format="milliseconds") == [20_200_913_122]
    with pytest.raises(ColumnError, match="'soon' is not one of day-first"):
        seconds("13~09~2020", time_format="soon")
    with pytest.raises(ColumnError, match="first at row 2: '14-09-2020'"):
        seconds("13~09~2020", "14-09-2020", time_format="%d~%m~%Y")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("2020-09-13", "2020-02-30"), "1 of 2 values are no dates like the others .*first at row 2: '2020-02-30'"),
        (("2020-09-13 12:00:00 EST",), "are not numbers; first at row 1"),
        ((NOW, NOW * 1_000), "mixes units: 1 seconds, 1 milliseconds; the unit changes at row 2"),
        ((NOW * 17,), "is in 2831-.*give --time-format, or --order"),
        (("12:26:40",), "are not numbers"),
    ],
)
def test_what_is_no_time_is_refused_by_row(values, message):
    with pytest.raises(ColumnError, match=message):
        seconds(*values)


def test_digits_of_which_some_are_no_date_only_order():
    found = to_times(pl.Series("when", ["20200913", "20209999"]), "log.csv")
    assert found.seconds is None
    assert "has no absolute times" in found.notes[0].text


def test_a_bad_date_in_digits_beyond_the_sample_is_refused_by_row():
    values = [20200913] * 5_001
    values[4_321] = 20201399
    with pytest.raises(ColumnError, match="first at row 4,322: 20201399"):
        to_times(pl.Series("when", values), "log.csv")


def test_odd_times_are_noted_with_their_row():
    found = to_times(pl.Series("when", ["2020-09-13", "1969-07-20", "9999-12-31"]), "log.csv")
    assert {(note.count, note.text) for note in found.notes if note.warning} == {
        (1, "times are in the future (column 'when'); first at row 3: 9999-12-31"),
        (1, "times are before 1970 (column 'when'); first at row 2: 1969-07-20"),
    }


def test_order_is_kept_within_a_second():
    found = to_times(pl.Series("when", ["2020-09-13T12:26:40.9+00:00", "2020-09-13T14:26:40.1+02:00"]), "log.csv")
    assert np.argsort(found.keys).tolist() == [1, 0]
    compact = to_times(pl.Series("when", [20200913122640900, 20200913122640100]), "log.csv")
    assert np.argsort(compact.keys).tolist() == [1, 0]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        ["7", "8"],
        ["0439023483", "0316015844"],
        [5.0, 4.0],
        ["soon"],
        [214_530_001],
        [None],
        [True],
        ["B00X"],
    ],
)
def test_ids_and_ratings_are_not_like_times(values):
    assert not time_like(pl.Series(values))


def test_layouts_are_found_only_in_dates():
    for text in ("", "monday", "13", "1-2-3-4", "v1.2.3", "2020-09", "12:26:40", "Toy Story 1995", "192.168.0.1"):
        assert layouts_of(text) == ()


def test_rows_are_counted_in_the_file_even_after_others_were_dropped(tmp_path):
    rows = [("", "x", NOW), ("a", "", NOW), ("a", "x", NOW), ("b", "y", "soon")]
    with pytest.raises(ColumnError, match="1 of 2 values are not numbers; first at row 4: 'soon'"):
        read_log(write_csv(tmp_path / "a.csv", rows, ("user", "item", "timestamp")))


def test_words_for_no_time_are_dropped_and_counted(tmp_path):
    rows = [("a", "x", "NULL"), ("a", "y", "2020-09-13 12:26:40"), ("b", "y", "0000-00-00 00:00:00")]
    report = read_log(write_csv(tmp_path / "a.csv", rows, ("user", "item", "time"))).report
    assert [(n.count, n.text) for n in report.notes if n.dropped] == [
        (2, "no value ('NULL') in the time column 'time'")
    ]


def test_a_source_keeps_the_format_of_its_times(tmp_path):
    rows = [(u, i, f"{1 + i:02d}/06/2020") for u in range(30) for i in range(6)]
    path = write_csv(tmp_path / "a.csv", rows, ("user", "item", "date"))
    source = Source(path=str(path), time_format="day-first", protocol="last-out")
    assert source.as_dict()["time_format"] == "day-first"
    times = source.log().histories.times
    assert times is not None
    assert datetime.datetime.fromtimestamp(int(times[5]), datetime.UTC).date() == datetime.date(2020, 6, 6)
    with pytest.raises(ColumnError, match="day-first or month-first"):
        read_log(path)
