"""Filters on attributes: ranges of any numbers, several values, and a line where a condition does not fit."""

import numpy as np
import polars as pl
import pytest

from foldin.data import Catalog, Condition, Filters, conditions_of
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
            "'day' contains neither text nor numbers; the conditions low and high need numbers (dates",
        ),
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
    assert ATTRIBUTES.names == [one for one in CATALOG.table.columns if one not in ("item", "title", "deep")]
    assert Filters(Catalog.from_ids(["a"])).names == ["count"]
    table = pl.DataFrame({"item": ["a"], "count": [1], "is_active": [False], "year": [1]})
    assert Filters(Catalog(table)).names == ["count", "year"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"any_of": "a"}, 'where: day: any_of: a list of texts, numbers, or true and false was expected, not "a"'),
        ({"contains": 1}, "where: day: contains: a text was expected, not 1"),
        ({"low": "2020-01-10"}, "where: day: low: a finite number (dates are not compared: "),
        ({"high": True}, "where: day: high: a finite number was expected, not true"),
    ],
)
def test_a_condition_of_another_type_is_said_with_what_is_expected(wanted, said):
    with pytest.raises(ConfigError) as error:
        conditions_of({"day": wanted}, "where")
    assert str(error.value).startswith(said)
