"""Shards as an event log, whose arrays are mapped into memory: a page is read when it is first looked at."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.log.options import ReadOptions
from foldin.data.log.report import Note, ReadReport
from foldin.data.shards.manifest import ARRAY_NAMES, MANIFEST, read_manifest

__all__ = ["arrays_in", "is_shards", "open_shards"]


def is_shards(path: str | Path) -> bool:
    """Whether a path is a folder that `prepare` wrote."""
    return (Path(path) / MANIFEST).is_file()


def arrays_in(folder: Path) -> dict[str, Any]:
    """The arrays of `Histories` in a folder, mapped into memory; they can be written to, which changes no file."""
    paths = ((name, folder / f"{name}.npy") for name in ARRAY_NAMES)
    return {name: np.load(path, mmap_mode="c") for name, path in paths if path.exists()}


def open_shards(path: str | Path, *, verify: bool = False) -> EventLog:
    """The log of a folder that `prepare` wrote. Ids of users and items are in memory; events are mapped.

    What is written into the arrays changes neither the files nor the arrays of others.

    Args:
        verify: whether to compare the digests of all files first, which reads all of them.

    Raises:
        DataError: no shards, of another version, cut short, or (with `verify`) damaged.
    """
    manifest = read_manifest(Path(path))
    if verify:
        manifest.verify()
    content = manifest.content
    items = pl.read_parquet(manifest.folder / "items.parquet", glob=False)
    histories = Histories(**arrays_in(manifest.folder), n_items=items.height)
    notes = tuple(Note(**one) for one in content["report"].pop("notes"))
    return EventLog(
        histories=histories,
        users=pl.read_parquet(manifest.folder / "users.parquet", glob=False)["user"],
        items=items,
        report=ReadReport(**content["report"], notes=notes),
        kinds=tuple(content["kinds"]),
        reading=ReadOptions(**content["reading"]),
    )
