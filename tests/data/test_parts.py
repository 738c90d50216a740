"""Parts of a folder that differ are read with a note, or one of them is named."""

import polars as pl
import pytest

from foldin.data import read_log
from foldin.errors import FormatError

TABLE = pl.DataFrame(
    {
        "user": [k % 7 for k in range(60)],
        "item": [k % 11 for k in range(60)],
        "timestamp": [10**9 + k for k in range(60)],
    }
)


def folder(tmp_path, first, second):
    parts = tmp_path / "parts"
    parts.mkdir()
    for name, part in (("0", first), ("1", second)):
        if isinstance(part, pl.DataFrame):
            part.write_parquet(parts / f"{name}.parquet")
        else:
            (parts / f"{name}.parquet").write_bytes(part)
    return parts


def other(name, kind):
    return TABLE[30:].with_columns(pl.col(name).cast(kind))


SAME = {
    "int32": other("item", pl.Int32),
    "uint64": other("item", pl.UInt64),
    "text": other("item", pl.String),
    "float": other("item", pl.Float64),
    "categories": TABLE[30:].with_columns(pl.col("item").cast(pl.String).cast(pl.Categorical)),
    "another column": TABLE[30:].with_columns(x=pl.lit(1)),
    "another order": TABLE[30:].select("timestamp", "item", "user"),
}


@pytest.mark.parametrize("kind", SAME)
def test_parts_that_differ_make_one_log(kind, tmp_path):
    log = read_log(folder(tmp_path, TABLE[:30], SAME[kind]))
    assert (log.report.rows, len(log.histories)) == (60, 7)
    assert log.items["item"].to_list() == [str(k) for k in range(11)]
    assert log.histories.times.min() == 10**9
    noted = [note.text for note in log.report.notes if "1.parquet" in note.text or "0.parquet" in note.text]
    assert len(noted) == (kind != "another order")


def test_floats_and_texts_name_the_same_items(tmp_path):
    log = read_log(folder(tmp_path, other("item", pl.Float64), other("item", pl.String)))
    assert log.items.height == 11


def test_times_in_two_units_and_zones(tmp_path):
    dated = TABLE.with_columns(pl.from_epoch("timestamp"))
    other_zone = TABLE[30:].with_columns(
        pl.from_epoch(pl.col("timestamp") * 1000, "ms").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Seoul")
    )
    log = read_log(folder(tmp_path, dated[:30], other_zone))
    assert sorted(log.histories.times.tolist()) == [10**9 + k for k in range(60)]


def raw(tmp_path):
    TABLE.write_parquet(tmp_path / "whole.parquet")
    return (tmp_path / "whole.parquet").read_bytes()


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "no time", "no item", "dates"])
def test_a_part_that_does_not_fit_is_named(damage, tmp_path):
    second = {
        "cut": lambda: raw(tmp_path)[:400],
        "empty": lambda: b"",
        "text": lambda: b"user,item\n1,2\n",
        "no time": lambda: TABLE[30:].drop("timestamp"),
        "no item": lambda: TABLE[30:].drop("item"),
        "dates": lambda: TABLE[30:].with_columns(pl.from_epoch("timestamp")),
    }[damage]()
    with pytest.raises(FormatError, match=r"1\.parquet"):
        read_log(folder(tmp_path, TABLE[:30], second))


def test_a_part_damaged_inside_is_named(tmp_path):
    broken = bytearray(raw(tmp_path))
    broken[30:300] = b"\xff" * 270
    with pytest.raises(FormatError, match=r"cannot be read as parquet: 1\.parquet: "):
        read_log(folder(tmp_path, TABLE[:30], bytes(broken)))


def test_a_single_file_cut_short(tmp_path):
    (tmp_path / "a.parquet").write_bytes(raw(tmp_path)[:400])
    with pytest.raises(FormatError, match="its end is missing"):
        read_log(tmp_path / "a.parquet")
