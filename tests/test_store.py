"""Run directories: nothing damaged ever loads."""

import json
import pickle

import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foldin.data import Catalog, strong
from foldin.errors import RunError
from foldin.experiment import save, train
from foldin.files import read_tensors, write_atomically, write_tensors
from foldin.models import MultVAEConfig, Popularity
from foldin.store import load_run, save_run
from tests.conftest import make_log


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    split = strong(make_log(), held_out=20)
    one = train(split, "multvae", MultVAEConfig(hidden=(), latent=4, epochs=2, batch_size=40))
    save(folder, split, one, source={"path": "made"}, seed=0)
    return folder


FILES = ["model.safetensors", "catalog.parquet", "history.jsonl", "metrics.json", "per_user.parquet", "run.json"]


def test_a_run_holds_what_the_design_says(run):
    assert sorted(path.name for path in run.iterdir()) == sorted(FILES)
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    info = json.loads((run / "run.json").read_text())
    assert {"fingerprint", "protocol", "seed", "versions", "fit_seconds", "source", "files"} <= set(info)
    assert pl.read_parquet(run / "per_user.parquet").height == 20
    assert load_run(run).name == "multvae"


@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_changed_byte_anywhere_is_noticed(run, name, place, flip):
    original = (run / name).read_bytes()
    damaged = bytearray(original)
    damaged[int(place * len(damaged))] ^= flip
    (run / name).write_bytes(bytes(damaged))
    try:
        with pytest.raises(RunError):
            load_run(run)
    finally:
        (run / name).write_bytes(original)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_or_cut_short_is_named(run, name):
    original = (run / name).read_bytes()
    try:
        (run / name).write_bytes(original[: len(original) // 2])
        with pytest.raises(RunError, match=name):
            load_run(run)
        (run / name).unlink()
        with pytest.raises(RunError, match=name.split(".")[0]):
            load_run(run)
    finally:
        (run / name).write_bytes(original)


def test_missing_and_unfinished_runs_say_so(tmp_path):
    with pytest.raises(RunError, match="no such run directory"):
        load_run(tmp_path / "none")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "checkpoint.safetensors").write_bytes(b"x")
    with pytest.raises(RunError, match="continue it with --resume"):
        load_run(tmp_path / "half")


def test_another_version_and_another_model_say_so(tmp_path, monkeypatch):
    catalog, model = Catalog.from_ids(["a", "b"]), Popularity(2)
    monkeypatch.setattr("foldin.store.FORMAT_VERSION", 99)
    save_run(tmp_path / "new", name="popularity", model=model, catalog=catalog, info={})
    monkeypatch.undo()
    with pytest.raises(RunError, match="written in format version 99, this foldin reads version 1"):
        load_run(tmp_path / "new")
    save_run(tmp_path / "odd", name="oracle", model=model, catalog=catalog, info={})
    with pytest.raises(RunError, match="holds a model 'oracle'"):
        load_run(tmp_path / "odd")


def test_a_catalogue_of_another_size_is_refused(tmp_path):
    save_run(tmp_path / "run", name="popularity", model=Popularity(3), catalog=Catalog.from_ids(["a", "b"]), info={})
    with pytest.raises(RunError, match="knows 3 items, the catalogue 2"):
        load_run(tmp_path / "run")


def test_tensors_of_others_are_refused(tmp_path):
    import safetensors.torch

    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(RunError, match="not one of foldin's"):
        read_tensors(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(RunError, match="damaged"):
        read_tensors(tmp_path / "b.safetensors")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.ones(2)}, {"x": 1})

    def fail(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    tensors, about = read_tensors(path)
    assert (tensors["a"].tolist(), about["x"]) == ([1.0, 1.0], 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
