"""Columns of types that only pandas has, and of others that are no times and no ids: read, or refused in one line."""

import contextlib
import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from foldin.data import Catalog, Features, Filters, catalog_of, read_log, to_polars
from foldin.errors import ColumnError, DataError, FoldinError

DAYS = pd.to_datetime(["2024-01-05", "2024-02-01", "2024-03-01", "2024-04-02"])
BASE = pd.DataFrame({"user": [1, 1, 2, 2], "item": [10, 11, 10, 12]})
MONTHS, WEEKS = DAYS.to_period("M"), DAYS.to_period("W-SUN")
SPANS = pd.IntervalIndex.from_breaks(range(5))


def seconds(*days: str) -> list[int]:
    return [int(dt.datetime.fromisoformat(f"{day}+00:00").timestamp()) for day in days]


FIRST_OF_MONTH = seconds("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01")
MONDAYS = seconds("2024-01-01", "2024-01-29", "2024-02-26", "2024-04-01")
EXACT = seconds("2024-01-05", "2024-02-01", "2024-03-01", "2024-04-02")
TIMES = {
    "months": (MONTHS, FIRST_OF_MONTH),
    "weeks": (WEEKS, MONDAYS),
    "months as categories": (pd.Categorical(MONTHS), FIRST_OF_MONTH),
    "months as objects": (pd.Series(list(MONTHS), dtype=object), FIRST_OF_MONTH),
    "timestamps as categories": (pd.Categorical(DAYS), EXACT),
    "timestamps of a zone": (DAYS.tz_localize("UTC").tz_convert("Asia/Seoul"), EXACT),
    "timestamps as objects": (pd.Series(list(DAYS), dtype=object), EXACT),
    "days as objects": ([one.date() for one in DAYS], EXACT),
    "texts": (pd.array([str(one.date()) for one in DAYS], dtype="string"), EXACT),
    "whole numbers": (pd.array(EXACT, dtype="Int64"), EXACT),
    "numbers": (pd.array(EXACT, dtype="Float64"), EXACT),
}
NO_TIMES = {
    "intervals": (SPANS, "intervals such as '(0, 1]' are no times: give their left or their right ends"),
    "intervals as categories": (pd.cut([1, 5, 9, 2], [0, 3, 6, 10]), "intervals such as '(0, 3]' are no times"),
    "durations": (pd.to_timedelta([1, 2, 3, 4], unit="D"), "durations are no times: add them to a date"),
    "times of day": ([dt.time(at) for at in range(4)], "a time of day has no day: join it with a date"),
    "truth values": (
        pd.array([True, False, True, True], dtype="boolean"),
        "dates or numbers were expected, not Boolean",
    ),
    "lists": ([[1], [2], [3], [4]], "dates or numbers were expected, not List"),
    "bytes": ([b"\xff", b"a", b"b", b"c"], "dates or numbers were expected, not Binary"),
    "complex numbers": (np.array([1 + 1j] * 4), "4 of 4 values are not numbers; first at row 1: '(1+1j)'"),
}


@pytest.mark.parametrize("name", TIMES)
def test_a_column_of_times_is_read_whatever_its_type(name):
    column, expected = TIMES[name]
    assert read_log(BASE.assign(when=column), time="when").histories.times.tolist() == expected


@pytest.mark.parametrize("name", NO_TIMES)
def test_what_is_no_time_is_refused_in_a_line_that_names_the_column(name):
    column, said = NO_TIMES[name]
    with pytest.raises(ColumnError, match="the table: column 'when': ") as error:
        read_log(BASE.assign(when=column), time="when")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_period_is_a_missing_time():
    months = pd.PeriodIndex(["2024-01", None, "2024-03", "2024-04"], freq="M")
    log = read_log(BASE.assign(timestamp=months))
    assert log.histories.times.tolist() == [FIRST_OF_MONTH[0], *FIRST_OF_MONTH[2:]]
    assert [(note.count, note.text) for note in log.report.notes if note.dropped] == [
        (1, "no value in the time column 'timestamp'")
    ]


def test_periods_that_came_through_polars_or_arrow_are_the_same_times():
    frame = BASE.assign(when=WEEKS, age=SPANS, day=DAYS.to_period("D"))
    frame.loc[3, "when"] = None
    found = to_polars(frame)[0]
    for other in (pl.from_pandas(frame), pl.from_pandas(frame).to_arrow()):
        assert to_polars(other)[0].equals(found)
    assert found["when"].dt.timestamp("us").to_list() == [*(10**6 * one for one in MONDAYS[:3]), None]
    assert found["age"].to_list() == ["(0, 1]", "(1, 2]", "(2, 3]", "(3, 4]"]


def test_periods_outside_any_calendar_are_refused():
    far = pd.PeriodIndex.from_ordinals([2**60] * 4, freq="M")
    with pytest.raises(DataError, match="the table: column 'when': periods that have no time of their beginning"):
        read_log(BASE.assign(when=far), time="when")


def test_dates_are_no_ids_and_the_line_says_what_to_do():
    for column in (MONTHS, DAYS, pd.to_timedelta([1, 2, 3, 4], unit="D")):
        with pytest.raises(ColumnError, match=r"'who': ids must be whole numbers or text, not .*; write them as text"):
            read_log(BASE.assign(who=column), user="who")
    assert read_log(BASE.assign(who=MONTHS.astype(str)), user="who").users.to_list() == [str(one) for one in MONTHS]
    assert read_log(BASE.assign(who=SPANS), user="who").users.to_list() == [str(one) for one in SPANS]


@pytest.mark.parametrize("name", [*TIMES, *NO_TIMES])
def test_a_column_of_any_type_in_any_place_is_read_or_refused_as_input(name):
    """Nothing but an error that the caller can correct comes of it: of roles, of names that are roles, and of other tables."""
    column = {**TIMES, **NO_TIMES}[name][0]
    tries = [lambda role=role: read_log(BASE.assign(x=column), **{role: "x"}) for role in ("rating", "kind", "order")]
    tries += [lambda name=name: read_log(BASE.assign(**{name: column})) for name in ("timestamp", "session", "rating")]
    items = BASE[["item"]].assign(item=[10, 11, 12, 13], x=column)
    tries += [
        lambda: read_log(BASE.assign(userId=column).drop(columns="user")),
        lambda: read_log(BASE, items=items.rename(columns={"x": "item", "item": "x"})),
        lambda: read_log(BASE).with_users(pd.DataFrame({"user": column})),
        lambda: prepared(catalog_of((log := read_log(BASE, items=items)).items, log.histories)),
    ]
    for one in tries:
        with contextlib.suppress(FoldinError):
            one()


def prepared(catalog: Catalog) -> None:
    """The features as filters and as models read them."""
    filters = Filters(catalog)
    for name in filters.names:
        filters.codes(name)
    Features.fit(catalog)
