"""Items that were sent to the service, in the database: what all processes know of them beside the models' catalogs.

A change is one transaction. It takes the next revision, which other writers wait for, so that revisions are visible in their
order, and a process that has read a revision finds all later changes by theirs.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.store import unusable
from foldin.serve.storage.item_tables import item_revision, items
from foldin.serve.storage.retirements import note_retired

__all__ = ["ItemChange", "ItemRow", "ItemStore", "ItemsState"]

_ROWS = 140  # rows of an insert: SQLite may limit variables to 999


@dataclass(frozen=True, kw_only=True)
class ItemChange:
    """What is to be known of an item from now on; what is None stays as it is.

    Args:
        item: external id.
        title: title.
        features: values by name of the feature, in place of all that were sent before.
        is_active: whether the item may be listed; a new item may.
    """

    item: str
    title: str | None = None
    features: Mapping[str, Any] | None = None
    is_active: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ItemRow:
    """An item that was sent.

    Args:
        item: external id.
        title: title; None if none was sent.
        features: values by name of the feature, in the types of JSON; None for an item without a value.
        is_active: whether the item may be listed; None if that was never sent: then the model's catalog decides, and a new
            item may.
        created: time at which it was sent first, in seconds since 1970.
        changed: time of its newest change.
    """

    item: str
    title: str | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    is_active: bool | None = None
    created: int = 0
    changed: int = 0


@dataclass(frozen=True)
class ItemsState:
    """All items that were sent, at a revision.

    Args:
        revision: number of changes so far.
        rows: items by external id.
    """

    revision: int = 0
    rows: Mapping[str, ItemRow] = field(default_factory=dict)


class ItemStore:
    """The items.

    Args:
        engine: engine from `connect`, of a migrated database. Every method raises `EventStoreError` if the database fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def revision(self) -> int:
        """The number of changes so far."""
        try:
            with self.engine.connect() as connection:
                return int(connection.execute(sa.select(item_revision.c.revision)).scalar_one())
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def put(self, changes: Sequence[ItemChange]) -> int:
        """Insert or change items of different ids, all or none; they are on disk when this returns. Returns the revision."""
        insert: Any = (postgresql if self.engine.dialect.name == "postgresql" else sqlite).insert(items)
        now = int(time.time())
        raised = sa.update(item_revision).values(revision=item_revision.c.revision + 1)
        kept = {name: sa.func.coalesce(insert.excluded[name], items.c[name]) for name in _SENT}
        set_ = {**kept, "changed": insert.excluded.changed, "revision": insert.excluded.revision}
        try:
            with self.engine.begin() as connection:
                revision = int(connection.execute(raised.returning(item_revision.c.revision)).scalar_one())
                said = {one.item: one.is_active for one in changes if one.is_active is not None}
                note_retired(connection, said, revision)
                for at in range(0, len(changes), _ROWS):
                    rows = [_row_of(one, now, revision) for one in changes[at : at + _ROWS]]
                    connection.execute(insert.values(rows).on_conflict_do_update(index_elements=["item"], set_=set_))
                return revision
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def since(self, state: ItemsState) -> ItemsState:
        """A state with all later changes, at the revision of the newest."""
        later = sa.select(items).where(items.c.revision > state.revision)
        try:
            with self.engine.connect() as connection:
                revision = int(connection.execute(sa.select(item_revision.c.revision)).scalar_one())
                rows = connection.execute(later).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error
        revision = max([revision, *(row.revision for row in rows)])  # a change may come between the two statements
        return ItemsState(revision, {**state.rows, **{row.item: _item_of(row) for row in rows}})

    def get(self, item: str) -> ItemRow | None:
        """An item by its id; None if it was never sent."""
        try:
            with self.engine.connect() as connection:
                row = connection.execute(sa.select(items).where(items.c.item == item)).one_or_none()
        except SQLAlchemyError as error:
            raise unusable(error) from error
        return None if row is None else _item_of(row)


_SENT = ("title", "features", "is_active")


def _row_of(change: ItemChange, now: int, revision: int) -> dict[str, Any]:
    features = None if change.features is None else json.dumps(change.features)
    return {
        **{"item": change.item, "title": change.title, "features": features, "is_active": change.is_active},
        **{"created": now, "changed": now, "revision": revision},
    }


def _item_of(row: Any) -> ItemRow:
    return ItemRow(
        item=row.item,
        title=row.title,
        features={} if row.features is None else json.loads(row.features),
        is_active=row.is_active,
        created=row.created,
        changed=row.changed,
    )
