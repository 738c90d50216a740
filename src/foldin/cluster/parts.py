"""Parts of a large table of users: one file of lists for each file of events, written at once, and recognized when it is there.

A file of lists says in its metadata which lists it has, of which part and how many. A scoring that was killed therefore goes on
where it ended, and lists of another request are never mixed in.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from foldin.data import ReadOptions, users_of_file
from foldin.errors import ConfigError, DataError, RunError
from foldin.files import write_atomically

__all__ = ["Part", "check_users", "is_finished", "parts_of", "summary_of", "tidy", "write_part"]

_KEY = "foldin_lists"  # of the metadata of a file


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file of events and the file of its users' lists.

    Args:
        source: file of events.
        target: file of lists.
        size: bytes of the file of events.
        modified: time of its last change, in nanoseconds.
    """

    source: Path
    target: Path
    size: int
    modified: int

    def __str__(self) -> str:
        return str(self.source)

    def state(self) -> dict[str, int]:
        """What changes when the file of events does."""
        return {"size": self.size, "modified": self.modified}


def parts_of(source: Path, target: Path) -> list[Part]:
    """The parts in a folder, in the order of their names; names that begin with a dot or an underscore are no parts.

    Args:
        source: folder of files of events.
        target: folder of the lists.

    Raises:
        ConfigError: `source` is no folder, has no file, or two that differ only in their ending; or the folders are the same.
        RunError: `target` is a file, or holds other files than lists of these parts.
    """
    if not source.is_dir():
        raise ConfigError(
            f"{source}: a folder of files of events was expected, each of which has all events of its users"
        )
    files = sorted(one for one in source.iterdir() if one.is_file() and one.name[0] not in "._")
    if not files:
        raise ConfigError(f"{source}: the folder has no file of events")
    if target.resolve() == source.resolve():
        raise ConfigError(f"{target}: is the folder of events; give another one for the lists")
    found: dict[Path, Part] = {}
    for one in files:
        path, stat = target / f"{one.name.split('.')[0]}.parquet", one.stat()
        if path in found:
            raise ConfigError(
                f"{source}: {found[path].source.name} and {one.name} would both be written to {path.name}"
            )
        found[path] = Part(source=one, target=path, size=stat.st_size, modified=stat.st_mtime_ns)
    if target.exists() and not target.is_dir():
        raise RunError(f"{target}: is a file; a folder for the lists was expected")
    others = [one for one in (target.iterdir() if target.exists() else ()) if one.name[0] != "." and one not in found]
    if others:
        raise RunError(f"{others[0]}: is no list of a part of {source}; give another folder, or remove it")
    return list(found.values())


def check_users(parts: Sequence[Part], reading: ReadOptions) -> None:
    """Check that all events of a user are in one part, since a user would otherwise have several lists.

    Raises:
        DataError: they are not, or a part cannot be read.
    """
    frames = [
        pl.DataFrame({"user": users_of_file(part.source, reading)}).with_columns(part=at)
        for at, part in enumerate(parts)
    ]
    twice = pl.concat(frames).group_by("user").agg(pl.col("part").sort()).filter(pl.col("part").list.len() > 1)
    if twice.height:
        first = twice.sort("user").row(0, named=True)
        one, other = (parts[at].source.name for at in first["part"][:2])
        raise DataError(
            f"{parts[0].source.parent}: {twice.height:,} users are in several parts, the first is {first['user']!r} in {one} and "
            f"{other}; put all events of a user into one part"
        )


def write_part(part: Part, lists: pl.DataFrame, about: Mapping[str, Any], counts: Mapping[str, Any]) -> None:
    """Write the lists of a part at once.

    Args:
        about: what the lists depend on besides the part, as JSON.
        counts: numbers about the part, as JSON.
    """
    text = json.dumps({"about": about, "part": part.state(), "counts": counts}, allow_nan=False)
    write_atomically(part.target, lambda path: lists.write_parquet(path, metadata={_KEY: text}))


def _kept(path: Path) -> dict[str, Any]:
    """What a file of lists says of itself.

    Raises:
        RunError: it is none.
    """
    try:
        found: dict[str, Any] = json.loads(pl.read_parquet_metadata(path)[_KEY])
    except (KeyError, ValueError, OSError, pl.exceptions.PolarsError):
        raise RunError(f"{path}: was not written by this command; give another folder, or remove it") from None
    return found


def is_finished(part: Part, about: Mapping[str, Any]) -> bool:
    """Whether a part has its lists; not if its events have changed since.

    Raises:
        RunError: its file was not written by this command, or has the lists of another request.
    """
    if not part.target.exists():
        return False
    kept = _kept(part.target)
    now = json.loads(json.dumps(dict(about)))
    other = [name for name in {**kept["about"], **now} if kept["about"].get(name) != now.get(name)]
    if other:
        name = other[0]
        raise RunError(
            f"{part.target}: has the lists of another request, whose {name} is {json.dumps(kept['about'].get(name))}, not "
            f"{json.dumps(now.get(name))}; give another folder"
        )
    return bool(kept["part"] == part.state())


def summary_of(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """The numbers about each part, from its file of lists.

    Raises:
        RunError: a file is missing or was not written by `write_part`.
    """
    return [_kept(part.target)["counts"] for part in parts]


def tidy(parts: Iterable[Part]) -> None:
    """Remove what killed workers have left of files that were not finished."""
    for part in parts:
        for rest in part.target.parent.glob(f".{part.target.name}.*"):
            rest.unlink(missing_ok=True)
