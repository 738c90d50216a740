"""Run directories: nothing damaged ever loads."""

import json
import pickle
import re
from dataclasses import replace

import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from foldin.data import Catalog, strong
from foldin.errors import RunError
from foldin.experiment import split_of_run, train
from foldin.files import read_tensors, write_atomically, write_tensors
from foldin.models import MultVAEConfig, Popularity
from foldin.runs import load_run, save_run
from tests.conftest import make_log
from tests.damage import change_info, change_model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    split = replace(strong(make_log(), held_out=20), source={"path": "made"})
    one = train(split, MultVAEConfig(hidden_dims=(), latent_dim=4, epochs=2, batch_size=40))
    one.save(folder)
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
    # Other white space between the entries of a JSON file is no damage.
    assume(name != "run.json" or damaged.split() != original.split())
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


def test_another_version_and_another_model_say_so(tmp_path, monkeypatch):
    catalog, model = Catalog.from_ids(["a", "b"]), Popularity(2)
    monkeypatch.setattr("foldin.runs.store.FORMAT_VERSION", 99)
    save_run(tmp_path / "new", model=model, catalog=catalog, info={})
    monkeypatch.undo()
    with pytest.raises(RunError, match="written in format version 99, this foldin reads version 2"):
        load_run(tmp_path / "new")
    save_run(tmp_path / "odd", model=model, catalog=catalog, info={})
    change_model(tmp_path / "odd", model="oracle")
    with pytest.raises(RunError, match="holds a model 'oracle'"):
        load_run(tmp_path / "odd")


def test_a_catalog_of_another_size_is_refused(tmp_path):
    run = tmp_path / "run"
    save_run(run, model=Popularity(2), catalog=Catalog.from_ids(["a", "b"]), info={})
    Catalog.from_ids(["a", "b", "c"]).table.write_parquet(run / "catalog.parquet")
    change_info(run)
    with pytest.raises(RunError, match="knows 2 items, the catalog 3"):
        load_run(run)


class Other(Popularity):
    """A model of one's own."""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": Other(2)}, "a Other could not be loaded again: it has no name"),
        ({"model": Popularity(3)}, "knows 3 items, the catalog 2"),
        ({"info": {"files": {}}}, "info has 'files', which run.json has itself"),
        ({"info": {"when": object()}}, "info cannot be written as JSON"),
        ({"info": {"figure": float("inf")}}, "info cannot be written as JSON"),
        ({"metrics": {"ndcg": float("nan")}}, "metrics cannot be written as JSON"),
        ({"history": [{"loss": float("nan")}]}, "history cannot be written as JSON"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_could_not_be_loaded_again_is_not_saved(changed, message, tmp_path):
    given = {"model": Popularity(2), "catalog": Catalog.from_ids(["a", "b"]), "info": {}}
    with pytest.raises(RunError, match=re.escape(message)):
        save_run(tmp_path / "run", **{**given, **changed})
    assert not (tmp_path / "run").exists()


def test_a_source_that_could_not_be_used_again_is_refused(run, tmp_path):
    one = train(strong(make_log(), held_out=20), "popularity")
    for source in ({"pth": "x.csv"}, {"path": 5}, {"seed": 1}):
        with pytest.raises(RunError, match="source of the log cannot be used"):
            replace(one, split=replace(one.split, source=source)).save(tmp_path / "run")
    assert not (tmp_path / "run").exists()
    one.save(tmp_path / "run")
    with pytest.raises(RunError, match=r"has no source: .* name it with --data"):
        split_of_run(load_run(tmp_path / "run"), None)
    change_info(tmp_path / "run", source={"pth": "x.csv"})
    with pytest.raises(RunError, match="source of the log cannot be used"):
        split_of_run(load_run(tmp_path / "run"), None)
    change_info(tmp_path / "run", without=("fingerprint", "source"))
    with pytest.raises(RunError, match="has no fingerprint"):
        split_of_run(load_run(tmp_path / "run"), "x.csv")


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
