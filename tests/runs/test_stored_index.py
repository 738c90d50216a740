"""The index that is stored with a run: it is the one that was built, belongs to its model, and never stands in the run's way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from foldin.data import Catalog, Histories
from foldin.errors import FoldinWarning, RunError
from foldin.models import SASRec, SASRecConfig
from foldin.ranking import Approximate, build_index, rank
from foldin.runs import add_generation, add_index, generations, load_index, load_run, local_run, save_index, save_run
from foldin.runs.stored_index import probe_users

ITEMS, K = 400, 9
CATALOG = Catalog.from_ids([f"i{at}" for at in range(ITEMS)])
USERS = Histories.from_lists(np.random.default_rng(0).integers(0, ITEMS, (20, 5)).tolist(), ITEMS).distinct()
pytest.importorskip("faiss")


def untrained(seed: int) -> SASRec:
    return SASRec(ITEMS, SASRecConfig(embedding_dim=8, max_length=5), seed=seed)


@pytest.fixture
def folder(tmp_path) -> Path:
    save_run(tmp_path / "run", model=untrained(0), catalog=CATALOG, info={})
    return tmp_path / "run"


def lists(ranker) -> list[list[int]]:
    return rank(ranker.model, USERS, K, ranker=ranker).items.tolist()


@pytest.mark.parametrize(("kind", "effort"), [("Flat", None), ("IVF8,SQ8", 2), ("HNSW4,SQ8", 3)])
def test_a_stored_index_is_the_one_that_was_built(folder, kind, effort):
    before = load_run(folder)
    assert before.index is None
    built = build_index(before.model, kind, effort=effort)
    save_index(folder, built)
    run = load_run(folder)
    assert run.info == before.info  # the same run, with the same digest
    assert (run.index.description, run.index.effort) == (kind, effort)
    assert lists(Approximate(run.model, run.index)) == lists(Approximate(before.model, built))
    rebuilt = Approximate(untrained(0), kind, effort=effort)
    assert lists(Approximate(run.model, run.index)) == lists(rebuilt)


def test_a_stored_index_is_in_the_memory_of_its_file(folder):
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux says what is mapped")
    save_index(folder, build_index(load_run(folder).model))
    assert str(folder / "index.faiss") not in maps.read_text()
    index = load_run(folder).index
    assert str(folder / "index.faiss") in maps.read_text()
    assert index.n_items == ITEMS


def test_what_is_measured_is_stored(folder):
    run = load_run(folder)
    built = add_index(folder, run.model, run.catalog, description="IVF8,SQ8", recall=0.9, users=USERS)
    stored = load_run(folder).index
    assert (stored.effort, stored.recall, stored.measured_k) == (built.effort, built.recall, built.measured_k)
    assert stored.recall >= 0.9
    assert stored.measured_k == 100
    assert add_index(folder, run.model, run.catalog, description="Flat").recall == 1.0


def test_recall_is_measured_on_users_with_a_history_or_on_made_up_ones():
    told = Histories.from_lists([[], [3], []], ITEMS)
    some = probe_users(CATALOG, told)
    assert (len(some), some.of(0).tolist()) == (1, [3])
    rare = Catalog.from_ids(CATALOG.ids, np.where(np.arange(ITEMS) < 10, 10**6, 0))
    for users in (None, Histories.from_lists([[]], ITEMS)):
        drawn = probe_users(rare, users)
        assert len(drawn) == 200
        assert (drawn.lengths > 0).all()
        assert (drawn.items < 10).mean() > 0.9


def truncated(folder):
    file = folder / "index.faiss"
    file.write_bytes(file.read_bytes()[:-9])


def of_another_model(folder):
    save_run(folder.with_name("other"), model=untrained(1), catalog=CATALOG, info={})
    save_index(folder.with_name("other"), build_index(untrained(1), "Flat"))
    for name in ("index.faiss", "index.json"):
        shutil.copy2(folder.with_name("other") / name, folder / name)


def changed(**entries):
    def change(folder):
        about = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps({**about, **entries}))

    return change


DAMAGES = {
    r"index\.faiss: damaged: its content does not match the digest": truncated,
    r"index\.faiss: missing, though index\.json describes it": lambda folder: (folder / "index.faiss").unlink(),
    r"index\.json: damaged: ": lambda folder: (folder / "index.json").write_text("{"),
    r"index\.json: damaged: other entries": changed(more=1),
    r"index\.json: written in format version 1": changed(format_version=1),
    r"index\.json: the index was built from another model": of_another_model,
}


@pytest.mark.parametrize("said", DAMAGES)
def test_an_index_that_is_damaged_or_wrong_is_one_error_and_the_run_is_used_without_it(folder, said):
    save_index(folder, build_index(load_run(folder).model, "Flat"))
    DAMAGES[said](folder)
    run = load_run(folder)
    with pytest.raises(RunError, match=said) as error:
        _ = run.index
    assert "`foldin index` builds it again" in str(error.value)
    assert len(rank(run.model, USERS, K)) == len(USERS)
    save_index(folder, build_index(run.model, "Flat"))
    assert load_run(folder).index is not None


def test_a_new_run_in_the_folder_has_no_index_of_the_old_one(folder):
    save_index(folder, build_index(load_run(folder).model, "Flat"))
    save_run(folder, model=untrained(1), catalog=CATALOG, info={})
    assert load_run(folder).index is None
    assert not (folder / "index.faiss").exists()


def test_an_index_goes_with_its_run_into_generations_and_over_the_network(folder, tmp_path):
    save_index(folder, build_index(load_run(folder).model, "Flat"))
    copy = local_run(f"file://{folder}", cache=tmp_path / "cache")
    assert load_run(copy).index.description == "Flat"
    add_generation(folder, lambda own: save_run(own, model=untrained(1), catalog=CATALOG, info={}))
    first, second = generations(folder)
    assert load_index(first.folder, untrained(0)).description == "Flat"
    assert load_index(second.folder, untrained(1)) is None
    assert not (folder / "index.faiss").exists()
    save_index(second.folder, build_index(untrained(1), "Flat"))
    (second.folder / "index.faiss").unlink()
    with pytest.warns(FoldinWarning, match="the index of the run is not taken up"):
        copy = local_run(f"file://{folder}", cache=tmp_path / "cache")
    assert load_run(copy).index is None  # what is not whole is not copied


def test_an_index_that_is_built_later_is_taken_up_by_the_copy_of_a_run(folder, tmp_path):
    def copied() -> Path:
        return local_run(f"file://{folder}", cache=tmp_path / "cache")

    copy = copied()
    assert load_run(copy).index is None
    for kind in ("Flat", "IVF8,SQ8"):  # the first one, and another in its place
        save_index(folder, build_index(untrained(0), kind))
        assert copied() == copy
        assert load_run(copy).index.description == kind
    written = (copy / "index.faiss").stat().st_mtime_ns
    copied()
    assert (copy / "index.faiss").stat().st_mtime_ns == written
    (copy / "index.faiss").unlink()
    copied()
    assert load_run(copy).index.description == "IVF8,SQ8"


@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_an_index_that_cannot_be_copied_leaves_the_earlier_one(folder, tmp_path, harm):
    save_index(folder, build_index(untrained(0), "Flat"))
    copy = local_run(f"file://{folder}", cache=tmp_path / "cache")
    there = sorted(path.name for path in copy.iterdir())
    save_index(folder, build_index(untrained(0), "IVF8,SQ8"))
    if harm == "missing":
        (folder / "index.faiss").unlink()
    else:
        truncated(folder)
    with pytest.warns(FoldinWarning, match=r"the index of the run is not taken up: .*index\.faiss"):
        local_run(f"file://{folder}", cache=tmp_path / "cache")
    assert load_run(copy).index.description == "Flat"
    assert sorted(path.name for path in copy.iterdir()) == there
    assert not list(copy.parent.glob(".index.*"))
