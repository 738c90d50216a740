"""A file of items → the items of the service, as if they were sent over HTTP.

An item that is stored already with the same values is left as it is, so that a file may be imported any number of times; what was
interrupted is continued by importing the file again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.items import open_items
from foldin.data.log.report import Note
from foldin.data.log.store import connect, unusable
from foldin.errors import ConfigError
from foldin.serve.limits import bounded
from foldin.serve.schemas import ItemIn
from foldin.serve.storage.event_store import EventStore
from foldin.serve.storage.importing import Refusal
from foldin.serve.storage.items import ItemChange, ItemRow, ItemsState, ItemStore

__all__ = ["ImportedItems", "import_items"]

Progress = Callable[[int, int], None]
_FIELDS = ("item", "title", "is_active")


@dataclass(frozen=True, kw_only=True)
class ImportedItems:
    """The result of an import of items.

    Args:
        rows: number of rows of the file.
        new: number of items that were not stored before.
        changed: number of stored items with another title, other features, or active instead of retired, or the reverse.
        unchanged: number of items that were stored already as the file has them.
        refused: rows that the service would refuse, by reason, the most frequent first.
        notes: how the file was read.
    """

    rows: int
    new: int
    changed: int
    unchanged: int
    refused: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()


def import_items(
    path: str | Path,
    url: str,
    *,
    item: str | None = None,
    chunk_rows: int = 1_000,
    progress: Progress = lambda _done, _total: None,
) -> ImportedItems:
    """Store the items of a file: their titles, their features, and whether they may be listed (`is_active`).

    What a row has no value of stays as it is stored, but features replace all that were stored of the item, if the file has any.
    The values of Parquet and JSON are stored in their types; text of other files is typed as `read_items` does. Of several rows
    of an item, the first is used. Services that run on the database show the items within a second.

    Args:
        path: any file of items that `read_log(items=…)` reads.
        url: `sqlite:///FILE` or `postgresql://…`; the database is made or migrated if necessary.
        item: name of the column of item ids, if it is unusual.
        chunk_rows: items that are stored in one transaction.
        progress: called with the number of rows that are done, and of all.

    Raises:
        DataError, ColumnError: the file cannot be read.
        EventStoreError: the database is not available or full; what was stored before stays stored.
    """
    table, notes = open_items(Path(path), item=item, as_stored=True)
    engine = connect(url)
    new = changed = unchanged = 0
    refusals: dict[str, tuple[int, int]] = {}
    try:
        EventStore(engine)  # makes or migrates the tables
        store = ItemStore(engine)
        before = dict(store.since(ItemsState()).rows)
        met: set[str] = set()
        progress(0, table.height)
        for at in range(0, table.height, chunk_rows):
            rows = table.slice(at, chunk_rows).rows(named=True)
            differing = []
            for change in _changes(rows, at, met, refusals):
                known = before.get(change.item)
                if known is None:
                    new += 1
                elif _same(known, change):
                    unchanged += 1
                    continue
                else:
                    changed += 1
                differing.append(change)
            if differing:
                store.put(differing)
            progress(at + len(rows), table.height)
    except SQLAlchemyError as error:
        raise unusable(error) from error
    finally:
        engine.dispose()
    refused = [Refusal(why, count, row) for why, (count, row) in refusals.items()]
    refused.sort(key=lambda one: (-one.count, one.row))
    return ImportedItems(
        rows=table.height, new=new, changed=changed, unchanged=unchanged, refused=tuple(refused), notes=tuple(notes)
    )


def _changes(
    rows: Sequence[Mapping[str, Any]], first: int, met: set[str], refusals: dict[str, tuple[int, int]]
) -> list[ItemChange]:
    """The changes of some rows, each item once; rows that the service would refuse are counted by reason.

    Args:
        first: number of rows before these.
        met: items of earlier rows, to which these are added.
        refusals: (number, first row) by reason.
    """
    found: list[ItemChange] = []
    for at, row in enumerate(rows, first + 1):
        try:
            change = _change(row)
            if change.item in met:
                raise ConfigError("repeat an item")
        except ConfigError as error:
            count, earliest = refusals.get(str(error), (0, at))
            refusals[str(error)] = count + 1, earliest
            continue
        met.add(change.item)
        found.append(change)
    return found


def _change(row: Mapping[str, Any]) -> ItemChange:
    """The change that a row stands for.

    Raises:
        ConfigError: the service would refuse it.
    """
    values = {name: _plain(value) for name, value in row.items() if name not in _FIELDS}
    features = {name: value for name, value in values.items() if value is not None} if values else None
    try:
        item = ItemIn(
            item=row["item"], title=row.get("title") or None, is_active=row.get("is_active"), features=features
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(one) for one in first["loc"][:2])
        raise ConfigError(f"{where}: {first['msg']}") from None
    try:
        bounded(item.item, "item")
    except ConfigError:
        raise ConfigError("item: an id is too long") from None
    return ItemChange(**item.model_dump())


def _plain(value: Any) -> Any:
    """A value of a table as a value of JSON; None without one."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, list):
        return [one for one in map(_plain, value) if one is not None]
    return value.isoformat() if isinstance(value, date) else str(value)


def _same(row: ItemRow, change: ItemChange) -> bool:
    """Whether a change changes nothing of an item."""
    kept = (
        (change.title, row.title),
        (change.is_active, row.is_active),
        (change.features, dict(row.features)),
    )
    return all(new is None or new == old for new, old in kept)
