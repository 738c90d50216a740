"""Shards hold the log that `read_log` gives, whatever the sizes of chunks and blocks."""

import hashlib
import json

import numpy as np
import polars as pl
import pytest

from foldin.data import EventLog, read_log
from foldin.data.shards import open_shards, prepare
from foldin.errors import ColumnError, DataError, EmptyLogError


def table(n: int = 3000, seed: int = 0) -> pl.DataFrame:
    """Events with repeats, in the order of time, with ids that are text."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user": [f"u{k}" for k in (rng.beta(1, 3, n) * 200).astype(int)],
            "item": [f"i{k}" for k in (rng.beta(1, 3, n) * 60).astype(int)],
            "timestamp": np.sort(rng.integers(1_500_000_000, 1_500_100_000, n)),
        }
    )


def same(found: EventLog, wanted: EventLog) -> None:
    for name in ("items", "offsets", "times", "kinds", "values"):
        a, b = getattr(found.histories, name), getattr(wanted.histories, name)
        assert (a is None) == (b is None), name
        if a is not None and b is not None:
            assert np.array_equal(a, b, equal_nan=name == "values"), name
            assert a.dtype == b.dtype
    assert found.users.to_list() == wanted.users.to_list()
    assert found.items.equals(wanted.items)
    assert found.kinds == wanted.kinds
    assert found.reading == wanted.reading
    assert found.histories.fingerprint() == wanted.histories.fingerprint()
    report, other = found.report, wanted.report
    assert (report.rows, report.columns, report.format, report.kept) == (
        other.rows,
        other.columns,
        other.format,
        other.kept,
    )
    drops = [sorted((one.text, one.count) for one in notes if one.dropped) for notes in (report.notes, other.notes)]
    assert drops[0] == drops[1]


def gaps(frame: pl.DataFrame) -> pl.DataFrame:
    """Without some users, items and times."""
    at = pl.int_range(pl.len())
    return frame.with_columns(
        user=pl.when(at % 7 == 3).then(None).otherwise("user"),
        item=pl.when(at % 11 == 5).then(None).otherwise("item"),
        timestamp=pl.when(at % 13 == 4).then(None).otherwise("timestamp"),
    )


LOGS = {
    "text ids": table,
    "in any order": lambda: table().sample(fraction=1.0, shuffle=True, seed=1),
    "numbers as ids": lambda: table().with_columns(pl.col("user", "item").str.slice(1).cast(pl.Int64)),
    "numbers as text": lambda: table().with_columns(pl.col("user", "item").str.slice(1)),
    "floating-point ids": lambda: gaps(table().with_columns(pl.col("user", "item").str.slice(1).cast(pl.Float64))),
    "pandas' spelling": lambda: table().with_columns(pl.col("user", "item").str.slice(1) + ".0"),
    "two spellings of an id": lambda: (
        table().drop("timestamp").with_columns(user=pl.col("user").str.slice(1) + pl.Series(["", ".0"] * 1500))
    ),
    "numbers far apart": lambda: table().with_columns(
        user=pl.col("user").str.slice(1).cast(pl.Int64) * 2**32, item=pl.col("item").str.slice(1).cast(pl.Int64) * 10**6
    ),
    "negative numbers": lambda: table().with_columns(pl.col("user", "item").str.slice(1).cast(pl.Int64) - 20),
    "not by time": lambda: table().sample(fraction=1.0, shuffle=True, seed=1),
    "gaps": lambda: gaps(table()),
    "words for no value": lambda: table().with_columns(
        user=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("nan")).otherwise(pl.col("user").str.slice(1)),
        item=pl.when(pl.int_range(pl.len()) % 9 == 0).then(pl.lit("null")).otherwise(pl.col("item").str.slice(1)),
    ),
    "milliseconds": lambda: table().with_columns(pl.col("timestamp") * 1000 + pl.int_range(pl.len()) % 1000),
    "fractions": lambda: table().with_columns(pl.col("timestamp") + pl.int_range(pl.len()) % 4 / 4),
    "dates": lambda: table().with_columns(pl.from_epoch("timestamp", time_unit="s")),
    "dates as text": lambda: table().with_columns(
        pl.from_epoch("timestamp", time_unit="s").dt.to_string("%Y-%m-%d %H:%M:%S")
    ),
    "days in digits": lambda: table().with_columns(
        pl.from_epoch("timestamp", time_unit="s").dt.to_string("%Y%m%d").cast(pl.Int64)
    ),
    "an order alone": lambda: table().with_columns(timestamp=pl.int_range(pl.len()) % 1000),
    "no times": lambda: table().drop("timestamp"),
    "ratings": lambda: table().with_columns(
        rating=pl.when(pl.int_range(pl.len()) % 6 == 0).then(None).otherwise(pl.int_range(pl.len()) % 5 + 1.0)
    ),
    "kinds": lambda: table().with_columns(event=pl.Series(["view", "buy", "view", None, "cart", ""] * 500)),
}
SEVERAL = (700, 500)  # rows of a chunk and events of a block: several of each
SIZES = [(10_000, 10_000), (1000, 40)]  # one of each, and blocks smaller than a user's history
ALL_SIZES = ("text ids", "gaps", "kinds", "fractions", "no times")


@pytest.mark.parametrize(
    ("name", "sizes"),
    [*((name, SEVERAL) for name in LOGS), *((name, one) for name in ALL_SIZES for one in SIZES)],
    ids=str,
)
def test_shards_are_the_log_that_is_read_at_once(name, sizes, tmp_path):
    path = tmp_path / "log.parquet"
    LOGS[name]().write_parquet(path, row_group_size=400)
    chunk, block = sizes
    same(prepare(path, tmp_path / "shards", chunk_rows=chunk, block_events=block), read_log(path))


@pytest.mark.parametrize(
    "name", ["text ids", "kinds", "ratings", "fractions", "dates as text", "gaps", "numbers as text"]
)
def test_text_files_too(name, tmp_path):
    path = tmp_path / "log.csv"
    LOGS[name]().write_csv(path)
    same(prepare(path, tmp_path / "shards", chunk_rows=500, block_events=300), read_log(path))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ratings", {"min_rating": 3.0}),
        ("kinds", {"repeats": "first-of-kind"}),
        ("kinds", {"repeats": "last"}),
        ("milliseconds", {"time_format": "seconds"}),
        ("ratings", {"order": "rating", "time": "timestamp"}),
    ],
    ids=str,
)
def test_options_mean_the_same(name, options, tmp_path):
    frame = LOGS[name]()
    if "order" in options:
        frame = frame.with_columns(pl.col("rating").fill_null(2.5))
    frame.write_parquet(tmp_path / "log.parquet")
    same(
        prepare(tmp_path / "log.parquet", tmp_path / "shards", chunk_rows=500, block_events=300, **options),
        read_log(tmp_path / "log.parquet", **options),
    )


def test_a_folder_of_parts_with_features_beside_it(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    frame = table()
    for at in range(4):
        frame[at * 750 : (at + 1) * 750].write_parquet(folder / f"part-{at}.parquet")
    pl.DataFrame({"item": [f"i{k}" for k in range(60)], "title": [f"Film {k}" for k in range(60)]}).write_csv(
        folder / "items.csv"
    )
    found = prepare(folder, tmp_path / "shards", chunk_rows=600, block_events=500)
    same(found, read_log(folder))
    assert "title" in found.items.columns
    same(open_shards(tmp_path / "shards", verify=True), found)


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="mine: exists already"):
        prepare(tmp_path / "log.parquet", tmp_path / "mine")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (pl.col("timestamp").cast(pl.Float64) - 1.6e9, ColumnError, r"times are negative; first at row 1:"),
        (
            pl.when(pl.int_range(pl.len()) == 2500)
            .then(pl.col("timestamp") * 1000)
            .otherwise("timestamp")
            .alias("timestamp"),
            ColumnError,
            r"column 'timestamp' mixes units: 15000\d+ is in seconds, 15000\d+ in milliseconds",
        ),
        (
            pl.lit(None, dtype=pl.String).alias("user"),
            EmptyLogError,
            "no event is left: 3,000 no value in the user column",
        ),
        (
            pl.when(pl.int_range(pl.len()) == 2500).then(1.5).otherwise(1.0).alias("user"),
            ColumnError,
            r"ids must be whole numbers or text; row 2,501: 1.5",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_row(change, error, message, tmp_path):
    table().with_columns(change).write_parquet(tmp_path / "log.parquet")
    with pytest.raises(error, match=message):
        prepare(tmp_path / "log.parquet", tmp_path / "shards", chunk_rows=700)


def test_damage_is_found(tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    shards = tmp_path / "shards"
    prepare(tmp_path / "log.parquet", shards)
    content = bytearray((shards / "times.npy").read_bytes())
    content[200] ^= 1
    (shards / "times.npy").write_bytes(content)
    open_shards(shards)
    with pytest.raises(DataError, match=r"times.npy: damaged: its blake2b differs"):
        open_shards(shards, verify=True)
    (shards / "times.npy").write_bytes(content[:-8])
    with pytest.raises(DataError, match=r"times.npy: [\d,]+ bytes instead of [\d,]+: cut short or changed"):
        open_shards(shards)
    (shards / "times.npy").unlink()
    with pytest.raises(DataError, match=r"times.npy: missing"):
        open_shards(shards)
    (shards / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest.json is not one of foldin"):
        open_shards(shards)


def test_what_is_written_into_mapped_arrays_changes_no_file(tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    first = prepare(tmp_path / "log.parquet", tmp_path / "shards")
    assert isinstance(first.histories.items, np.memmap)
    first.histories.items[:] = 0
    open_shards(tmp_path / "shards", verify=True)
    assert open_shards(tmp_path / "shards").histories.items.any()


def test_read_log_opens_shards_and_refuses_options_that_come_too_late(tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    found = prepare(tmp_path / "log.parquet", tmp_path / "shards")
    same(read_log(tmp_path / "shards"), found)
    with pytest.raises(DataError, match=r"as they were prepared; give min_rating to `prepare`"):
        read_log(tmp_path / "shards", min_rating=3.0)


@pytest.mark.parametrize("name", ["chunk_rows", "block_events", "workers"])
def test_sizes_are_positive(name, tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=f"{name}: 0; a whole number of at least 1"):
        prepare(tmp_path / "log.parquet", tmp_path / "shards", **{name: 0})


@pytest.mark.parametrize(("workers", "chunks"), [(1, 3), (2, 4), (3, 3), (5, 5)])
def test_chunks_and_blocks_keep_all_workers_busy(workers, chunks, tmp_path):
    path, totals = tmp_path / "log.parquet", {}
    table().write_parquet(path)
    arguments = {"chunk_rows": 1000, "block_events": 1000, "workers": workers}
    found = prepare(path, tmp_path / "shards", progress=lambda step, _, of: totals.update({step: of}), **arguments)
    same(found, read_log(path))
    assert totals[f"reading {path}"] == totals["events by user"] == chunks
    assert chunks <= totals["events in order"] <= chunks + 1  # blocks have whole users


def test_shards_with_digests_of_the_first_version_are_read(tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    shards = tmp_path / "shards"
    prepare(tmp_path / "log.parquet", shards)
    content = json.loads((shards / "manifest.json").read_text(encoding="utf-8"))
    for name, about in content["files"].items():
        del about["blake2b"]
        about["sha256"] = hashlib.sha256((shards / name).read_bytes()).hexdigest()
    content["version"] = 1
    (shards / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    same(open_shards(shards, verify=True), read_log(tmp_path / "log.parquet"))
    content["files"]["items.npy"]["sha256"] = "0"
    (shards / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"items.npy: damaged: its sha256 differs"):
        open_shards(shards, verify=True)
