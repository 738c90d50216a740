"""Generations of a run: run directories side by side that are never changed, and a pointer to the current one.

A folder of generations is used as a run directory is: `load_run`, the command line and the service take its current generation.
A new generation is written and verified beside the others before the pointer moves, so that a reader finds the old run or the new
one at any time, and a damaged generation stops no other. A plain run directory becomes generation 1 when a second run is added.
"""

import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foldin.errors import RunError
from foldin.runs.contents import check_target, is_finished, read_info
from foldin.runs.pointer import GENERATIONS, Pointer, digest_in, folder_of, read_pointer, write_pointer
from foldin.runs.stored_index import INDEX_FILES

__all__ = ["Generation", "add_generation", "generations", "roll_back"]


@dataclass(frozen=True)
class Generation:
    """A generation of a run.

    Args:
        number: counted from 1.
        folder: its run directory.
        current: whether the folder of generations stands for it.
        finished: whether it was written to the end; its files may still be damaged.
    """

    number: int
    folder: Path
    current: bool
    finished: bool


def generations(folder: str | Path) -> list[Generation]:
    """All generations in a folder, oldest first; none for a plain run directory.

    Raises:
        RunError: no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run directory")
    pointer = read_pointer(folder)
    found = []
    for number in _numbers(folder):
        own = folder_of(folder, number)
        current = pointer is not None and pointer.generation == number
        found.append(Generation(number, own, current, is_finished(own)))
    return found


def add_generation(
    folder: str | Path,
    write: Callable[[Path], object],
    *,
    instead_of: str | None = None,
    keep: int | None = None,
    in_use: Callable[[], Collection[str]] | None = None,
) -> Generation:
    """Write a run as the next generation of a folder, verify it, and make it the current one.

    Args:
        folder: a folder of generations, a plain run directory, which becomes generation 1, or a new or empty folder.
        write: function that writes a run directory into a given folder, such as the method `save` of a trained model.
        instead_of: digest of the run that was current when the decision to replace it was made; None for any or none.
        keep: number of generations to keep, the newest ones; the current one and the one before it are always kept. None for all.
        in_use: returns digests or folders of runs that are kept besides, such as those that a service names. It is called when
            the run is written and verified; if it raises an error, nothing is replaced.

    Raises:
        RunError: the folder holds something other than runs, the run in it is damaged, the new run is, or another run than
            `instead_of` has become current meanwhile. The current generation is then as before.
    """
    folder = Path(folder)
    if read_pointer(folder) is None:
        check_target(folder)
        if is_finished(folder):
            _adopt(folder)
    number, own = _claimed(folder)
    try:
        write(own)
        info = read_info(own)
        now = read_pointer(folder)
        if instead_of is not None and (now is None or now.digest != instead_of):
            raise RunError(f"{folder}: another run has become current meanwhile; it stays, and nothing was replaced")
        used = () if in_use is None else in_use()
    except BaseException:
        shutil.rmtree(own, ignore_errors=True)
        raise
    write_pointer(folder, _pointer_to(number, info))
    if keep is not None:
        _prune(folder, keep, used)
    return Generation(number, own, current=True, finished=True)


def roll_back(folder: str | Path, to: int | None = None) -> Generation:
    """Make an earlier generation the current one; nothing is deleted.

    Args:
        to: number of the generation; None for the newest one before the current one that is intact.

    Raises:
        RunError: the folder holds no generations, or no such generation that is intact.
    """
    folder = Path(folder)
    pointer, numbers = read_pointer(folder), _numbers(folder)
    if not numbers or (pointer is None and is_finished(folder)):
        raise RunError(f"{folder}: holds no generations of a run, so that there is none to go back to")
    # Without a pointer that can be read, every generation is an earlier one.
    earlier = [number for number in numbers if pointer is None or number < pointer.generation]
    reasons = []
    for number in reversed(earlier) if to is None else [to]:
        own = folder_of(folder, number)
        try:
            info = read_info(own)
        except (RunError, OSError) as error:
            reasons.append(str(error))
            continue
        write_pointer(folder, _pointer_to(number, info))
        return Generation(number, own, current=True, finished=True)
    what = "no earlier generation" if to is None else f"generation {to}"
    raise RunError(f"{folder}: {what} can be restored: {'; '.join(reasons) or 'there is none'}")


def _numbers(folder: Path) -> list[int]:
    """Numbers of the generations in a folder, in ascending order."""
    inside = folder / GENERATIONS
    if not inside.is_dir():
        return []
    return sorted(int(one.name) for one in inside.iterdir() if one.name.isascii() and one.name.isdigit())


def _pointer_to(number: int, info: dict[str, Any]) -> Pointer:
    return Pointer(number, str(info["digest"]), str(info["model"]))


def _claimed(folder: Path) -> tuple[int, Path]:
    """(number, folder) of a new generation that no other process writes."""
    pointer = read_pointer(folder)  # whose generation may have been deleted by hand
    number = max([*_numbers(folder), 0 if pointer is None else pointer.generation]) + 1
    while True:
        own = folder_of(folder, number)
        try:
            own.mkdir(parents=True)
            return number, own
        except FileExistsError:
            number += 1


def _adopt(folder: Path) -> None:
    """Make a plain run directory the first generation of the same folder, which stands for the same run at any time.

    The files are copied first. A reader that has read the plain `run.json` and then misses a file reads the pointer instead.
    """
    info = read_info(folder)
    number, own = _claimed(folder)
    stored = [name for name in INDEX_FILES if (folder / name).is_file()]
    for name in (*info["files"], *stored, "run.json"):
        shutil.copy2(folder / name, own / name)
    write_pointer(folder, _pointer_to(number, read_info(own)))
    for name in (*info["files"], *stored):
        with suppress(OSError):  # what a reader still has open on Windows stays, and harms nothing
            (folder / name).unlink()


def _prune(folder: Path, keep: int, used: Collection[str]) -> None:
    """Delete old generations, except the newest `keep`, the current one, the finished one before it, and those in use."""
    every = generations(folder)
    current = next(one.number for one in every if one.current)
    finished = [one.number for one in every if one.finished]
    before = [number for number in finished if number < current]
    # One above the current one that is not finished may be in the hands of another process.
    kept = {*finished[max(0, len(finished) - keep) :], *before[-1:], *(n.number for n in every if n.number >= current)}
    for one in every:
        if one.number not in kept and not {digest_in(one.folder), str(one.folder.resolve())}.intersection(used):
            (one.folder / "run.json").unlink(missing_ok=True)  # first: what is half deleted is no run
            shutil.rmtree(one.folder, ignore_errors=True)
