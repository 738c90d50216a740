"""Ids that are numbers in one chunk and text in another, or that no event is left of, have the codes of `read_log`."""

import polars as pl
import pytest

from foldin.data import read_log
from foldin.data.shards import prepare
from tests.data.shards.test_prepare import same, table


@pytest.mark.parametrize("name", ["user", "item"])
def test_a_chunk_with_numbers_too_large_for_integers(name, tmp_path):
    frame = table().with_columns(pl.col("user", "item").str.slice(1).cast(pl.UInt64) + 5)
    # A gap among the numbers, and one number in the last chunk alone, which is then read as text.
    frame = frame.filter(pl.col(name) != 17)
    large = pl.when(pl.int_range(pl.len()) == pl.len() - 3).then(2**64 - 1).otherwise(pl.col(name)).cast(pl.UInt64)
    path = tmp_path / "log.parquet"
    frame.with_columns(large.alias(name)).write_parquet(path)
    for blocks in (100, 100_000):
        out = tmp_path / f"shards-{blocks}"
        same(prepare(path, out, chunk_rows=700, block_events=blocks), read_log(path))


def test_a_number_that_a_chunk_of_text_has_and_the_others_pass_over(tmp_path):
    """The second chunk has a number between those of the first one, and one that makes the chunk be read as text."""
    users = [5] * 50 + [60] * 50 + [7] * 50 + [2**64 - 1] * 50
    frame = pl.DataFrame({"user": pl.Series(users, dtype=pl.UInt64), "item": [f"i{k % 50}" for k in range(200)]})
    frame.write_parquet(tmp_path / "log.parquet")
    for block in (50, 1000):
        found = prepare(tmp_path / "log.parquet", tmp_path / f"of {block}", chunk_rows=100, block_events=block)
        same(found, read_log(tmp_path / "log.parquet"))


@pytest.mark.parametrize("least", [-(2**63), 2**63 - 200])
def test_ids_at_the_ends_of_the_integers(least, tmp_path):
    path = tmp_path / "log.parquet"
    table().with_columns(pl.col("user").str.slice(1).cast(pl.Int64) + least).write_parquet(path)
    same(prepare(path, tmp_path / "shards", chunk_rows=700, block_events=300), read_log(path))


@pytest.mark.parametrize(
    ("user", "item"),
    [("nan", "abc"), ("abc", "null"), ("nan", "null"), ("7.0", "null"), ("nan", "7.0"), ("abc", "nan")],
)
@pytest.mark.parametrize("numbers", ["text", "both", "words"])
def test_ids_of_rows_that_are_dropped_decide_nothing(user, item, numbers, tmp_path):
    """The order of numbers is not that of words, in which they would be beside an id that no event is left of."""
    frame = table().with_columns(pl.col("user", "item").str.slice(1))
    if numbers == "words":
        frame = frame.with_columns(user="u" + pl.col("user"), item="i" + pl.col("item"))
    odd = pl.int_range(pl.len()) % 1400 == 1200
    frame = frame.with_columns(
        user=pl.when(odd).then(pl.lit(user)).otherwise("user"), item=pl.when(odd).then(pl.lit(item)).otherwise("item")
    )
    if numbers == "both":
        other = pl.int_range(pl.len()) % 1400 == 900
        frame = frame.with_columns(user=pl.when(other).then(pl.lit("nan")).otherwise("user"))
    path = tmp_path / "log.parquet"
    frame.write_parquet(path)
    same(prepare(path, tmp_path / "shards", chunk_rows=700, block_events=300), read_log(path))


def test_kinds_of_rows_that_are_dropped_are_none(tmp_path):
    odd = pl.int_range(pl.len()) % 100 == 50
    frame = table().with_columns(item=pl.when(odd).then(pl.lit("null")).otherwise(pl.col("item").str.slice(1)))
    frame = frame.with_columns(event=pl.when(odd).then(pl.lit("open")).otherwise(pl.lit("view")))
    frame = frame.with_columns(event=pl.when(pl.int_range(pl.len()) % 7 == 3).then(pl.lit("buy")).otherwise("event"))
    path = tmp_path / "log.parquet"
    frame.with_columns(event=pl.when(odd).then(pl.lit("open")).otherwise("event")).write_parquet(path)
    found = prepare(path, tmp_path / "shards", chunk_rows=700, block_events=300)
    assert found.kinds == ("buy", "view")
    same(found, read_log(path))


def test_chunks_of_which_nothing_is_left(tmp_path):
    path, late = tmp_path / "log.parquet", pl.int_range(pl.len()) >= 1400
    for kind, ids in {"text": pl.col("user"), "numbers": pl.col("user").str.slice(1).cast(pl.Int64)}.items():
        table().with_columns(user=pl.when(late).then(ids)).write_parquet(path)
        same(prepare(path, tmp_path / f"shards of {kind} [1]", chunk_rows=700, block_events=300), read_log(path))
