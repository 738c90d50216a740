"""Changes of the models in service, made through one process and seen by all: deploy, roll back, split, retire.

Each of them writes to the database, and returns when this process serves what it wrote. A run is loaded and has answered once
before the database is told of it, so that a damaged one is refused here and reaches no other process.
"""

from collections.abc import Mapping

from foldin.runs import is_url, local_run, name_of_run
from foldin.serve.engine.fleet import Fleet
from foldin.serve.storage.fleet_state import RunRef

__all__ = ["deploy", "make_default", "retire", "roll_back", "split"]


def deploy(
    fleet: Fleet, uri: str, name: str | None = None, *, key: str, default: bool = False, generation: int | None = None
) -> None:
    """Deploy a run under a name; the run before it serves until the new one has answered once.

    Args:
        uri: a folder or a URL.
        name: name in service; the last part of the address if omitted.
        key: who asks, for the log of changes.
        default: whether to make it the default model.
        generation: generation that the model must have; 0 if there must be none of that name.

    Raises:
        RunError: the run is missing, unfinished or damaged.
        ConfigError: the model lacks a capability that its ranker needs.
        OutdatedError: the model has another generation.
        EventStoreError: the database is not available.
    """
    name = name or name_of_run(uri)
    new = fleet.registry.load(local_run(uri), name)
    run = RunRef(uri if is_url(uri) else str(new.run.folder.resolve()), str(new.run.info["digest"]))
    fleet.prepare(new)
    try:
        fleet.store.deploy(name, run, key=key, default=default, generation=generation)
        fleet.settle([name])
    finally:
        fleet.discard(new)


def roll_back(fleet: Fleet, name: str, *, key: str, generation: int | None = None) -> None:
    """Restore the previous run of a model.

    Raises:
        RunError: the previous run is not in memory here, and cannot be loaded again.
        ConfigError: there is no previous run.
        OutdatedError: the model has another generation.
        EventStoreError: the database is not available.
    """
    row = fleet.store.state().rows.get(name)
    prepared = None
    if row is not None and row.previous is not None and not row.retired and not fleet.holds(name, row.previous.digest):
        generation = row.generation if generation is None else generation  # what is loaded now must be what is restored
        prepared = fleet.load(name, row.previous)
        fleet.prepare(prepared)
    try:
        fleet.store.roll_back(name, key=key, generation=generation)
        fleet.settle([name])
    finally:
        if prepared is not None:
            fleet.discard(prepared)


def make_default(fleet: Fleet, name: str, *, key: str, generation: int | None = None) -> None:
    """Make a model the default, for requests that do not choose one.

    Raises:
        UnknownModelError: no such model.
        OutdatedError: the model has another generation.
        EventStoreError: the database is not available.
    """
    fleet.store.make_default(name, key=key, generation=generation)
    fleet.settle([name])


def retire(fleet: Fleet, name: str, *, key: str, generation: int | None = None) -> None:
    """Take a model out of service; requests that wait for it are still answered.

    Raises:
        UnknownModelError: no such model.
        ConfigError: the model is the default one, or has a share in the split.
        OutdatedError: the model has another generation.
        EventStoreError: the database is not available.
    """
    fleet.store.retire(name, key=key, generation=generation)
    fleet.settle([name])


def split(fleet: Fleet, shares: Mapping[str, float], *, key: str, expected: int | None = None) -> None:
    """Split users between models, for requests that do not choose one; empty shares end the split.

    Raises:
        UnknownModelError: no such model.
        ConfigError: shares that are not positive or do not add up to 1.
        OutdatedError: the database has another revision than was expected.
        EventStoreError: the database is not available.
    """
    fleet.store.split(shares, key=key, expected=expected)
    fleet.settle(shares)
