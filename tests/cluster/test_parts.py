"""Files of lists: which there must be, which are there already, and which are never mixed."""

import os

import polars as pl
import pytest

from foldin.cluster.parts import check_users, is_finished, parts_of, summary_of, tidy, write_part
from foldin.data import ReadOptions
from foldin.errors import ConfigError, DataError, EmptyLogError, RunError

LISTS = pl.DataFrame({"user": ["a"], "rank": [1], "item": ["i"]})


def folder(tmp_path, **files):
    (tmp_path / "in").mkdir()
    for name, users in files.items():
        text = "user,item\n" + "".join(f"{user},i1\n{user},i2\n" for user in users)
        (tmp_path / "in" / f"{name}.csv").write_text(text)
    return tmp_path / "in"


def test_a_file_of_lists_for_each_file_of_events(tmp_path):
    source = folder(tmp_path, b="xy", a="z")
    for name in ("_SUCCESS", ".a.csv.crc"):
        (source / name).write_text("")
    (source / "c.tsv.gz").write_bytes(b"")
    found = parts_of(source, tmp_path / "out")
    assert [part.source.name for part in found] == ["a.csv", "b.csv", "c.tsv.gz"]
    assert [part.target for part in found] == [tmp_path / "out" / f"{name}.parquet" for name in "abc"]


def test_folders_that_do_not_fit_are_refused(tmp_path):
    source, out = folder(tmp_path, a="x"), tmp_path / "out"
    with pytest.raises(ConfigError, match="is the folder of events"):
        parts_of(source, source)
    with pytest.raises(ConfigError, match="a folder of files of events was expected"):
        parts_of(source / "a.csv", out)
    out.mkdir()
    with pytest.raises(ConfigError, match="has no file of events"):
        parts_of(out, tmp_path / "more")
    (out / "thesis.txt").write_text("")
    with pytest.raises(RunError, match=r"thesis\.txt: is no list of a part"):
        parts_of(source, out)
    with pytest.raises(RunError, match="is a file"):
        parts_of(source, out / "thesis.txt")
    (source / "a.json").write_text("")
    with pytest.raises(ConfigError, match=r"a\.csv and a\.json would both be written to a\.parquet"):
        parts_of(source, tmp_path / "more")


def test_a_part_is_finished_until_its_events_change(tmp_path):
    (part,) = parts_of(folder(tmp_path, a="x"), tmp_path / "out")
    about = {"run": "1234", "k": 3, "allow": ("i", "j"), "where": None}
    assert not is_finished(part, about)
    write_part(part, LISTS, about, {"users": 1})
    assert is_finished(part, about)
    assert summary_of([part]) == [{"users": 1}]
    assert pl.read_parquet(part.target).equals(LISTS)
    with pytest.raises(RunError, match=r"a\.parquet: has the lists of another request, whose k is 3, not 4"):
        is_finished(part, {**about, "k": 4})
    os.utime(part.source, ns=(1, 1))
    (changed,) = parts_of(part.source.parent, part.target.parent)
    assert not is_finished(changed, about)


def test_a_file_of_another_origin_is_neither_finished_nor_replaced(tmp_path):
    (part,) = parts_of(folder(tmp_path, a="x"), tmp_path / "out")
    part.target.parent.mkdir()
    for write in (LISTS.write_parquet, lambda path: path.write_text("PAR1")):
        write(part.target)
        with pytest.raises(RunError, match="was not written by this command"):
            is_finished(part, {})


def test_a_user_in_two_parts_is_found_before_anything_is_computed(tmp_path):
    parts = parts_of(folder(tmp_path, a="uvw", b="xv", c="yu"), tmp_path / "out")
    with pytest.raises(DataError, match=r"2 users are in several parts, the first is 'u' in a\.csv and c\.csv"):
        check_users(parts, ReadOptions())
    check_users(parts[:1] + parts[1:1], ReadOptions())
    empty = (
        parts_of(folder(tmp_path / "more", a="u", b=""), tmp_path / "out")
        if (tmp_path / "more").mkdir() is None
        else []
    )
    with pytest.raises(EmptyLogError, match=r"b\.csv"):
        check_users(empty, ReadOptions())


def test_what_killed_workers_left_is_removed(tmp_path):
    (part,) = parts_of(folder(tmp_path, a="x"), tmp_path / "out")
    write_part(part, LISTS, {}, {})
    rest = part.target.parent / f".{part.target.name}.k4x"
    rest.write_text("half")
    tidy([part])
    assert [one.name for one in part.target.parent.iterdir()] == ["a.parquet"]
