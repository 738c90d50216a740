"""The catalog of a model with what was sent since: values in the types of its columns, retired items, and new ones."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from foldin.data import Catalog, Condition
from foldin.errors import ConfigError
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.engine.item_values import as_value
from foldin.serve.storage.items import ItemRow, ItemsState

BASE = Catalog(
    pl.DataFrame(
        {
            "item": ["a", "b", "c"],
            "count": [3, 2, 1],
            "title": ["Alpha", "Beta", None],
            "genre": pl.Series(["x|y", None, "z"], dtype=pl.Categorical),
            "year": [1990, 1991, None],
            "tags": [["p"], ["q", "r"], []],
            "released": [date(2020, 1, 1), None, None],
        }
    )
)


def view_of(*rows: ItemRow, revision: int = 1, before: CatalogView | None = None) -> CatalogView:
    return CatalogView(BASE, ItemsState(revision, {row.item: row for row in rows}), before)


def test_what_was_sent_lies_over_the_catalog():
    sent = {"genre": "w", "year": None, "tags": ["s"], "released": "2024-02-29", "unknown": 1}
    view = view_of(ItemRow(item="a", title="Omega", features=sent), ItemRow(item="c", features={"year": 2001}))
    expected = BASE.table.with_columns(
        title=pl.Series(["Omega", "Beta", None]),
        genre=pl.Series(["w", None, "z"]),
        year=pl.Series([None, 1991, 2001]),
        tags=pl.Series([["s"], ["q", "r"], []]),
        released=pl.Series([date(2024, 2, 29), None, None]),
    )
    assert view.catalog.table.equals(expected)
    assert view.features("a") == {"genre": "w", "year": None, "tags": ["s"], "released": "2024-02-29"}
    assert view.filters.passing({"year": Condition(low=2000)}).tolist() == [False, False, True]
    assert view.filters.passing({"genre": Condition(any_of=["y"])}).tolist() == [False, False, False]
    assert [view.catalog.ids[at] for at in view.search.find("omega", 5)] == ["a"]
    assert BASE.titles == ["Alpha", "Beta", "c"]


def test_retired_items_are_masked_and_new_ones_are_a_catalog_of_their_own():
    view = view_of(
        ItemRow(item="b", is_active=False),
        ItemRow(item="n2", title="New", features={"year": 2026, "tags": ["q"]}),
        ItemRow(item="n1"),
        ItemRow(item="gone", is_active=False),
    )
    assert view.retired is not None
    assert view.retired.tolist() == [False, True, False]
    assert (view.new.ids, view.new.titles) == (["n1", "n2"], ["n1", "New"])
    assert view.new_filters.passing({"tags": Condition(any_of=["q"])}).tolist() == [False, True]
    assert [view.catalog.ids[at] for at in view.search.find("", 5, hidden=view.retired)] == ["a", "c"]
    assert view.search.find("beta", 5, hidden=view.retired) == []


def test_a_title_that_was_sent_leaves_an_item_retired_that_the_run_retires():
    base = Catalog(BASE.table.with_columns(is_active=pl.Series([True, False, None])))
    sent = ItemsState(1, {"b": ItemRow(item="b", title="Omega"), "c": ItemRow(item="c", is_active=False)})
    view = CatalogView(base, sent)
    assert view.retired.tolist() == [False, True, True]
    assert view.retired_by_run
    listed = CatalogView(base, ItemsState(2, {"b": ItemRow(item="b", title="Omega", is_active=True)}))
    assert listed.retired is None
    assert not listed.retired_by_run


def test_what_did_not_change_is_kept():
    first = view_of(ItemRow(item="a", title="Omega"))
    search = first.search
    retired = view_of(ItemRow(item="a", title="Omega", is_active=False), revision=2, before=first)
    assert retired.catalog is first.catalog
    assert retired.search is search
    assert first.retired is None
    typed = view_of(ItemRow(item="a", title="Omega", features={"year": 5}), revision=3, before=retired)
    assert typed.filters is not first.filters
    assert typed.search is search
    again = view_of(ItemRow(item="a", title="Psi"), revision=4, before=typed)
    assert [again.catalog.ids[at] for at in again.search.find("psi", 5)] == ["a"]


def test_a_value_that_fits_no_longer_leaves_the_catalog_s():
    view = view_of(
        ItemRow(item="a", features={"year": "then", "genre": 7}), ItemRow(item="n", features={"year": "then"})
    )
    assert view.features("a") == {"genre": "x|y", "year": 1990, "tags": ["p"], "released": "2020-01-01"}
    assert view.new.table["year"].to_list() == [None]


@pytest.mark.parametrize(
    ("value", "dtype", "made"),
    [
        (3, pl.Int64(), 3),
        (3.0, pl.Int8(), 3),
        (3, pl.Float32(), 3.0),
        (True, pl.Boolean(), True),
        ("s", pl.Enum(["t"]), "s"),
        (["a"], pl.List(pl.String), ["a"]),
        ([1, 2], pl.Array(pl.Float64, 2), [1.0, 2.0]),
        ("2024-01-02T03:04:05", pl.Datetime(), datetime(2024, 1, 2, 3, 4, 5)),
        ("2024-01-02T03:04:05Z", pl.Datetime(time_zone="UTC"), datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (None, pl.Int64(), None),
    ],
)
def test_a_value_takes_the_type_of_its_column(value, dtype, made):
    assert as_value(value, dtype) == made


@pytest.mark.parametrize(
    ("value", "dtype", "said"),
    [
        pytest.param(10**400, pl.Float64(), "numbers were expected, not '1000", id="vast"),
        pytest.param(10**400, pl.Int64(), "whole numbers were expected, not '1000", id="vast whole"),
        (float("nan"), pl.Float64(), "numbers were expected, not 'nan'"),
        (3.5, pl.Int64(), "whole numbers were expected, not '3.5'"),
        (300, pl.Int8(), "whole numbers were expected, not '300'"),
        (True, pl.Int64(), "whole numbers were expected"),
        ("3", pl.Float64(), "numbers were expected, not '3'"),
        (1, pl.Boolean(), "true and false were expected"),
        (1, pl.String(), "text was expected"),
        ("a", pl.List(pl.String), "lists of text were expected"),
        ([1], pl.List(pl.String), "text was expected"),
        ([1], pl.Array(pl.Float64, 2), "lists of numbers were expected"),
        ("yesterday", pl.Date(), "dates in ISO 8601 were expected"),
        ("2024-01-02T03:04:05", pl.Datetime(time_zone="UTC"), "dates in ISO 8601"),
        ("1", pl.Struct({"a": pl.Int64}), "values of the type"),
    ],
)
def test_a_value_of_another_type_is_refused(value, dtype, said):
    with pytest.raises(ConfigError, match=said):
        as_value(value, dtype)
