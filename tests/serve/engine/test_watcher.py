"""The watcher of the runs of the command line, in two processes of one service: here two fleets on one database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foldin.runs import add_generation, load_run, roll_back
from foldin.serve import Changes, DeploymentStore, EventStore, Registry, connect
from foldin.serve.engine import commands
from foldin.serve.engine.fleet import Fleet
from foldin.serve.engine.watcher import Watcher, deploy_given
from tests.runs.test_generations import writing

NAME = "shop"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of one generation."""
    add_generation(tmp_path / NAME, writing(1))
    return tmp_path / NAME


@pytest.fixture
def watchers(tmp_path, folder) -> Iterator[tuple[Watcher, Watcher]]:
    """The watchers of two processes that serve the folder; no thread of theirs looks by itself."""
    engine = connect(f"sqlite:///{tmp_path}/events.db")
    EventStore(engine)  # makes the tables
    fleets = [Fleet(Registry(), DeploymentStore(engine)) for _ in range(2)]
    first, second = (Watcher(fleet, {NAME: str(folder)}) for fleet in fleets)
    for one in (first, second):
        deploy_given(one.fleet, {NAME: str(folder)})
        one.fleet.settle()
        one.look()
    yield first, second
    for fleet in fleets:
        fleet.registry.close()
    engine.dispose()


def log_of(watcher: Watcher) -> list[tuple[str, str, str]]:
    """(who, action, digest of the run afterwards) of each change."""
    changes = Changes(watcher.fleet.store.engine).of_model(NAME)
    return [(one.key, one.action, one.after[NAME]["digest"]) for one in changes]


def test_a_roll_back_while_another_process_loads_the_same_run_stays(watchers, folder, monkeypatch):
    """Both load generation 2. The first deploys it and is rolled back before the second, which comes too late, is done."""
    first, second = watchers
    digests = [load_run(folder).info["digest"], load_run(add_generation(folder, writing(2)).folder).info["digest"]]
    prepare, begun = second.fleet.prepare, []

    def late(loaded) -> None:
        prepare(loaded)
        if not begun:  # the run is loaded, and not yet recorded
            begun.append(True)
            first.look()
            commands.roll_back(first.fleet, NAME, key="admin")

    monkeypatch.setattr(second.fleet, "prepare", late)
    for _ in range(3):
        second.look()
        first.look()
    assert begun
    assert log_of(first) == [
        ("command line", "deploy", digests[0]),
        ("watch", "deploy", digests[1]),
        ("admin", "rollback", digests[0]),
    ]


def test_a_roll_back_between_two_looks_of_another_process_stays(watchers, folder):
    first, second = watchers
    add_generation(folder, writing(2))
    first.look()
    commands.roll_back(first.fleet, NAME, key="admin")
    for _ in range(2):
        second.look()
        first.look()
    assert [who for who, *_ in log_of(first)] == ["command line", "watch", "admin"]
    # A generation that never was in service is taken up, by one of both.
    add_generation(folder, writing(3))
    for one in watchers:
        one.look()
    assert [who for who, *_ in log_of(first)] == ["command line", "watch", "admin", "watch"]


def test_a_pointer_that_is_moved_is_followed_unless_the_model_was_changed_since_the_last_look(watchers, folder):
    first, second = watchers
    old = load_run(folder).info["digest"]
    add_generation(folder, writing(2))
    for one in (first, second, first):
        one.look()
    commands.split(first.fleet, {NAME: 1.0}, key="admin")  # changes nothing of what the model serves
    roll_back(folder)
    for one in (second, first, second):
        one.look()
    assert log_of(first)[-1] == ("watch", "deploy", old)
    count = len(log_of(first))
    roll_back(folder, 2)
    commands.roll_back(first.fleet, NAME, key="admin")  # to generation 2, to which the folder points by now
    commands.roll_back(first.fleet, NAME, key="admin")  # and back
    for one in (second, first, second):
        one.look()
    assert [who for who, *_ in log_of(first)[count:]] == ["admin", "admin"]
