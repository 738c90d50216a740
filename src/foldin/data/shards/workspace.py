"""The folder of an unfinished preparation: each part of it is there whole or not at all."""

import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from foldin.errors import DataError
from foldin.files import held, sync, write_json

__all__ = ["Workspace", "in_order"]

T = TypeVar("T")
_PART = r"(?:source|shards|(?:chunk|partition)-\d+)"
_OWN = re.compile(rf"{_PART}(?:\.unfinished)?|(?:{_PART}|begun|blocks)\.json|\.(?:begun|blocks)\.json\.\w+")
_STATE = "blocks.json"


class Workspace:
    """The folder `OUT.partial` beside a folder OUT that is being made.

    Args:
        target: the folder that is being made.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.folder = target, target.with_name(f"{target.name}.partial")
        self._seen: set[str] = set()  # parts that were made, or found to be whole

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A context in which no other process and no other thread makes the same folder.

        Raises:
            DataError: another one does.
        """
        made = [one for one in self.folder.parents if not one.exists()]
        with ExitStack() as stack:
            while True:
                self.folder.mkdir(parents=True, exist_ok=True)
                with suppress(FileNotFoundError):  # removed since then by the process that had it
                    own = stack.enter_context(held(self.folder))
                    break
            if not own:
                raise DataError(f"{self.target}: another process is preparing it; wait for it, or name another folder")
            try:
                yield
            finally:  # while nobody else can have begun in it
                for one in (self.folder, *made):
                    with suppress(OSError):  # it is not there, or is not empty
                        one.rmdir()

    def begin(self, about: Mapping[str, Any]) -> None:
        """Begin, or go on with what is there.

        Raises:
            DataError: what is there was begun from another file or with other options.
        """
        path, wanted = self.folder / "begun.json", json.loads(json.dumps(about))
        self.tidy()
        if not path.exists():
            self._clear()
            write_json(path, wanted)
            return
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != wanted:
            names = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
            raise DataError(
                f"{self.folder}: begun with another {names[0]}; remove this folder to start again, or name another one"
            )

    def tidy(self) -> None:
        """Remove what is left of a preparation whose shards were moved to where they belong, if that is so."""
        if (self.folder / _STATE).exists() and not (self.folder / "shards").exists():
            self._clear()

    def _clear(self) -> None:
        """Remove what a preparation left that ended while it cleaned up.

        Raises:
            DataError: the folder holds something else.
        """
        names = [one.name for one in self.folder.iterdir()] if self.folder.exists() else []
        if others := [name for name in names if not _OWN.fullmatch(name)]:
            raise DataError(f"{self.folder}: holds {others[0]!r}, which no preparation wrote; name another folder")
        self._remove()

    def _remove(self) -> None:
        (self.folder / "begun.json").unlink(missing_ok=True)  # first: a part of the rest is not to be gone on with
        found = list(self.folder.iterdir()) if self.folder.exists() else []
        # The state is the last: by it, a later call knows what is left here.
        for one in sorted(found, key=lambda one: (one.name == _STATE, one.is_file())):
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                with suppress(OSError):
                    one.unlink()

    def part(self, name: str, write: Callable[[Path], None]) -> Path:
        """A folder that `write` fills, unless it is there already, whole.

        A file that the machine had not yet written to the disk when it stopped is known by its digest.
        """
        path, digests = self.folder / name, self.folder / f"{name}.json"
        if path.exists() and name not in self._seen and not _whole(path, digests):
            # What was made of the events of a store is not mixed with those that it has now.
            for one in [path] if name != "source" else self.folder.iterdir():
                if one.is_dir():
                    shutil.rmtree(one)
                elif one.name == _STATE:
                    one.unlink()
        self._seen.add(name)
        if not path.exists():
            unfinished = self.folder / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            write(unfinished)
            digests.write_text(json.dumps(_digests(unfinished)), encoding="utf-8")
            unfinished.rename(path)
        return path

    def finish(self, name: str) -> None:
        """Put a part in the place of the folder that is being made, and remove everything else."""
        for one in [*(self.folder / name).iterdir(), self.folder / name]:
            sync(one)
        (self.folder / name).rename(self.target)
        sync(self.target.parent)
        self._remove()


def _digests(folder: Path) -> dict[str, int]:
    """CRC-32 of each file of a folder, and of those in its folders."""
    paths = sorted(one for one in folder.rglob("*") if one.is_file())
    return {str(one.relative_to(folder)): _crc(one) for one in paths}


def _crc(path: Path) -> int:
    found = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found = zlib.crc32(block, found)
    return found


def _whole(folder: Path, digests: Path) -> bool:
    """Whether the files of a part are those that were written."""
    try:
        wanted = json.loads(digests.read_text(encoding="utf-8"))
        return all(_crc(folder / name) == digest for name, digest in wanted.items())
    except (OSError, ValueError):
        return False


def in_order(tasks: int, work: Callable[[int], T], workers: int) -> Iterator[T]:
    """`work(0)`, `work(1)`, … by several threads, in order, with few results waiting at a time."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[T]] = []
        try:
            for at in range(tasks):
                waiting.append(pool.submit(work, at))
                if len(waiting) > workers:
                    yield waiting.pop(0).result()
            while waiting:
                yield waiting.pop(0).result()
        finally:
            for one in waiting:
                one.cancel()
