"""Items that were sent to the service → a file, in the memory of one batch."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.export import SUFFIXES
from foldin.data.log.store import connect, snapshot, unusable
from foldin.data.log.stored_items import StoredItems
from foldin.errors import ConfigError
from foldin.files import write_atomically

__all__ = ["export_items"]

Progress = Callable[[int, int], None]


def export_items(url: str, target: Path, *, progress: Progress = lambda _done, _total: None) -> int:
    """Write the items that were sent to a service to a file at once, in the order of their ids; returns their number.

    The columns are `item`, `title`, `is_active` and the features by name, in the narrowest type that holds all values. What was
    never sent of an item has no value, `is_active` as well: the item is active unless a model's catalog says otherwise. In a
    `.csv` file, several values of an item have "|" between them, and types are not kept: "007" is read as a number again.

    Args:
        url: `sqlite:///FILE` or `postgresql://…`, as of `foldin serve --events`.
        target: file ending in `.parquet`, `.csv`, `.jsonl` or `.ndjson`; an existing one is replaced when the new one is whole.
        progress: called with the number of items that are written, and of all.

    Raises:
        ConfigError: another suffix, or another kind of URL.
        DataError: there is no such file to read.
        EventStoreError: the database cannot be reached.
        MissingExtraError: the driver of PostgreSQL is not installed.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{target}: a file name ending in {' or '.join(SUFFIXES)} was expected")
    write = _write_parquet if suffix == ".parquet" else _write_csv if suffix == ".csv" else _write_json
    engine, number = connect(url, reading=True), 0

    def written(part: Path) -> None:
        nonlocal number
        with snapshot(engine) as connection:
            stored = StoredItems.of(connection)
            write(part, _watched(stored, progress))
            number = stored.number

    try:
        write_atomically(target, written)
    except SQLAlchemyError as error:
        raise unusable(error) from error
    finally:
        engine.dispose()
    return number


def _watched(stored: StoredItems, progress: Progress) -> Iterator[pl.DataFrame]:
    done = 0
    progress(done, stored.number)
    for table in stored.batches():
        yield table
        done += table.height
        progress(done, stored.number)


def _write_parquet(part: Path, tables: Iterator[pl.DataFrame]) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{part.name}.", dir=part.parent) as name:
        for at, table in enumerate(tables):
            table.write_parquet(Path(name) / f"part-{at:08}.parquet")
        pl.scan_parquet(sorted(Path(name).glob("*.parquet")), glob=False).sink_parquet(part)


def _write_csv(part: Path, tables: Iterator[pl.DataFrame]) -> None:
    with part.open("wb") as file:
        for at, table in enumerate(tables):
            lists = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.List)]
            flat = table.with_columns(pl.col(name).cast(pl.List(pl.String)).list.join("|") for name in lists)
            flat.write_csv(file, include_header=at == 0)


def _write_json(part: Path, tables: Iterator[pl.DataFrame]) -> None:
    with part.open("wb") as file:
        for table in tables:
            table.write_ndjson(file)
