"""What a folder holds: a finished run whose files are as they were written, a part of one, or files of others."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foldin.errors import RunError
from foldin.files import FORMAT_VERSION, written_by_foldin
from foldin.runs.pointer import holds_generations, read_pointer
from foldin.training import CHECKPOINT

__all__ = ["check_target", "digest_of", "file_digest", "is_finished", "read_info"]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content of a `run.json`, without the digest that it has of itself, in hexadecimal."""
    return hashlib.sha256(json.dumps({**content, "digest": ""}, sort_keys=True).encode()).hexdigest()


def check_target(folder: Path) -> None:
    """Raise an error unless a run may be written there: the folder is new or empty, or holds a run, finished or not.

    Raises:
        RunError: `folder` is a file, has files in it but no run, or holds generations; nothing is changed.
    """
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise RunError(f"{folder}: is a file; a run is a folder")
        inside = next((one for one in folder.parents if one.exists()), None)
        if inside is not None and not inside.is_dir():
            raise RunError(f"{folder}: {inside} is a file, and nothing can be written into it")
        return
    if read_pointer(folder) is not None:
        raise RunError(
            f"{folder}: holds generations of a run, to which `foldin fit --all --replace` adds; give another folder"
        )
    names = sorted(one.name for one in folder.iterdir())
    if names and not _is_own(folder):
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise RunError(
            f"{folder}: holds files that foldin did not write ({', '.join(names[:3])}{more}); give a new or an empty folder"
        )


def is_finished(folder: Path) -> bool:
    """Whether the folder has a `run.json` that foldin wrote, whatever state the rest is in."""
    try:
        info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(info, dict) and {"format_version", "model", "files", "digest"} <= info.keys()


def _is_own(folder: Path) -> bool:
    """Whether the folder holds a run, finished or not, or a part of one, recognized by what only foldin writes."""
    parts = (CHECKPOINT, "model.safetensors")
    return is_finished(folder) or holds_generations(folder) or any(written_by_foldin(folder / one) for one in parts)


def read_info(folder: Path) -> dict[str, Any]:
    """The content of the `run.json` of a run directory, after a check of every file against its digest.

    Raises:
        RunError: the run is missing, unfinished, damaged, or of another version; the message gives the file and the reason.
    """
    path = folder / "run.json"
    if not folder.is_dir():
        raise RunError(f"{folder}: no such run directory")
    if not path.is_file():
        unfinished = (folder / CHECKPOINT).is_file()
        hint = "training has not finished; continue it with --resume" if unfinished else "no run.json in it"
        raise RunError(f"{folder}: not a finished run: {hint}")
    try:
        info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version, digest, files = info["format_version"], info["digest"], info["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    if version != FORMAT_VERSION:
        raise RunError(
            f"{path}: written in format version {version}, this foldin reads version {FORMAT_VERSION}: "
            "train it again into a new folder"
        )
    if digest_of(info) != digest:
        raise RunError(f"{path}: damaged: its content does not match its digest")
    for name, expected in files.items():
        if not (folder / name).is_file():
            raise RunError(f"{folder / name}: missing from the run")
        if file_digest(folder / name) != expected:
            raise RunError(f"{folder / name}: damaged: its content does not match the digest in run.json")
    return info
