"""Types of ids: what comes in from a table or a file goes out, saved and loaded too, and joins with where it came from."""

import json
import uuid
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from foldin.data import FrameStyle, id_text, read_log

NUMBERS = [3, 7, 12]
UUIDS = [uuid.UUID(int=2**64 * at + 5) for at in range(3)]
TEXT = ["a", "b", "c"]
KINDS = {
    "polars Int16": pl.DataFrame({"user": pl.Series(NUMBERS, dtype=pl.Int16)}),
    "polars Int128": pl.DataFrame({"user": pl.Series(NUMBERS, dtype=pl.Int128)}),
    "polars Enum": pl.DataFrame({"user": pl.Series(TEXT, dtype=pl.Enum([*TEXT, "z"]))}),
    "polars Categorical": pl.DataFrame({"user": pl.Series(TEXT, dtype=pl.Categorical)}),
    "polars Decimal": pl.DataFrame(
        {"user": pl.Series([Decimal("3.00"), Decimal(7), Decimal(12)], dtype=pl.Decimal(9, 2))}
    ),
    "polars objects": pl.DataFrame({"user": pl.Series(UUIDS, dtype=pl.Object)}),
    "pandas int64": pd.DataFrame({"user": NUMBERS}),
    "pandas float64": pd.DataFrame({"user": [float(one) for one in NUMBERS]}),
    "pandas Int64": pd.DataFrame({"user": pd.array(NUMBERS, dtype="Int64")}),
    "pandas int64[pyarrow]": pd.DataFrame({"user": pd.array(NUMBERS, dtype="int64[pyarrow]")}),
    "pandas string": pd.DataFrame({"user": pd.array(TEXT, dtype="string")}),
    "pandas object": pd.DataFrame({"user": pd.Series(TEXT, dtype=object)}),
    "pandas category": pd.DataFrame({"user": pd.Categorical(TEXT, categories=[*TEXT, "z"])}),
    "pandas category of numbers": pd.DataFrame({"user": pd.Categorical(NUMBERS)}),
    "pandas UUID": pd.DataFrame({"user": UUIDS}),
    "pandas Decimal": pd.DataFrame({"user": [Decimal("3.0"), Decimal("7.0"), Decimal("12.0")]}),
    "arrow string": pa.table({"user": pa.array(TEXT)}),
    "arrow large_string": pa.table({"user": pa.array(TEXT, pa.large_string())}),
    "arrow int32": pa.table({"user": pa.array(NUMBERS, pa.int32())}),
    "arrow dictionary": pa.table({"user": pa.array(TEXT).dictionary_encode()}),
    "arrow uuid": pa.table({"user": pa.array([one.bytes for one in UUIDS], pa.uuid())}),
}


def with_items(table):
    """The table with a column of items of the same type."""
    if isinstance(table, pl.DataFrame):
        return table.with_columns(item=pl.col("user"))
    return (
        table.assign(item=table["user"])
        if isinstance(table, pd.DataFrame)
        else table.append_column("item", table["user"])
    )


def type_of(table, name):
    return table.schema.field(name).type if isinstance(table, pa.Table) else table[name].dtype


def values(table, name) -> list:
    return table[name].to_pylist() if isinstance(table, pa.Table) else list(table[name])


@pytest.mark.parametrize("kind", KINDS)
def test_ids_go_out_as_they_came_in(kind):
    given = with_items(KINDS[kind])
    log = read_log(given)
    listed = pl.DataFrame({"user": log.users, "rank": [1, 1, 1], "item": log.items["item"], "title": TEXT})
    found = log.style.native(listed)
    assert type(found) is type(given)
    for name in ("user", "item"):
        assert type_of(found, name) == type_of(given, name)
        assert sorted(values(found, name)) == sorted(values(given, name))
    stored = FrameStyle.from_dict(json.loads(json.dumps(log.style.as_dict())))
    again = stored.native(listed)
    if kind not in ("polars Enum", "pandas category"):  # the categories of users are ids of users, and are not stored
        assert type_of(again, "user") == type_of(given, "user")
    assert sorted(values(again, "user")) == sorted(values(given, "user"))
    assert stored.item == log.style.item


