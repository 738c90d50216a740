"""Events of a store → a file, or a folder of Parquet parts, in the memory of one batch.

A Parquet file records the roles of its columns, so that it is read as the store itself is.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from foldin.data.log.columns import Columns
from foldin.data.log.parquet import record
from foldin.data.log.store import Stored, open_store
from foldin.data.log.stored_items import stored_items
from foldin.errors import ConfigError
from foldin.files import write_atomically, write_json

__all__ = ["SUFFIXES", "Exported", "export_events", "exported_parts", "items_in", "parts_in", "write_parts"]

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson")
_ABOUT = "about.json"
_ITEMS = "items.arrow"
_HEADER = b"user,item,time,kind,value,list_id\n"
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The events that were taken from a store.

    Args:
        url: URL of exactly these events, without passwords.
        database: `sqlite` or `postgresql`.
        events: number of events.
        arrived: when the last event arrived, in seconds since 1970; None if there is none.
        columns: the columns by role.
    """

    url: str
    database: str
    events: int
    arrived: int | None
    columns: Columns


def _unwatched(_done: int, _total: int) -> None:
    """Progress that nobody follows."""


def write_parts(
    url: str, folder: Path, *, since: int | None = None, progress: Progress = _unwatched, lists: bool = False
) -> Exported:
    """Write the events of a store to a folder, as Parquet parts, and the items that were sent to the service beside them.

    Args:
        since: only events that arrived at this time or later, in seconds since 1970.
        progress: called with the number of events that are written, and of all.
        lists: whether to write the lists that events name too.

    Raises:
        ConfigError, DataError, EventStoreError, MissingExtraError: as `open_store`.
    """
    with open_store(url, since=since) as stored:
        for at, table in enumerate(_batches(stored, progress, lists=lists)):
            table.write_parquet(folder / f"part-{at:08}.parquet", metadata=record(stored.columns))
        items = stored_items(stored.connection)
        if items is not None:
            items.write_ipc(folder / _ITEMS)
        found = _exported(stored)
    write_json(folder / _ABOUT, asdict(found))
    return found


def parts_in(folder: Path) -> Exported:
    """What is in a folder that `write_parts` wrote."""
    about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    return Exported(**{**about, "columns": Columns(**about["columns"])})


def items_in(folder: Path) -> pl.DataFrame | None:
    """The items that were sent to the service, in a folder that `write_parts` wrote; None if there are none."""
    file = folder / _ITEMS
    return pl.read_ipc(file.read_bytes()) if file.exists() else None


@contextmanager
def exported_parts(url: str) -> Iterator[tuple[Path, Exported]]:
    """(a temporary folder of Parquet parts, what is in it) with the events of a store.

    Raises:
        ConfigError, DataError, EventStoreError, MissingExtraError: as `open_store`.
    """
    with tempfile.TemporaryDirectory(prefix="foldin-") as folder:
        yield Path(folder), write_parts(url, Path(folder))


def export_events(url: str, target: Path, *, since: int | None = None, progress: Progress = _unwatched) -> Exported:
    """Write the events of a store to a file at once, in the order of arrival.

    The columns are `user`, `item`, `time`, `kind`, `value` and `list_id`, the list that an event names.

    Args:
        target: file ending in one of `SUFFIXES`; an existing one is replaced when the new one is whole.
        since, progress: as in `write_parts`.

    Raises:
        ConfigError: another suffix; or as `open_store`.
        DataError, EventStoreError, MissingExtraError: as `open_store`.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{target}: a file name ending in {' or '.join(SUFFIXES)} was expected")
    written = _write_parquet if suffix == ".parquet" else _write_csv if suffix == ".csv" else _write_json
    found: list[Exported] = []
    write_atomically(target, lambda part: found.append(written(url, part, since, progress)))
    return found[0]


def _write_parquet(url: str, part: Path, since: int | None, progress: Progress) -> Exported:
    with tempfile.TemporaryDirectory(prefix=f"{part.name}.", dir=part.parent) as name:
        folder = Path(name)
        found = write_parts(url, folder, since=since, progress=progress, lists=True)
        pl.scan_parquet(sorted(folder.glob("*.parquet")), glob=False).sink_parquet(part, metadata=record(found.columns))
    return found


def _write_csv(url: str, part: Path, since: int | None, progress: Progress) -> Exported:
    with open_store(url, since=since) as stored, part.open("wb") as file:
        file.write(_HEADER)
        for table in _batches(stored, progress, lists=True):
            table.with_columns(_iso()).write_csv(file, include_header=False)
        return _exported(stored)


def _write_json(url: str, part: Path, since: int | None, progress: Progress) -> Exported:
    with open_store(url, since=since) as stored, part.open("wb") as file:
        for table in _batches(stored, progress, lists=True):
            # Text, as the service takes it.
            table.with_columns(_iso(), pl.col("kind").fill_null("")).write_ndjson(file)
        return _exported(stored)


def _iso() -> pl.Expr:
    return pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _batches(stored: Stored, progress: Progress, *, lists: bool = False) -> Iterator[pl.DataFrame]:
    """The batches of a store, at least one, with progress."""
    done = 0
    progress(done, stored.events)
    for table in stored.batches(lists=lists):
        yield table
        done += table.height
        progress(done, stored.events)
    if not done:
        yield stored.table([], lists=lists)


def _exported(stored: Stored) -> Exported:
    return Exported(
        url=stored.url,
        database=stored.database,
        events=stored.events,
        arrived=stored.arrived,
        columns=stored.columns,
    )
