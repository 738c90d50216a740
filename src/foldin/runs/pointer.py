"""The pointer of a folder of generations: its `run.json`, which names the run directory that is current.

    RUN/run.json              generation and digest of the current run; replaced at once
    RUN/generations/0007/     a run directory; never changed

A file is the pointer, not a symbolic link: links need rights on Windows and do not exist in object stores, where writing one
object is the only step that readers see at once. It has the name of a plain run's `run.json` and a digest as that has, so that
whoever watches that file for a new digest, as the service does, notices a new generation too.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from foldin.files import FORMAT_VERSION, write_json

__all__ = ["GENERATIONS", "Pointer", "digest_in", "folder_of", "holds_generations", "read_pointer", "write_pointer"]

GENERATIONS = "generations"
_TRIES, _PAUSE = 20, 0.05  # Windows refuses to replace a file while another process reads it


@dataclass(frozen=True)
class Pointer:
    """The current generation of a folder.

    Args:
        generation: its number, counted from 1.
        digest: digest of that run, as in its `run.json`.
        model: name of its model.
    """

    generation: int
    digest: str
    model: str


def folder_of(folder: Path, generation: int) -> Path:
    """The run directory of a generation."""
    return folder / GENERATIONS / f"{generation:04d}"


def read_pointer(folder: Path) -> Pointer | None:
    """The pointer of a folder; None if it holds no generations, or nothing that can be read."""
    try:
        found = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        return Pointer(int(found["generation"]), str(found["digest"]), str(found["model"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_in(folder: Path) -> str | None:
    """Digest of the run in a folder, or of the current one of its generations; None while it is being written."""
    try:
        return str(json.loads((folder / "run.json").read_text("utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def holds_generations(folder: Path) -> bool:
    """Whether a folder has a subfolder of generations, whether or not a pointer to one was written."""
    inside = folder / GENERATIONS
    return inside.is_dir() and all(one.is_dir() and one.name.isdigit() for one in inside.iterdir())


def write_pointer(folder: Path, pointer: Pointer) -> None:
    """Make a generation the current one. Readers see the old pointer or the new one.

    Raises:
        OSError: the folder cannot be written to.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "model": pointer.model,
        "generation": pointer.generation,
        "files": {},
        "digest": pointer.digest,
    }
    for left in reversed(range(_TRIES)):
        try:
            write_json(folder / "run.json", content)
            return
        except PermissionError:
            if not left:
                raise
            time.sleep(_PAUSE)