@pytest.mark.parametrize("kind", [name for name in KINDS if name.startswith("arrow") and name != "arrow uuid"])
def test_lists_of_pyarrow_can_be_joined_and_filtered(kind):
    given = KINDS[kind]
    log = read_log(with_items(given))
    found = log.style.native(pl.DataFrame({"user": log.users, "item": log.items["item"], "title": TEXT}))
    assert pc.equal(found["title"], "a").to_pylist() == [True, False, False]
    beside = given.append_column("place", pa.array([10, 20, 30]))
    joined = found.select(["user", "title"]).join(beside, "user").sort_by("title")
    assert (joined["title"].to_pylist(), joined["place"].to_pylist()) == (TEXT, [10, 20, 30])


def test_a_record_batch_gives_a_table_of_pyarrow():
    given = with_items(KINDS["arrow string"])
    for batches in (given.to_batches()[0], given.to_reader()):
        found = read_log(batches).style.native(pl.DataFrame({"user": ["a"], "item": ["b"]}))
        assert type(found) is pa.Table
        assert found.schema.field("user").type == pa.string()


def test_an_id_without_a_value_of_the_type_leaves_text_behind():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        new = pl.DataFrame({"user": ["new one"], "item": ["new one"]})
        for given in KINDS.values():
            found = read_log(with_items(given)).style.native(new)
            assert values(found, "user") == values(found, "item") == ["new one"]


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Int32, pl.String, pl.Categorical])
def test_a_typed_file_keeps_its_types(dtype, tmp_path):
    table = pl.DataFrame({"user": [1, 2], "item": [30, 40]}).with_columns(pl.all().cast(pl.String).cast(dtype))
    table.write_parquet(tmp_path / "log.parquet")
    style = read_log(tmp_path / "log.parquet").style
    assert (style.library, style.user, style.item) == ("polars", dtype(), dtype())


def test_numbers_of_json_stay_numbers_and_csv_is_text(tmp_path):
    table = pl.DataFrame({"user": [1, 2], "item": ["x", "y"]})
    table.write_ndjson(tmp_path / "log.ndjson")
    table.write_csv(tmp_path / "log.csv")
    assert read_log(tmp_path / "log.ndjson").style == FrameStyle(user=pl.Int64())
    assert read_log(tmp_path / "log.csv").style == FrameStyle()


def test_a_stored_style_holds_no_ids_of_users():
    style = FrameStyle(user=pl.Enum(["ann", "bob"]), item=pl.Enum(["x", "y"]))
    assert "ann" not in json.dumps(style.as_dict())
    assert FrameStyle.from_dict(style.as_dict()) == FrameStyle(user=pl.Categorical(), item=style.item)


def test_styles_of_earlier_versions_are_read():
    old = {"library": "pandas", "user": "Int64", "item": "String"}
    assert FrameStyle.from_dict(old) == FrameStyle(library="pandas", user=pl.Int64())
    assert FrameStyle.from_dict({}) == FrameStyle()
    assert FrameStyle.from_dict({"user": "read_csv", "item": "Enum", "item_args": [3]}) == FrameStyle()


@pytest.mark.parametrize(
    ("one", "text"),
    [
        ("3.0", "3.0"),
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (2.0**52, "4503599627370496"),
        (2.5, "2.5"),
        (float("inf"), "inf"),
        (np.float32(3), "3"),
        (np.int64(3), "3"),
        (np.str_("a"), "a"),
        (Decimal("3.00"), "3"),
        (Decimal("2.50"), "2.50"),
        (Decimal("NaN"), "NaN"),
        (UUIDS[1], str(UUIDS[1])),
    ],
)
def test_the_text_of_an_id(one, text):
    assert id_text(one) == text
