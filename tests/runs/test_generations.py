"""Generations of a run: readers always find one, damage of one stops no other, and the way back stays open."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from foldin.data import Catalog
from foldin.errors import EventStoreError, RunError
from foldin.models import Popularity
from foldin.runs import add_generation, generations, load_run, roll_back, save_run, store
from tests.serve.test_fleet import process

CATALOG = Catalog.from_ids(["a", "b"])


def writing(number: int):
    """A function that writes a run whose seed is the number."""
    return lambda folder: save_run(folder, model=Popularity(2), catalog=CATALOG, info={"seed": number})


def seed_of(folder: Path) -> int:
    return load_run(folder).info["seed"]


def added(folder: Path, count: int, **options) -> Path:
    """A folder with generations 1 to `count`."""
    for number in range(1, count + 1):
        add_generation(folder, writing(number), **options)
    return folder


def numbers(folder: Path) -> list[int]:
    return [one.number for one in generations(folder)]


def damage(folder: Path, number: int) -> None:
    (folder / "generations" / f"{number:04d}" / "catalog.parquet").write_bytes(b"cut short")


def test_a_plain_run_becomes_the_first_generation_and_the_new_one_is_current(tmp_path):
    run = tmp_path / "run"
    writing(1)(run)
    before = json.loads((run / "run.json").read_text())
    (run / "notes.txt").write_text("mine")
    found = add_generation(run, writing(2))
    assert (found.number, found.folder) == (2, run / "generations" / "0002")
    assert seed_of(run) == 2
    assert load_run(run).folder == found.folder
    assert sorted(one.name for one in run.iterdir()) == ["generations", "notes.txt", "run.json"]
    assert load_run(run / "generations" / "0001").info == before
    assert [(one.number, one.current, one.finished) for one in generations(run)] == [(1, False, True), (2, True, True)]


def test_a_reader_finds_a_run_at_any_time(tmp_path):
    """One that reads without pause, from the plain run over its adoption to generations that are deleted behind it."""
    run, seen, failures, done = tmp_path / "run", [], [], threading.Event()
    writing(1)(run)

    def read() -> None:
        while not done.is_set():
            try:
                seen.append(seed_of(run))
            except Exception as error:
                failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for one in readers:
        one.start()
    try:
        for number in range(2, 9):
            add_generation(run, writing(number), keep=1)
    finally:
        done.set()
        for one in readers:
            one.join()
    assert not failures
    assert set(seen) <= set(range(1, 9))
    assert len(set(seen)) > 1
    assert seed_of(run) == 8


@pytest.mark.parametrize("generations_before", [0, 1])
def test_a_run_that_is_replaced_while_it_is_read_is_read_again(generations_before, tmp_path, monkeypatch):
    run, plain = tmp_path / "run", generations_before == 0
    writing(1)(run) if plain else added(run, 1)
    read, replaced = store.read_info, []

    def late(folder: Path):
        if not replaced:
            replaced.append(folder)
            add_generation(run, writing(2))
            if not plain:
                shutil.rmtree(run / "generations" / "0001")  # by two swaps and a pruning
        return read(folder)

    monkeypatch.setattr(store, "read_info", late)
    assert seed_of(run) == 2
    assert replaced == [run if plain else run / "generations" / "0001"]


def test_damage_of_one_generation_stops_no_other(tmp_path):
    run = added(tmp_path / "run", 3)
    damage(run, 2)
    assert seed_of(run) == 3
    damage(run, 3)
    with pytest.raises(RunError, match=rf"0003/catalog.parquet: damaged.*`foldin runs rollback {run}` restores"):
        load_run(run)
    assert roll_back(run).number == 1  # the second is damaged too
    assert seed_of(run) == 1
    assert add_generation(run, writing(4)).number == 4
    assert seed_of(run) == 4
    damage(run, 1)
    with pytest.raises(RunError, match=r"no earlier generation can be restored: .*0003.*; .*0002.*; .*0001"):
        roll_back(run)
    assert seed_of(run) == 4


def test_the_way_back_and_forth(tmp_path):
    run = added(tmp_path / "run", 3)
    assert roll_back(run).number == 2
    assert roll_back(run).number == 1
    with pytest.raises(RunError, match="no earlier generation can be restored: there is none"):
        roll_back(run)
    assert roll_back(run, 3).number == 3
    assert seed_of(run) == 3
    with pytest.raises(RunError, match=r"generation 9 can be restored: .*0009: no such run directory"):
        roll_back(run, 9)
    writing(1)(tmp_path / "plain")
    with pytest.raises(RunError, match="holds no generations"):
        roll_back(tmp_path / "plain")
    with pytest.raises(RunError, match="no such run directory"):
        generations(tmp_path / "none")


def test_old_generations_are_deleted_but_never_the_current_one_or_the_one_before(tmp_path):
    run = added(tmp_path / "run", 6)
    add_generation(run, writing(7), keep=3)
    assert numbers(run) == [5, 6, 7]
    add_generation(run, writing(8), keep=1)
    assert numbers(run) == [7, 8]
    roll_back(run)
    assert add_generation(run, writing(9), keep=1).number == 9
    assert numbers(run) == [8, 9]  # generation 8 is the finished one before it, although it was rolled back
    unfinished = run / "generations" / "0008" / "run.json"
    unfinished.unlink()
    add_generation(run, writing(10), keep=1)
    assert numbers(run) == [9, 10]


def test_generations_that_a_service_names_are_kept_and_nothing_is_replaced_if_it_cannot_be_asked(tmp_path):
    run = added(tmp_path / "run", 5)
    folders = {one.number: one.folder for one in generations(run)}
    named = {load_run(folders[1]).info["digest"], str(folders[3].resolve())}
    add_generation(run, writing(6), keep=1, in_use=lambda: named)
    assert numbers(run) == [1, 3, 5, 6]

    def away() -> set[str]:
        raise EventStoreError("the database is away")

    with pytest.raises(EventStoreError):
        add_generation(run, writing(7), keep=1, in_use=away)
    assert seed_of(run) == 6
    assert numbers(run) == [1, 3, 5, 6]
    add_generation(run, writing(7), keep=1, in_use=set)
    assert numbers(run) == [6, 7]


def test_a_number_is_not_given_again(tmp_path):
    run = added(tmp_path / "run", 3)
    shutil.rmtree(run / "generations" / "0003")  # by hand
    assert add_generation(run, writing(4)).number == 4
    assert seed_of(run) == 4


def test_a_write_that_fails_or_is_killed_leaves_the_current_generation(tmp_path):
    run = added(tmp_path / "run", 1)

    def failing(folder: Path) -> None:
        writing(2)(folder)
        raise OSError("disk full")

    def cut_off(folder: Path) -> None:
        writing(2)(folder)
        (folder / "model.safetensors").write_bytes(b"")

    with pytest.raises(OSError, match="disk full"):
        add_generation(run, failing)
    with pytest.raises(RunError, match="damaged"):
        add_generation(run, cut_off)
    assert numbers(run) == [1]
    (run / "generations" / "0002").mkdir()  # as a killed process leaves it
    assert seed_of(run) == 1
    assert [one.finished for one in generations(run)] == [True, False]
    assert add_generation(run, writing(3)).number == 3
    # The same with the very first one.
    (tmp_path / "new" / "generations" / "0001").mkdir(parents=True)
    assert add_generation(tmp_path / "new", writing(1)).number == 2


def test_a_run_that_has_become_current_meanwhile_stays(tmp_path):
    run = added(tmp_path / "run", 1)
    mine = load_run(run).info["digest"]
    add_generation(run, writing(2), instead_of=mine)
    with pytest.raises(RunError, match="another run has become current meanwhile"):
        add_generation(run, writing(3), instead_of=mine)
    assert seed_of(run) == 2
    assert numbers(run) == [1, 2]


def test_what_is_not_a_folder_of_runs_is_left_as_it_is(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="files that foldin did not write"):
        add_generation(folder, writing(1))
    assert [one.name for one in folder.iterdir()] == ["letter.txt"]
    run = added(tmp_path / "run", 2)
    with pytest.raises(RunError, match="holds generations of a run"):
        writing(3)(run)
    assert seed_of(run) == 2
    with pytest.raises(RunError, match=r"info has 'generation', which run.json has itself"):
        save_run(tmp_path / "other", model=Popularity(2), catalog=CATALOG, info={"generation": 1})


def test_a_pointer_that_is_damaged_or_points_elsewhere_is_noticed_and_can_be_restored(tmp_path):
    run = added(tmp_path / "run", 2)
    shutil.rmtree(run / "generations" / "0002")
    shutil.copytree(run / "generations" / "0001", run / "generations" / "0002")
    with pytest.raises(RunError, match=r"not the run to which run.json points"):
        load_run(run)
    (run / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        load_run(run)
    assert roll_back(run).number == 2
    assert seed_of(run) == 1


def test_the_pointer_waits_for_readers_that_hold_it(tmp_path, monkeypatch):
    """As on Windows, where a file that is open cannot be replaced."""
    run, replace, refused = added(tmp_path / "run", 1), Path.replace, []

    def held(self: Path, target: Path):
        if target == run / "run.json" and len(refused) < 3:
            refused.append(self)
            raise PermissionError("in use")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", held)
    monkeypatch.setattr("foldin.runs.pointer._PAUSE", 0.0)
    add_generation(run, writing(2))
    assert len(refused) == 3
    assert seed_of(run) == 2
    monkeypatch.setattr("foldin.runs.pointer._TRIES", 2)
    refused.clear()
    with pytest.raises(PermissionError):
        add_generation(run, writing(3))
    assert seed_of(run) == 2


def test_the_service_takes_up_a_new_generation_and_an_earlier_one(tmp_path):
    run = tmp_path / "shop"
    writing(1)(run)
    with process(f"sqlite:///{tmp_path}/events.db", run) as one:

        def served() -> int:
            one.watcher.look()
            return one.service.registry.get("shop").run.info["seed"]

        assert served() == 1
        add_generation(run, writing(2))
        assert served() == 2
        roll_back(run)
        assert served() == 1
        add_generation(run, writing(3))
        damage(run, 3)
        assert served() == 1
        # What is rolled back in the service stays so, though the folder has not changed.
        add_generation(run, writing(4))
        assert served() == 4
        one.post("/v1/models/shop:rollback")
        assert served() == 1
    added(tmp_path / "other", 2)
    with process(f"sqlite:///{tmp_path}/other.db", tmp_path / "other") as two:
        assert two.service.registry.get("other").run.info["seed"] == 2
