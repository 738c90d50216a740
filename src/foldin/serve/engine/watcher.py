"""The runs of the command line: deployed once, and again when their folder holds a new run."""

import contextlib
import json
import logging
import threading
from collections.abc import Mapping
from pathlib import Path

from foldin.errors import EventStoreError, OutdatedError
from foldin.runs import is_url, without_secrets
from foldin.runs.pointer import digest_in, read_pointer
from foldin.serve.engine import commands
from foldin.serve.engine.fleet import Fleet
from foldin.serve.storage.changes import Changes

__all__ = ["Watcher", "deploy_given"]

logger = logging.getLogger("foldin.serve")


def deploy_given(fleet: Fleet, given: Mapping[str, str], *, force: bool = False) -> None:
    """Deploy given runs whose names the database does not know, or with `force` all of them. The first becomes the default.

    Args:
        given: folders or URLs by name.

    Raises:
        RunError: a run that is to be deployed cannot be loaded.
        ConfigError: a model lacks a capability that its ranker needs.
        EventStoreError: the database is not available.
    """
    known = fleet.store.state().rows
    for name, uri in given.items():
        if force or name not in known:
            with contextlib.suppress(OutdatedError):  # another process was quicker
                commands.deploy(fleet, uri, name, key="command line", generation=None if force else 0)
        elif known[name].retired or not _is_within(known[name].run.uri, uri):
            said = "retired" if known[name].retired else f"served from {without_secrets(known[name].run.uri)}"
            logger.warning(json.dumps({"not deployed": name, "because": f"{said}; --deploy deploys the given run"}))


class Watcher:
    """Deploys a run again when its folder contains a new run.

    New is a run that was never deployed under this name: what was rolled back or replaced is not deployed again, by no process
    and after no restart. In a folder of generations, an earlier one is new as well if it becomes the current one while the folder
    is watched, since somebody moved the pointer; unless the model was given a run or rolled back since the last check: another
    process may have taken the same run up already, and what was decided after that stays.

    Args:
        fleet: models of this process, as the database says.
        given: folders by name; URLs are not watched.
        seconds: time between two checks.
    """

    def __init__(self, fleet: Fleet, given: Mapping[str, str], *, seconds: float = 2.0) -> None:
        self.fleet, self.seconds = fleet, seconds
        self._folders = {name: Path(uri) for name, uri in given.items() if not is_url(uri)}
        self._seen: dict[str, str] = {}  # digests at the last check
        self._generations: dict[str, int | None] = {}  # of the models, just before the folders were read then
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="foldin-watch", daemon=True)

    def start(self) -> None:
        """Start the checks."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the checks."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Check once: a new run is deployed. For a damaged one, a line is logged and the old one stays in service."""
        try:
            rows = self.fleet.store.state().rows  # read before the folders, so that they are not newer
        except EventStoreError:  # the database is away: checked again
            return
        for name, folder in self._folders.items():
            now = rows[name].generation if name in rows else None
            digest = digest_in(folder)
            seen = self._seen.get(name)
            if digest is None:
                continue
            if digest == seen:
                self._generations[name] = now
                continue
            try:
                moved = seen is not None and read_pointer(folder) is not None
                again = self._generations.get(name) if moved else None
                generation = self._takes(name, folder, digest, again=again)
                if generation is not None:
                    commands.deploy(self.fleet, str(folder), name, key="watch", generation=generation)
                    now = generation + 1
            except (
                OutdatedError,
                EventStoreError,
            ):  # another process was quicker, or the database is away: checked again
                continue
            except Exception as error:  # after any error, the old model stays in service and the watch continues
                logger.warning(json.dumps({"refused": name, "error": str(error)}))
            self._seen[name], self._generations[name] = digest, now

    def _takes(self, name: str, folder: Path, digest: str, *, again: int | None) -> int | None:
        """The generation of the model that takes a run from this folder; None if it does not.

        Args:
            again: generation at which it also takes a run that was deployed before; None if it does at none.
        """
        row = self.fleet.store.state().rows.get(name)
        if row is None or row.retired or row.run.digest == digest:
            return None
        deployed = [
            one.after[name] for one in Changes(self.fleet.store.engine).of_model(name) if one.action == "deploy"
        ]
        if row.generation != again and any(one["digest"] == digest for one in deployed):
            return None
        # A model that was deployed from elsewhere does not change because the command line gives a folder of its name.
        from_here = any(_is_within(one["run"], str(folder)) for one in deployed)
        return row.generation if from_here else None

    def _run(self) -> None:
        while not self._stop.wait(self.seconds):
            self.look()


def _is_within(run: str, uri: str) -> bool:
    """Whether a run is the given one, or lies inside its folder."""
    return run == uri or (not is_url(run) and not is_url(uri) and Path(run).is_relative_to(uri))
