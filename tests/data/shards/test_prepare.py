"""Shards hold the log that `read_log` gives, whatever the sizes of chunks and blocks."""

import importlib
import json

import numpy as np
import polars as pl
import pytest

from foldin.data import EventLog, read_log
from foldin.data.shards import open_shards, prepare
from foldin.errors import ColumnError, DataError, EmptyLogError


@pytest.fixture(autouse=True)
def several_pieces(monkeypatch):
    """Chunks of several pieces, the last one smaller than the others."""
    module = importlib.import_module("foldin.data.shards.prepare")  # a function of that name is beside it
    monkeypatch.setattr(module, "_PIECE", 97)
    monkeypatch.setattr(module, "_READ_TOGETHER", 5)


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


class StopError(Exception):
    """Raised in the middle of a preparation."""


def stop_at(number: int):
    calls = iter(range(10_000))

    def progress(step: str, done: int, of: int) -> None:
        if next(calls) == number:
            raise StopError(step)

    return progress


def test_what_was_interrupted_goes_on_where_it_was(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    LOGS["kinds"]().write_parquet(path, row_group_size=400)
    arguments = {"chunk_rows": 700, "block_events": 500, "workers": 1}
    same(prepare(path, tmp_path / "whole", **arguments), read_log(path))
    steps, number = [], 0
    while True:
        try:
            found = prepare(path, tmp_path / "shards", progress=stop_at(number), **arguments)
            break
        except StopError as stopped:
            steps.append(str(stopped))
            number += 1  # steps that are done are counted again, each without work
    assert {f"reading {path}", "events by user", "events in order"} <= set(steps)
    same(found, read_log(path))
    assert not (tmp_path / "shards.partial").exists()
    for one in (tmp_path / "whole").iterdir():
        assert one.read_bytes() == (tmp_path / "shards" / one.name).read_bytes(), one.name


def test_a_step_that_is_done_is_not_done_again(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    table().write_parquet(path, row_group_size=400)
    with pytest.raises(StopError):
        prepare(path, tmp_path / "shards", chunk_rows=700, workers=1, progress=stop_at(3))
    done = sorted(one.name for one in (tmp_path / "shards.partial").glob("chunk-*[0-9]"))
    assert done
    stamps = {name: (tmp_path / "shards.partial" / name / "users.npy").stat().st_mtime_ns for name in done}
    with pytest.raises(StopError):
        prepare(path, tmp_path / "shards", chunk_rows=700, workers=1, progress=stop_at(7))
    assert stamps == {name: (tmp_path / "shards.partial" / name / "users.npy").stat().st_mtime_ns for name in done}


def test_what_was_begun_otherwise_is_not_mixed(tmp_path):
    path = tmp_path / "log.parquet"
    table().write_parquet(path)
    with pytest.raises(StopError):
        prepare(path, tmp_path / "shards", chunk_rows=700, progress=stop_at(2))
    with pytest.raises(
        DataError, match=r"shards.partial: begun with another chunk_rows or block_events; remove this folder"
    ):
        prepare(path, tmp_path / "shards", chunk_rows=800)
    table(seed=1).write_parquet(path)
    with pytest.raises(DataError, match="begun with another log"):
        prepare(path, tmp_path / "shards", chunk_rows=700)


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
    with pytest.raises(DataError, match=r"times.npy: damaged: its SHA-256"):
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


def test_what_an_end_while_cleaning_up_leaves_is_no_hindrance(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    table().write_parquet(path)
    with monkeypatch.context() as patch:
        patch.setattr("foldin.data.shards.workspace.shutil.rmtree", lambda *_, **__: None)
        prepare(path, tmp_path / "shards", chunk_rows=700)
    assert (tmp_path / "shards.partial").exists()
    (tmp_path / "shards").rename(tmp_path / "elsewhere")
    same(prepare(path, tmp_path / "shards", chunk_rows=700), read_log(path))


def test_a_folder_of_that_name_with_something_else_is_not_touched(tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    mine = tmp_path / "shards.partial" / "photo.png"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(DataError, match=r"holds 'photo.png', which no preparation wrote"):
        prepare(tmp_path / "log.parquet", tmp_path / "shards")
    assert mine.read_text() == "mine"


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


@pytest.mark.parametrize("name", ["chunk_rows", "block_events", "workers"])
def test_sizes_are_positive(name, tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    with pytest.raises(DataError, match=f"{name}: 0; a whole number of at least 1"):
        prepare(tmp_path / "log.parquet", tmp_path / "shards", **{name: 0})


@pytest.mark.parametrize("damage", ["cut", "zeros", "missing", "no digests"])
def test_a_part_that_did_not_reach_the_disk_is_made_again(damage, tmp_path):
    path, work = tmp_path / "log.parquet", tmp_path / "shards.partial"
    table().write_parquet(path)
    arguments = {"chunk_rows": 700, "block_events": 300, "workers": 1}
    with pytest.raises(StopError):
        prepare(path, tmp_path / "shards", progress=stop_at(7), **arguments)
    for one in (work / "chunk-00000" / "items.npy", work / "partition-00000" / "edges.npy"):
        content = one.read_bytes()
        if damage == "no digests":
            (work / f"{one.parent.name}.json").unlink()
        if damage == "missing":
            one.unlink()
        else:
            one.write_bytes(content[:-20] if damage == "cut" else content[:128] + bytes(len(content) - 128))
    same(prepare(path, tmp_path / "shards", **arguments), read_log(path))


def test_a_preparation_that_ended_after_its_shards_were_moved_begins_again(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    table().write_parquet(path)
    with monkeypatch.context() as patch:
        patch.setattr("foldin.data.shards.workspace.shutil.rmtree", lambda *_, **__: None)
        prepare(path, tmp_path / "shards", chunk_rows=700)
    left = tmp_path / "shards.partial"
    (left / ".begun.json.x7_1").write_text("{")  # as a kill while a file is written leaves it
    assert not (left / "begun.json").exists()  # removed before all others, of which a kill may leave any
    (left / "blocks.json").unlink()
    (tmp_path / "shards").rename(tmp_path / "elsewhere")
    same(prepare(path, tmp_path / "shards", chunk_rows=700), read_log(path))
    assert not (tmp_path / "shards.partial").exists()


def test_shards_have_no_file_that_a_kill_left(tmp_path):
    path = tmp_path / "log.parquet"
    table().write_parquet(path)
    with pytest.raises(StopError):
        prepare(path, tmp_path / "shards", block_events=300, workers=1, progress=stop_at(5))
    left = tmp_path / "shards.partial" / "shards"
    assert left.exists()
    (left / ".manifest.json.a8b").write_text("{")
    prepare(path, tmp_path / "shards", block_events=300, workers=1)
    assert not list((tmp_path / "shards").glob(".*"))
    open_shards(tmp_path / "shards", verify=True)


def test_what_another_foldin_began_says_so(tmp_path):
    path = tmp_path / "log.parquet"
    table().write_parquet(path)
    with pytest.raises(StopError):
        prepare(path, tmp_path / "shards", progress=stop_at(2))
    begun = tmp_path / "shards.partial" / "begun.json"
    content = json.loads(begun.read_text())
    begun.write_text(json.dumps(content | {"version of foldin": 1}))
    with pytest.raises(DataError, match="begun with another version of foldin; remove this folder"):
        prepare(path, tmp_path / "shards")
    begun.write_text(json.dumps(content | {"later": 1}))
    with pytest.raises(DataError, match="begun with another later; remove this folder"):
        prepare(path, tmp_path / "shards")
