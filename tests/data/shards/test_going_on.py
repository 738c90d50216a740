"""A preparation that ended early goes on where it was, with nothing that is damaged or of another one."""

import errno
import json

import pytest

from foldin.data import read_log
from foldin.data.shards import open_shards, prepare
from foldin.errors import DataError
from tests.data.shards.test_prepare import LOGS, same, table


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


def test_what_an_end_while_cleaning_up_leaves_is_removed_by_the_next_call(tmp_path):
    path, left = tmp_path / "log.parquet", tmp_path / "shards.partial"
    table().write_parquet(path)
    prepare(path, tmp_path / "shards", chunk_rows=700)
    (left / "chunk-00000").mkdir(parents=True)
    (left / "blocks.json").write_text("{}")  # what is removed last
    with pytest.raises(DataError, match="shards: exists already"):
        prepare(path, tmp_path / "shards", chunk_rows=700)
    assert not left.exists()


def test_a_folder_of_that_name_with_something_else_is_not_touched(tmp_path):
    table().write_parquet(tmp_path / "log.parquet")
    mine = tmp_path / "shards.partial" / "photo.png"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(DataError, match=r"holds 'photo.png', which no preparation wrote"):
        prepare(tmp_path / "log.parquet", tmp_path / "shards")
    assert mine.read_text() == "mine"


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
    assert not (left / "blocks.json").exists()
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


def test_one_preparation_of_a_folder_at_a_time(tmp_path):
    path, shards = tmp_path / "log.parquet", tmp_path / "shards"
    table().write_parquet(path)
    refused = []

    def progress(step: str, done: int, of: int) -> None:
        for _ in range(2):
            with pytest.raises(DataError, match="shards: another process is preparing it") as found:
                prepare(path, shards)
            refused.append(found)
        assert (tmp_path / "shards.partial").is_dir()

    same(prepare(path, shards, progress=progress), read_log(path))
    assert refused
    (tmp_path / "shards.partial").mkdir()
    with pytest.raises(DataError, match="shards: exists already"):
        prepare(path, shards)
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("shards")] == ["shards"]


def test_a_preparation_that_does_not_begin_leaves_no_folder(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.parquet"):
        prepare(tmp_path / "nowhere.parquet", tmp_path / "a" / "b" / "shards")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "works"), [(errno.EBADF, True), (errno.EIO, False)])
def test_a_file_system_without_locks_of_folders_locks_nothing(number, works, tmp_path, monkeypatch):
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, "as NFS answers")

    table().write_parquet(tmp_path / "log.parquet")
    monkeypatch.setattr("foldin.files.fcntl.flock", refuse)
    if works:
        same(prepare(tmp_path / "log.parquet", tmp_path / "shards"), read_log(tmp_path / "log.parquet"))
    else:
        with pytest.raises(OSError, match="as NFS answers"):
            prepare(tmp_path / "log.parquet", tmp_path / "shards")
