"""One truth for all processes: each of them brings the models that it serves to what the database says.

A process reads the revision a few times a second. When it changed, or when a model could not be brought into service before, it
compares the rows with what it serves. A run is loaded, verified and warmed up in a thread of its own, off the event loop, and put
into service at once; until then, and if it cannot be loaded, the old one serves. The threads of different models do not wait for
each other, so that a missing run or a slow download holds up no other change.
"""

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable

from foldin.errors import EventStoreError, OutdatedError, RunError
from foldin.runs import local_run, without_secrets
from foldin.serve.engine.deployment import Deployment
from foldin.serve.engine.registry import Registry
from foldin.serve.engine.trouble import Trouble
from foldin.serve.storage.deployments import DeploymentStore
from foldin.serve.storage.fleet_state import DeploymentRow, FleetState, RunRef

__all__ = ["Fleet"]

logger = logging.getLogger("foldin.serve")

_PATIENCE = 5.0  # seconds for which an ending process waits for runs that are being loaded


class Fleet:
    """The models of this process, as the database says.

    Args:
        registry: models in service in this process.
        store: rows of the models that are to be in service.
        seconds: time between two readings of the revision.
        looked: called after each reading, such as for metrics.
    """

    def __init__(
        self,
        registry: Registry,
        store: DeploymentStore,
        *,
        seconds: float = 0.25,
        looked: Callable[[], None] | None = None,
    ) -> None:
        self.registry, self.store, self.seconds, self.looked = registry, store, seconds, looked
        self._reading, self._lock = threading.Lock(), threading.Lock()
        self._state = FleetState()
        self._bringing: dict[str, threading.Thread] = {}
        self._prepared: dict[tuple[str, str], Deployment] = {}  # by name and digest: loaded before they are to serve
        self._troubles: dict[str, Trouble] = {}
        self._adopted = False
        self._default: str | None = None  # the default model of this process
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> FleetState:
        """The state of the database when it was last read."""
        return self._state

    def trouble(self, name: str) -> Trouble | None:
        """Why a model is not what the database says; None if it is, or is being loaded for the first time."""
        return self._troubles.get(name)

    def start(self) -> None:
        """Take over what the registry serves already, bring it to what the database says, and keep it so.

        A database that is away is waited for; meanwhile the registry serves what it has.
        """
        try:
            self.adopt()
            self.settle(retry=False)
        except EventStoreError as error:
            logger.warning(json.dumps({"deployments": "not read", "error": str(error)}))
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="foldin-fleet", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; runs that are being loaded are waited for, but not for long."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        until = time.monotonic() + _PATIENCE
        for thread in list(self._bringing.values()):
            thread.join(max(0.0, until - time.monotonic()))

    def adopt(self) -> None:
        """Write rows for models that the registry serves and the database does not know; what it knows is not changed.

        Raises:
            EventStoreError: the database is not available.
        """
        self._read()
        empty, default = not self.state.rows, self.registry.default
        self._default = default
        for one in sorted(self.registry.all(), key=lambda one: one.name != default):  # the first becomes the default
            if one.name not in self.state.rows:
                run = RunRef(str(one.run.folder.resolve()), str(one.run.info["digest"]))
                with contextlib.suppress(OutdatedError):  # another process was quicker
                    self.store.deploy(one.name, run, key="command line", generation=0)
        if empty and self.registry.shares:
            self.store.split(self.registry.shares, key="command line")
        self._adopted = True

    def look(self) -> None:
        """Read the revision, and begin to bring this process to the state of the database if they differ.

        Raises:
            EventStoreError: the database is not available.
        """
        if not self._adopted:
            self.adopt()
        if self.store.revision() != self.state.revision:
            self._read()
        for name in self.state.rows:
            self._begin(name)
        self._direct()

    def settle(self, names: Iterable[str] | None = None, *, retry: bool = True, seconds: float = 600.0) -> None:
        """Read the state, and wait until the given models, or all, are what the database says or could not be loaded.

        Args:
            retry: whether a run that could not be loaded is tried again at once.
            seconds: maximum time to wait.

        Raises:
            EventStoreError: the database is not available.
        """
        self._read()
        chosen, until = list(self.state.rows if names is None else names), time.monotonic() + seconds
        for name in chosen:
            self._begin(name, at_once=retry)
        for name in chosen:
            while (left := until - time.monotonic()) > 0:
                thread = self._bringing.get(name)
                if thread is not None:
                    thread.join(left)
                elif not self._begin(name):
                    break
        self._direct()

    def holds(self, name: str, digest: str) -> bool:
        """Whether a run is in memory under a name, in service or as the one before."""
        kept = (self.registry.serving(name), self.registry.previous(name))
        return any(one is not None and str(one.run.info["digest"]) == digest for one in kept)

    def load(self, name: str, run: RunRef) -> Deployment:
        """A run, loaded, verified and warm, that is not in service yet.

        Raises:
            RunError: the run is missing, damaged, or another one by now.
            ConfigError: the model lacks a capability that its ranker needs.
        """
        new = self.registry.load(local_run(run.uri, digest=run.digest), name)
        found = str(new.run.info["digest"])
        if found != run.digest:
            new.batcher.close()
            raise RunError(f"{without_secrets(run.uri)}: holds the run {found[:12]} by now, not {run.digest[:12]}")
        return new

    def prepare(self, new: Deployment) -> None:
        """Keep a loaded run, so that it need not be loaded again when the database says that it is to serve."""
        with self._lock:
            replaced = self._prepared.pop(_place_of(new), None)
            self._prepared[_place_of(new)] = new
        if replaced is not None:
            replaced.batcher.close()

    def discard(self, new: Deployment) -> None:
        """Close a prepared run if it was not put into service."""
        with self._lock:
            unused = self._prepared.get(_place_of(new)) is new
            if unused:
                del self._prepared[_place_of(new)]
        if unused:
            new.batcher.close()

    def _read(self) -> None:
        with self._reading:  # of two threads that read, the one that reads later writes later
            self._state = self.store.state()

    def _direct(self) -> None:
        """Set the split and the default model; while a new default model is being loaded, the old one answers."""
        with self._lock:
            state = self.state
            if state.default is None or self.registry.serving(state.default) is not None:
                self._default = state.default
            elif self._default is None or self.registry.serving(self._default) is None:
                self._default = state.default  # neither can answer, and requests are told to try again
            self.registry.direct(self._default, state.shares, state.split)

    def _begin(self, name: str, *, at_once: bool = False) -> bool:
        """Begin to bring a model to what the database says, if it differs and an attempt is due; whether it began."""
        with self._lock:
            row = self.state.rows.get(name)
            if row is None or name in self._bringing:
                return False
            if self._serves(row):
                self._troubles.pop(name, None)
                return False
            if row.retired and name == self._default:
                return False  # it answers until the new default model is loaded
            trouble = self._troubles.get(name)
            if trouble is not None and trouble.holds_up(row.run.digest) and not at_once:
                return False
            thread = threading.Thread(target=self._bring, args=(name,), name=f"foldin-load-{name}", daemon=True)
            self._bringing[name] = thread
            thread.start()
            return True

    def _serves(self, row: DeploymentRow) -> bool:
        serving = self.registry.serving(row.name)
        if serving is None or row.retired:
            return serving is None and row.retired
        return str(serving.run.info["digest"]) == row.run.digest

    def _bring(self, name: str) -> None:
        """Bring one model to what the database says; once more if the database says something else by then."""
        failed: DeploymentRow | None = None
        while True:
            with self._lock:  # a row that is read later finds this thread gone, and begins another
                row = self.state.rows.get(name)
                if row is None or row == failed or self._serves(row):
                    del self._bringing[name]
                    return
            try:
                self._switch(row)
                failed = None
            except Exception as error:  # after any error the old run serves, and the other models are not affected
                self._note(row, error)
                failed = row

    def _switch(self, row: DeploymentRow) -> None:
        if row.retired:
            self.registry.withdraw(row.name)
            logger.info(json.dumps({"retired": row.name}))
            return
        with self._lock:
            new = self._prepared.pop((row.name, row.run.digest), None)
        before = self.registry.previous(row.name)
        if new is not None:
            self.registry.place(new)
        elif before is not None and str(before.run.info["digest"]) == row.run.digest:
            self.registry.roll_back(row.name)
        else:
            new = self.load(row.name, row.run)
            if self.state.rows.get(row.name) != row:  # loading takes its time: something else may be wanted by now
                new.batcher.close()
                return
            self.registry.place(new)
        self._troubles.pop(row.name, None)
        logger.info(json.dumps({"deployed": row.name, "run": row.run.digest[:12], "generation": row.generation}))

    def _note(self, row: DeploymentRow, error: Exception) -> None:
        """Remember why a model is not what the database says; after a start, the previous run serves in its place."""
        last = self._troubles.get(row.name)
        found = self._troubles[row.name] = Trouble.after(last, row.run.digest, error)
        if last is None or (last.digest, last.reason) != (found.digest, found.reason):
            logger.warning(json.dumps({"refused": row.name, "run": row.run.digest[:12], "error": found.reason}))
        if self.registry.serving(row.name) is None and row.previous is not None:
            try:
                self.registry.place(self.load(row.name, row.previous))
            except Exception as second:  # both runs are gone: the model is out of service until one is back
                logger.warning(json.dumps({"refused": row.name, "run": row.previous.digest[:12], "error": str(second)}))

    def _run(self) -> None:
        away = False
        while not self._stop.wait(self.seconds):
            try:
                self.look()
                away = False
                if self.looked is not None:
                    self.looked()
            except Exception as error:  # the database is away, or a bug: what is in service stays, and reading goes on
                if not away:
                    logger.warning(json.dumps({"deployments": "not read", "error": str(error)}))
                away = True


def _place_of(deployment: Deployment) -> tuple[str, str]:
    """The place of a prepared run: its name and digest."""
    return deployment.name, str(deployment.run.info["digest"])
