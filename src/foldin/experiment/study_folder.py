"""The folder of a study, which any number of processes share and in which any of them may be killed.

    study.json     what is searched, and on which data; a process that searches anything else is refused
    journal.log    the trials, in Optuna's format
    workers/       a locked file for each process that works on the study

A lock is released when its process ends, however that happens.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from foldin.errors import ConfigError, RunError
from foldin.files import write_json

__all__ = ["StudyFolder"]

ABOUT = "study.json"
_JOURNAL = "journal.log"


class StudyFolder:
    """The folder of a study, as one process uses it.

    Args:
        folder: folder of the study; it is created if it is missing.
        about: description of the search, as a JSON object.

    `worker` is the name of this process there, `alone` a lock under which no other process asks for a trial, and `new` says
    whether the study began with this process.

    Raises:
        ConfigError: the folder holds the study of another search.
        RunError: the folder holds other files, or a damaged study.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self._folder = folder = folder.resolve()
        if folder.is_dir() and any(folder.iterdir()) and not (folder / ABOUT).exists():
            raise RunError(f"{folder}: holds files that are not of a study; give another folder")
        (folder / "workers").mkdir(parents=True, exist_ok=True)
        self.worker = uuid.uuid4().hex
        self.alone = FileLock(folder / ".lock")
        self._last = FileLock(folder / ".last")
        with self.alone:
            self.new = _is_new(folder / ABOUT, about)
            self._held = FileLock(self._lock_of(self.worker))
            self._held.acquire()

    def storage(self) -> Any:
        """Optuna's storage of the trials in the folder."""
        from optuna.storages import JournalStorage, journal

        lock = _JournalLock(FileLock(self._folder / f"{_JOURNAL}.lock"))
        _cut(self._folder / _JOURNAL, lock)
        # Optuna asks for its own lock class; it calls no more than acquire and release, which this one has.
        backend: Any = journal.JournalFileBackend(str(self._folder / _JOURNAL), lock_obj=lock)  # type: ignore[arg-type]
        return JournalStorage(backend)

    def _lock_of(self, worker: str) -> Path:
        return self._folder / "workers" / f"{worker}.lock"

    def alive(self, worker: str | None) -> bool:
        """Whether a process still works on the study."""
        if worker == self.worker:
            return True
        if worker is None or not self._lock_of(worker).exists():
            return False
        try:
            with FileLock(self._lock_of(worker), timeout=0):
                self._lock_of(worker).unlink(missing_ok=True)
                return False
        except Timeout:
            return True

    @contextmanager
    def last(self) -> Iterator[bool]:
        """A context that gives whether no other process is inside of it."""
        try:
            self._last.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            self._last.release()

    def close(self) -> None:
        """End the work of this process."""
        self._held.release()
        self._lock_of(self.worker).unlink(missing_ok=True)


class _JournalLock:
    """A lock of the journal, for Optuna, that is released when its process ends."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()


def _is_new(path: Path, about: Mapping[str, Any]) -> bool:
    """Whether a study is new; a new one stores `about`, an existing one is compared with it."""
    if not path.exists():
        write_json(path, dict(about))
        return True
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error
    now = json.loads(json.dumps(dict(about)))
    if other := list(_differences(kept, now)):
        raise ConfigError(
            f"{path.parent}: holds the study of another search, whose {' and '.join(other)}; give another folder"
        )
    return False


def _differences(kept: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two JSON values, with the innermost names."""
    if isinstance(kept, dict) and isinstance(now, dict):
        for key in {**kept, **now}:
            yield from _differences(kept.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif kept != now:
        yield f"{name} is {json.dumps(kept)}, not {json.dumps(now)}"


def _cut(path: Path, lock: Any) -> None:
    """Remove an incomplete last line that a killed process has left."""
    if not path.exists():
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()
