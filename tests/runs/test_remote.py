"""Runs at URLs: copied once, verified, and never in part."""

import json
import shutil
import sys
import threading
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from foldin.errors import MissingExtraError, RunError
from foldin.runs import load_run, local_run, name_of_run, read_info, roll_back, without_secrets
from tests.runs.test_generations import added
from tests.serve.conftest import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("here") / "films", "popularity")


@pytest.fixture(params=["file", "memory"])
def url(request, run, tmp_path) -> str:
    """The URL of a copy of the run."""
    if request.param == "file":
        shutil.copytree(run, tmp_path / "bucket" / "films")
        return f"file://{tmp_path}/bucket/films"
    address = f"memory://{tmp_path.name}/films"
    fsspec.filesystem("memory").put(str(run), address, recursive=True)
    return address


def write(url: str, name: str, content: bytes | None) -> None:
    """Change a file below a URL; None removes it."""
    files, root = fsspec.core.url_to_fs(url)
    if content is None:
        files.rm_file(f"{root}/{name}")
    else:
        files.pipe_file(f"{root}/{name}", content)


def test_a_folder_is_itself(run):
    assert local_run(str(run)) == run
    assert name_of_run(str(run)) == "films"


def test_a_run_is_copied_once_and_needs_its_url_no_more(run, url, tmp_path):
    digest = read_info(run)["digest"]
    copy = local_run(url, cache=tmp_path / "cache")
    assert copy == tmp_path / "cache" / digest
    assert load_run(copy).info == load_run(run).info
    written = (copy / "model.safetensors").stat().st_mtime_ns
    assert local_run(url, cache=tmp_path / "cache") == copy
    for name in ("run.json", "model.safetensors"):
        write(url, name, None)
    assert local_run(url, digest=digest, cache=tmp_path / "cache") == copy
    assert (copy / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(RunError, match=r"films: not a finished run: no run\.json in it"):
        local_run(url, cache=tmp_path / "cache")
    assert name_of_run(url) == "films"


def test_of_generations_the_current_one_is_copied(tmp_path):
    shop = added(tmp_path / "shop", 2)
    fsspec.filesystem("memory").put(str(shop), "memory://shop", recursive=True)
    copy = local_run("memory://shop", cache=tmp_path / "cache")
    assert load_run(copy).info["seed"] == 2
    roll_back(shop)
    write("memory://shop", "run.json", (shop / "run.json").read_bytes())
    assert load_run(local_run("memory://shop", cache=tmp_path / "cache")).info["seed"] == 1


def test_a_damaged_copy_is_replaced(run, url, tmp_path):
    copy = local_run(url, cache=tmp_path / "cache")
    (copy / "catalog.parquet").write_bytes(b"cut short")
    assert local_run(url, digest=copy.name, cache=tmp_path / "cache") == copy
    assert read_info(copy)["digest"] == read_info(run)["digest"]


def test_a_run_that_is_damaged_at_its_url_leaves_nothing(url, tmp_path):
    cache = tmp_path / "cache"
    write(url, "model.safetensors", b"cut short")
    with pytest.raises(RunError, match=r"films: model\.safetensors: damaged"):
        local_run(url, cache=cache)
    write(url, "model.safetensors", None)
    with pytest.raises(RunError, match=r"films/model\.safetensors: missing from the run"):
        local_run(url, cache=cache)
    assert not [path for path in cache.iterdir() if path.is_dir()]


def test_another_run_than_expected_is_refused(run, url, tmp_path):
    digest = read_info(run)["digest"]
    with pytest.raises(RunError, match=f"holds the run {digest[:12]}; 000000000000 was expected"):
        local_run(url, digest="0" * 64, cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"digest": "../../elsewhere"}, "a digest and plain names of files were expected"),
        ({"files": {"../elsewhere": "0"}}, "a digest and plain names of files were expected"),
        ({"files": {"/etc/passwd": "0"}}, "a digest and plain names of files were expected"),
        ({"files": 3}, "damaged"),
    ],
)
def test_a_run_cannot_write_outside_the_cache(run, url, tmp_path, change, message):
    info = json.loads((run / "run.json").read_text()) | change
    write(url, "run.json", json.dumps(info).encode())
    with pytest.raises(RunError, match=message):
        local_run(url, cache=tmp_path / "cache")
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_not_json_or_cannot_be_reached_is_said_in_one_line(url, tmp_path):
    write(url, "run.json", b"{")
    with pytest.raises(RunError, match=r"run\.json: damaged"):
        local_run(url, cache=tmp_path / "cache")
    with pytest.raises(RunError, match=r"nonsense://bucket/films: cannot be read: .*nonsense"):
        local_run("nonsense://bucket/films", cache=tmp_path / "cache")


def test_several_that_need_a_run_at_once_download_it_once(run, tmp_path, monkeypatch):
    address = f"memory://{tmp_path.name}/films"
    fsspec.filesystem("memory").put(str(run), address, recursive=True)
    fetched, found, get = [], [], MemoryFileSystem.get_file

    def counted(self, path, *arguments, **more):
        fetched.append(path)
        return get(self, path, *arguments, **more)

    monkeypatch.setattr(MemoryFileSystem, "get_file", counted)
    threads = [
        threading.Thread(target=lambda: found.append(local_run(address, cache=tmp_path / "cache"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    assert len(fetched) == len(set(fetched)) == len(read_info(run)["files"])


def test_without_the_package_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(
        MissingExtraError, match=r"memory://films needs the package 'fsspec': pip install 'foldin\[remote\]'"
    ):
        local_run("memory://films", cache=tmp_path)


def test_secrets_of_an_address_are_not_shown():
    assert without_secrets("ftp://anna:secret@host/runs/films?token=secret") == "ftp://host/runs/films"
    assert without_secrets("s3://bucket/a@b") == "s3://bucket/a@b"
    assert without_secrets("memory://films") == "memory://films"
    assert without_secrets("runs/a?b@c") == "runs/a?b@c"
    assert name_of_run("s3://key:secret@bucket/runs/films/") == "films"
