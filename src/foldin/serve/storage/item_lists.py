"""What the lists for all users are made of, how often each item was taken lately; and the lists that one process made for all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from foldin.data import EventWeights
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
    """How much an item was taken.

    Args:
        item: external id.
        latest: sum of the weights of the events of the last day: their number, if all count alike.
        earlier: sum of the weights of the events of the 29 days before.
        squares: sum of the squared weights of all these events; None if all count alike.
    """

    item: str
    latest: float
    earlier: float
    squares: float | None = None


class ItemListStore:
    """The lists for all users, and the events that they are made of.

    Args:
        engine: engine from `connect`, of a migrated database. Every method raises `EventStoreError` if the database fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def taken(self, now: int, weighting: EventWeights | None = None) -> list[Taken]:
        """How much each item was taken in the 30 days until a time, in the order of the ids.

        Args:
            weighting: the rule by which events count: by the weight of their kind, and neither dislikes nor what the rule leaves
                out. Its half-life is not used, since the period ends with the newest events. None if all count alike.
        """
        is_late = sa.case((events.c.time > now - _LATEST, 1), else_=0)
        each = sa.select(events.c.item, is_late.label("late"), _weight(weighting).label("weight"))
        rows_ = each.where(events.c.time > now - _ALL, events.c.time <= now).subquery().c
        late, number = sa.func.sum(rows_.late), sa.func.count()
        statement = (
            sa.select(rows_.item, rows_.weight, late.label("late"), number.label("number"))
            .where(rows_.weight > 0)
            .group_by(rows_.item, rows_.weight)
        )
        try:
            with self.engine.connect() as connection:
                if self.engine.dialect.name == "postgresql":
                    connection.execute(sa.text("SET LOCAL statement_timeout = 0"))  # all events are read
                rows = connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error
        found: dict[str, Taken] = {}
        for item, weight, late, number in rows:
            before = found.get(item, Taken(item, 0, 0, None if weighting is None else 0.0))
            squares = None if before.squares is None else before.squares + weight**2 * number
            found[item] = Taken(item, before.latest + weight * late, before.earlier + weight * (number - late), squares)
        return sorted(found.values(), key=lambda one: one.item)

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


def _weight(rule: EventWeights | None) -> sa.ColumnElement[Any]:
    """The weight of an event in favor of its item: 0 for a dislike, and for one that is left out."""
    if rule is None:
        return sa.literal(1)
    least = [one for one in (rule.min_rating, rule.dislike_below) if one is not None]
    none = [(events.c.value < one, 0.0) for one in least]
    of_kinds = [(events.c.kind == kind, max(weight, 0.0)) for kind, weight in rule.kinds.items()]
    return sa.case(*none, *of_kinds, else_=1.0) if none or of_kinds else sa.literal(1.0)
