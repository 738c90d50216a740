"""Events of users in a database: SQLite embedded, PostgreSQL for more than one process.

A batch is written in one transaction and acknowledged after it is on disk, so that a process killed at any moment neither loses
nor duplicates acknowledged events. Events with the same user, item, time and kind are one event, however often they arrive. A
batch with an idempotency key is stored once: sent again it gets the first response, and with other content it is refused. Events
are ordered by time, and by arrival at equal times.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from foldin.data.log.store import connect, events, unusable
from foldin.errors import ConfigError, IdempotencyError
from foldin.serve.storage.bulk import insert_many, share_writing
from foldin.serve.storage.impressions import erase_lists
from foldin.serve.storage.migrations import batches, migrate

__all__ = ["Event", "EventStore", "Receipt", "connect", "unusable"]

_ROWS = 140  # rows of an insert: SQLite may limit variables to 999
_MANY = 1000  # events above which a batch is inserted by statements that are made for many
_REMEMBERED = 30 * 24 * 3600  # seconds for which an idempotency key is kept at least, until a start deletes it
_ATTEMPTS = 5
_TOO_LONG = "54000"  # PostgreSQL indexes at most 2,704 bytes
_DEADLOCK = "40P01"  # with another writer: PostgreSQL ends one of the two transactions, which may be tried again


@dataclass(frozen=True)
class Event:
    """An event: a user took an item.

    Args:
        user: external id.
        item: external id, which need not be in the catalog of a model.
        time: seconds since 1970.
        kind: kind of the event (a view, a purchase, …); empty for an event without one.
        value: value of the event, such as a rating; it is not part of the event's identity.
        list_id: id of the list in which the item was taken, if the sender gave it; not part of the identity either.
    """

    user: str
    item: str
    time: int
    kind: str = ""
    value: float | None = None
    list_id: str | None = None

    @property
    def identity(self) -> tuple[str, str, int, str]:
        """The fields that identify an event."""
        return self.user, self.item, self.time, self.kind


@dataclass(frozen=True)
class Receipt:
    """The result of storing a batch.

    Args:
        accepted: number of new events.
        duplicates: number of events that were stored before, or are repeated in the batch.
        replayed: whether this batch was stored before, with the same idempotency key.
    """

    accepted: int
    duplicates: int
    replayed: bool = False


class EventStore:
    """Store of users' events.

    Args:
        engine: engine from `connect`; the schema is migrated to the current version.

    Raises:
        EventStoreError: the database cannot be reached or has a later version. Every method raises it if the database fails.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        try:
            migrate(engine)
            with engine.begin() as connection:
                old = batches.c.arrived < int(time.time()) - _REMEMBERED
                connection.execute(sa.delete(batches).where(old))
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def append(self, batch: Sequence[Event], *, key: str | None = None) -> Receipt:
        """Store a batch, all events or none; they are on disk when this returns.

        Args:
            key: idempotency key, chosen by the sender.

        Raises:
            IdempotencyError: the key was used with other events before.
            ConfigError: an id is too long for an index of the database.
            EventStoreError: the database is not available or full; no event of the batch is stored.
        """
        for attempt in range(_ATTEMPTS):
            try:
                return self._append(batch, key)
            except SQLAlchemyError as error:
                state = getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None
                if state == _TOO_LONG:
                    fields = ((name, getattr(event, name)) for event in batch for name in ("user", "item", "kind"))
                    name, longest = max(fields, key=lambda field: len(field[1].encode("utf-8", "surrogatepass")))
                    raise ConfigError(
                        f"events: {name} {longest[:40]!r}… is too long for an index of PostgreSQL: {len(longest):,} characters"
                    ) from error
                if state != _DEADLOCK or attempt == _ATTEMPTS - 1:
                    raise unusable(error) from error
        raise AssertionError("unreachable")

    def _append(self, batch: Sequence[Event], key: str | None) -> Receipt:
        digest = hashlib.sha256(json.dumps([_content(event) for event in batch]).encode()).hexdigest()
        with self.engine.begin() as connection:
            if key is not None:
                # The second sender of a key waits for the first, and then finds its receipt.
                row = {"key": key, "digest": digest, "accepted": -1, "duplicates": -1, "arrived": int(time.time())}
                taken = self._insert(batches).values(row).on_conflict_do_nothing().returning(batches.c.key)
                if not connection.execute(taken).all():
                    return self._replayed(connection, key, digest)
            accepted = self._insert_all(connection, batch)
            receipt = Receipt(accepted, len(batch) - accepted)
            if key is not None:
                values = {"accepted": receipt.accepted, "duplicates": receipt.duplicates}
                connection.execute(sa.update(batches).where(batches.c.key == key).values(values))
            return receipt

    def _insert_all(self, connection: sa.Connection, batch: Sequence[Event]) -> int:
        if len(batch) > _MANY:
            rows_of_many = [(*event.identity, event.value) for event in batch]
            return insert_many(connection, rows_of_many, int(time.time()), lists=[event.list_id for event in batch])
        # On PostgreSQL, one statement must not contain an event twice.
        first: dict[tuple[str, str, int, str], Event] = {}
        for event in batch:
            first.setdefault(event.identity, event)
        share_writing(connection)
        rows = self._rows_of(connection, list(first.values()))
        return sum(self._write(connection, rows[at : at + _ROWS]) for at in range(0, len(rows), _ROWS))

    def _insert(self, table: sa.Table) -> Any:
        return (postgresql if self.engine.dialect.name == "postgresql" else sqlite).insert(table)

    def _rows_of(self, connection: sa.Connection, batch: Sequence[Event]) -> list[dict[str, Any]]:
        """The rows of distinct events, in the order in which to write them.

        On PostgreSQL two batches would wait for each other forever if they held common events in different orders: each batch
        writes in the order of identity there, and the ids, drawn beforehand, keep the order of arrival.
        """
        arrived = int(time.time())
        rows: list[dict[str, Any]] = [
            {
                **{"user_id": e.user, "item": e.item, "time": e.time, "kind": e.kind, "value": e.value},
                **{"list_id": e.list_id, "arrived": arrived},
            }
            for e in batch
        ]
        if self.engine.dialect.name != "postgresql" or len(rows) < 2:
            return rows
        draw = sa.func.nextval(sa.func.pg_get_serial_sequence(events.name, "id"))
        ids = connection.execute(sa.select(draw).select_from(sa.func.generate_series(1, len(rows)))).scalars().all()
        if (
            None in ids
        ):  # the column has no sequence any more: rows stay in the order of arrival, and deadlocks are retried
            return rows
        for row, number in zip(rows, sorted(ids), strict=True):
            row["id"] = number
        return sorted(rows, key=lambda row: (row["user_id"], row["item"], row["time"], row["kind"]))

    def _write(self, connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> int:
        statement = self._insert(events).values(rows).on_conflict_do_nothing().returning(events.c.id)
        return len(connection.execute(statement).all())

    def _replayed(self, connection: sa.Connection, key: str, digest: str) -> Receipt:
        before = connection.execute(sa.select(batches).where(batches.c.key == key)).one()
        if before.digest != digest:
            raise IdempotencyError(f"idempotency key {key!r} was used with other events before")
        return Receipt(before.accepted, before.duplicates, replayed=True)

    def history(self, user: str, *, newest: int | None = None) -> list[Event]:
        """A user's events, oldest first: all of them, or only the newest ones.

        Raises:
            EventStoreError: the database is not available.
        """
        statement = (
            sa.select(events.c.item, events.c.time, events.c.kind, events.c.value, events.c.list_id)
            .where(events.c.user_id == user)
            .order_by(events.c.time.desc(), events.c.id.desc())
        )
        rows = self._rows(statement if newest is None else statement.limit(newest))
        return [Event(user, row.item, row.time, row.kind, row.value, row.list_id) for row in reversed(rows)]

    def first_and_last(self, user: str, *, by_value: bool = False) -> list[Event]:
        """The first and the last event of each kind of a user with each item, oldest first.

        They contain every item that the user took, and the event that counts if items repeat; a list needs no other event.

        Args:
            by_value: whether to return the first and the last of each kind and value, since events of some values may be left out
                before repeats are.

        Raises:
            EventStoreError: the database is not available.
        """
        alike = (events.c.item, events.c.kind, *((events.c.value,) if by_value else ()))

        def place(*order: Any) -> Any:
            return sa.func.row_number().over(partition_by=alike, order_by=order)

        # Windows rather than a join: a database that has no statistics of the table yet would try every pair of rows.
        ranked = (
            sa.select(
                events.c.item,
                events.c.time,
                events.c.kind,
                events.c.value,
                events.c.id,
                place(events.c.time).label("from_first"),
                place(events.c.time.desc()).label("from_last"),
            )
            .where(events.c.user_id == user)
            .subquery()
        )
        ends = sa.or_(ranked.c.from_first == 1, ranked.c.from_last == 1)
        rows = self._rows(sa.select(ranked).where(ends).order_by(ranked.c.time, ranked.c.id))
        return [Event(user, row.item, row.time, row.kind, row.value) for row in rows]

    def _rows(self, statement: sa.Select[Any]) -> Sequence[Any]:
        try:
            with self.engine.connect() as connection:
                return connection.execute(statement).all()
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def erase(self, user: str) -> int:
        """Delete all stored data of a user, their lists included; returns the number of deleted events.

        Raises:
            EventStoreError: the database is not available.
        """
        try:
            with self.engine.begin() as connection:
                erase_lists(connection, user)
                return int(connection.execute(sa.delete(events).where(events.c.user_id == user)).rowcount)
        except SQLAlchemyError as error:
            raise unusable(error) from error

    def ready(self) -> bool:
        """Whether the database is available and has its tables."""
        try:
            with self.engine.connect() as connection:
                connection.execute(sa.select(events.c.id).limit(1))
        except SQLAlchemyError:
            return False
        return True


def _content(event: Event) -> tuple[Any, ...]:
    """An event in the digest of its batch; without an empty kind, value and list, for the keys of older versions."""
    plain = (event.user, event.item, event.time)
    value = None if event.value is None else float(event.value)
    if event.list_id is not None:
        return (*plain, event.kind, value, event.list_id)
    return plain if not event.kind and value is None else (*plain, event.kind, value)
