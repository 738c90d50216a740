"""What the lists for all users are made of, how often each item was taken lately; and the lists that one process made for all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.store import events, unusable
from foldin.serve.storage.item_tables import item_lists, items

__all__ = ["ItemListStore", "ListedItem", "Taken"]

_LATEST, _ALL = 86_400, 30 * 86_400  # seconds


@dataclass(frozen=True)
class ListedItem:
    """An entry of a list for all users.

    Args:
        item: external id.
        score: by what the list is ordered.
    """

    item: str
    score: float


@dataclass(frozen=True)
class Taken:
    """How often an item was taken.

    Args:
        item: external id.
        latest: number of events of the last day.
        earlier: number of events of the 29 days before.
    """

    item: str
    latest: int
    earlier: int


class ItemListStore:
    """The lists for all users, and the events that they are made of.

    Args:
        engine: engine from `connect`, of a migrated database. Every method raises `EventStoreError` if the database fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def taken(self, now: int) -> list[Taken]:
        """How often each item was taken in the 30 days until a time, in the order of the ids."""
        latest = sa.func.sum(sa.case((events.c.time > now - _LATEST, 1), else_=0))
        statement = (
            sa.select(events.c.item, latest.label("latest"), sa.func.count().label("number"))
            .where(events.c.time > now - _ALL, events.c.time <= now)
            .group_by(events.c.item)
        )
        try:
            with self.engine.connect() as connection:
                if self.engine.dialect.name == "postgresql":
                    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))  # all events are read
                rows = connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error
        found = [Taken(row.item, int(row.latest), int(row.number) - int(row.latest)) for row in rows]
        return sorted(found, key=lambda one: one.item)

    def newest_items(self, limit: int) -> list[ListedItem]:
        """The active items that were sent last for the first time, newest first, with the times in seconds since 1970."""
        statement = (
            sa.select(items.c.item, items.c.created)
            .where(items.c.is_active.is_not(False))
            .order_by(items.c.created.desc(), items.c.item)
            .limit(limit)
        )
        return [ListedItem(row.item, float(row.created)) for row in self._rows(statement)]

    def claim(self, slot: int) -> bool:
        """Whether this process is the first that asks for a period; then it is to make the lists.

        Args:
            slot: seconds since 1970 of the beginning of the period.
        """
        insert: Any = (postgresql if self.engine.dialect.name == "postgresql" else sqlite).insert
        statement = insert(item_lists).values(slot=slot, content=None).on_conflict_do_nothing()
        if self._rows(sa.select(item_lists.c.slot).where(item_lists.c.slot == slot)):
            return False  # without a lock for writing, since each process asks again and again
        try:
            with self.engine.begin() as connection:
                return bool(connection.execute(statement.returning(item_lists.c.slot)).all())
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def put(self, slot: int, lists: Mapping[str, Sequence[ListedItem]]) -> None:
        """Keep the lists of a period that this process claimed, in place of all earlier ones."""
        content = json.dumps({name: [[one.item, one.score] for one in entries] for name, entries in lists.items()})
        at = item_lists.c.slot == slot
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.update(item_lists).where(at).values(content=content))
                connection.execute(sa.delete(item_lists).where(item_lists.c.slot < slot))
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def newest(self, after: int | None = None) -> tuple[int, dict[str, tuple[ListedItem, ...]]] | None:
        """(the slot, the lists by name) that were made last; None if there are none of a later slot than the given one."""
        statement = sa.select(item_lists).where(item_lists.c.content.is_not(None))
        if after is not None:
            statement = statement.where(item_lists.c.slot > after)
        rows = self._rows(statement.order_by(item_lists.c.slot.desc()).limit(1))
        if not rows:
            return None
        content = json.loads(rows[0].content)
        return rows[0].slot, {name: tuple(ListedItem(*one) for one in entries) for name, entries in content.items()}

    def _rows(self, statement: sa.Select[Any]) -> Sequence[Any]:
        try:
            with self.engine.connect() as connection:
                return connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error
