"""Filters on attributes: ranges of any numbers, several values, and a line where a condition does not fit."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from foldin.data import Catalog, Condition, Filters, conditions, conditions_of
from foldin.errors import ConfigError

CATALOG = Catalog(
    pl.DataFrame(
        {
            "item": ["a", "b", "c", "d"],
            "title": ["A", "B", "C", "D"],
            "count": [1, 2, 3, 4],
            "genres": ["Comedy|Drama", "Comedy", "Drama | War", None],
            "tags": [["x", "y"], ["x"], [], None],
            "years": [[1990, 2001], [1980], None, [2000]],
            "year": pl.Series([1999, None, 2001, 2005], dtype=pl.Int16),
            "price": [1.5, float("nan"), -2.0, 1e9],
            "cost": pl.Series(["1.10", "2.20", None, "3.30"]).cast(pl.Decimal(10, 2)),
            "color": pl.Series(["red", "blue", "red", None], dtype=pl.Categorical),
            "sold": [True, False, None, True],
            "pair": pl.Series([[1, 2], [3, 4], [5, 6], [7, 8]], dtype=pl.Array(pl.Int64, 2)),
            "at": pl.Series(
                ["2024-01-30T23:59:59", "2024-01-31T00:00:00", "2024-01-31T23:59:59.999999", None]
            ).str.to_datetime(time_unit="ns"),
            "local": pl.Series(["2024-01-31T00:30", "2024-01-31T12:00", None, "2024-02-01T08:59"])
            .str.to_datetime()
            .dt.replace_time_zone("Asia/Seoul"),
            "runs": pl.Series(
                [[dt.date(2024, 1, 1), dt.date(2024, 3, 1)], [dt.date(2024, 2, 1)], [], None], dtype=pl.List(pl.Date)
            ),
            "clock": pl.Series([dt.time(1), None, None, None]),
            "span": pl.Series([dt.timedelta(1), None, None, None]),
            "day": pl.Series(["2020-01-01", "2020-01-02", None, None]).str.to_date(),
            "deep": [{"of": 1}] * 4,
        }
    )
)
ATTRIBUTES = Filters(CATALOG)


def passing(name: str, **wanted) -> str:
    kept = ATTRIBUTES.passing({name: Condition(**wanted)})
    return "".join(np.array(CATALOG.ids)[kept])


@pytest.mark.parametrize(
    ("name", "wanted", "items"),
    [
        ("genres", {"any_of": ["Comedy"]}, "ab"),
        ("genres", {"any_of": ["War", "Comedy"]}, "abc"),
        ("genres", {"any_of": ["Comedy|Drama"]}, "a"),  # the whole text is a value too
        ("genres", {"any_of": ["Com"]}, ""),
        ("genres", {"any_of": []}, ""),
        ("genres", {"none_of": ["Comedy"]}, "cd"),
        ("genres", {"none_of": []}, "abcd"),
        ("genres", {"all_of": ["Drama", "Comedy"]}, "a"),
        ("genres", {"all_of": ["Drama"], "none_of": ["War"]}, "a"),
        ("genres", {"contains": "dram"}, "ac"),
        ("tags", {"any_of": ["x"]}, "ab"),
        ("tags", {"none_of": ["y"]}, "bcd"),
        ("tags", {"all_of": ["x", "y"]}, "a"),
        ("tags", {"contains": "Y"}, "a"),
        ("years", {"low": 2000}, "ad"),
        ("years", {"any_of": [1980, "2000"]}, "bd"),
        ("year", {"low": 2000}, "cd"),
        ("year", {"low": 1999, "high": 2001.5}, "ac"),
        ("year", {"any_of": ["1999", 2005.0]}, "ad"),
        ("year", {"none_of": [1999]}, "bcd"),
        ("price", {"low": -5}, "acd"),  # what is not a number lies in no range
        ("price", {"high": 1.5}, "ac"),
        ("price", {"none_of": [1.5]}, "bcd"),
        ("cost", {"low": 2.2}, "bd"),
        ("cost", {"any_of": [1.1]}, "a"),
        ("count", {"high": 2}, "ab"),
        ("color", {"any_of": ["red"]}, "ac"),
        ("sold", {"any_of": [True]}, "ad"),
        ("sold", {"any_of": ["false"]}, "b"),
        ("pair", {"any_of": [4, 7]}, "bd"),
        ("pair", {"low": 6}, "cd"),
        ("day", {"any_of": ["2020-01-02"]}, "b"),
        ("day", {"any_of": [dt.date(2020, 1, 1), "2020-01-02T23:00:00"]}, "ab"),
        ("day", {"none_of": ["2020-01-02"]}, "acd"),
        ("day", {"low": "2020-01-02"}, "b"),
        ("day", {"high": "2020-01-01"}, "a"),
        ("day", {"low": "2019-12-31", "high": dt.date(2020, 1, 1)}, "a"),
        ("day", {"low": dt.datetime(2020, 1, 2, 13)}, "b"),  # a day has no time of day
        ("day", {"any_of": []}, ""),
        ("at", {"any_of": ["2024-01-31"]}, "bc"),  # all of its times
        ("at", {"low": "2024-01-31"}, "bc"),
        ("at", {"high": "2024-01-30"}, "a"),
        ("at", {"high": dt.date(2024, 1, 31)}, "abc"),
        ("at", {"high": dt.datetime(2024, 1, 31)}, "ab"),
        ("at", {"high": pd.Timestamp("2024-01-31")}, "ab"),
        ("at", {"low": "2024-01-31T00:00:01+00:00"}, "c"),
        ("at", {"low": "2024-01-31T09:00:00+09:00", "high": "2024-01-31 00:00:00"}, "b"),
        ("at", {"all_of": ["2024-01-31", "2024-01-31T00:00"]}, "b"),
        ("local", {"any_of": ["2024-01-30"]}, "a"),  # in UTC
        ("local", {"low": "2024-01-31T12:00:00+09:00"}, "bd"),
        ("local", {"high": "2024-01-31"}, "abd"),
        ("runs", {"low": "2024-02-15"}, "a"),
        ("runs", {"any_of": ["2024-02-01", "2024-03-01"]}, "ab"),
        ("year", {}, "abcd"),
    ],
)
def test_items_that_meet_a_condition(name, wanted, items):
    assert passing(name, **wanted) == items
    assert passing(name, **wanted) == items  # from the values that are laid out by now


@pytest.mark.parametrize(
    ("name", "wanted", "said"),
    [
        ("genres", {"low": 1}, "'genres' contains text; the conditions low and high need numbers"),
        ("genres", {"any_of": [7]}, "'genres' contains text, not 7"),
        ("genres", {"any_of": [True]}, "'genres' contains text, not True"),
        ("year", {"contains": "19"}, "'year' contains numbers; the condition contains needs text"),
        ("year", {"any_of": ["nineteen"]}, "'year' contains numbers, not 'nineteen'"),
        ("year", {"any_of": [True]}, "'year' contains numbers, not True"),
        ("year", {"none_of": ["nan"]}, "'year' contains numbers, not 'nan'"),
        ("year", {"all_of": ["1e999"]}, "'year' contains numbers, not '1e999'"),
        ("year", {"low": 3, "high": 2}, "low (3) is above high (2)"),
        ("sold", {"low": 0}, "'sold' contains true and false; the conditions low and high need numbers"),
        ("sold", {"any_of": ["perhaps"]}, "'sold' contains true and false, not 'perhaps'"),
        (
            "day",
            {"high": 5},
            "'day' contains dates; a date such as 2024-01-31 or 2024-01-31T12:00:00 was expected, not 5",
        ),
        ("day", {"any_of": [20200101]}, "'day' contains dates; a date such as 2024-01-31"),
        ("day", {"any_of": ["2020-01"]}, "was expected, not '2020-01'"),
        ("day", {"low": "2020-02-30"}, "was expected, not '2020-02-30'"),
        ("day", {"low": pd.NaT}, "was expected, not NaT"),
        ("day", {"contains": "2020"}, "'day' contains dates; the condition contains needs text"),
        ("day", {"low": "2020-01-02", "high": "2020-01-01"}, "'day': low (2020-01-02) is above high (2020-01-01)"),
        ("year", {"low": "2020-01-10"}, "'year' contains numbers; low and high must be numbers, not '2020-01-10'"),
        ("year", {"high": dt.date(2020, 1, 10)}, "low and high must be numbers, not 2020-01-10"),
        ("year", {"any_of": [dt.date(2020, 1, 10)]}, "'year' contains numbers, not 2020-01-10"),
        ("genres", {"low": "2020-01-10"}, "'genres' contains text; the conditions low and high need numbers or dates"),
        ("clock", {"low": "2020-01-10"}, "'clock' contains neither text nor numbers; the conditions low and high need"),
        ("span", {}, "no feature 'span'"),
        ("tags", {"low": 1}, "'tags' contains text; the conditions low and high need numbers"),
        ("deep", {}, "no feature 'deep'; there are count, genres, tags"),
        ("title", {}, "no feature 'title'"),
    ],
)
def test_a_condition_that_does_not_fit_is_said(name, wanted, said):
    with pytest.raises(ConfigError, match="filter: ") as error:
        passing(name, **wanted)
    assert said in str(error.value)


def test_the_names_of_attributes():
    assert ATTRIBUTES.names == [one for one in CATALOG.table.columns if one not in ("item", "title", "deep", "span")]
    assert [name for name, kind in ATTRIBUTES.kinds.items() if kind == "date"] == ["at", "local", "runs", "day"]
    assert Filters(Catalog.from_ids(["a"])).names == ["count"]
    table = pl.DataFrame({"item": ["a"], "count": [1], "is_active": [False], "year": [1]})
    assert Filters(Catalog(table)).names == ["count", "year"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (
            {"any_of": "a"},
            'where: day: any_of: a list of texts, numbers, dates, or true and false was expected, not "a"',
        ),
        ({"contains": 1}, "where: day: contains: a text was expected, not 1"),
        (
            {"low": "soon"},
            "where: day: low: a finite number, or a date such as 2024-01-31 or 2024-01-31T12:00:00, was expected",
        ),
        ({"low": "5"}, "where: day: low: a finite number, or a date such as"),
        ({"high": True}, "where: day: high: a finite number, or a date such as"),
        ({"high": float("nan")}, "where: day: high: a finite number, or a date such as"),
        ({"low": pd.NaT}, "where: day: low: a finite number, or a date such as"),
    ],
)
def test_a_condition_of_another_type_is_said_with_what_is_expected(wanted, said):
    with pytest.raises(ConfigError) as error:
        conditions_of({"day": wanted}, "where")
    assert str(error.value).startswith(said)


def test_dates_are_conditions_in_python_and_as_json_alike():
    of_dates = conditions_of({"day": {"low": dt.date(2020, 1, 2), "none_of": [dt.datetime(2020, 1, 1, 5)]}}, "where")
    of_json = conditions('{"day": {"low": "2020-01-02", "none_of": ["2020-01-01T05:00:00"]}}', "where")
    for asked in (of_dates, of_json):
        assert ATTRIBUTES.passing(asked).tolist() == [False, True, False, False]
    assert ATTRIBUTES.missing({"day": Condition(any_of=["2020-01-03", "2020-01-02"])}) == [
        "filter: no item has the value '2020-01-03' of 'day'; did you mean '2020-01-02' or '2020-01-01'?"
    ]
    offsets, codes = ATTRIBUTES.codes("local")
    assert (offsets.tolist(), codes.tolist()) == ([0, 1, 2, 2, 3], [0, 1, 2])
