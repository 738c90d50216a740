"""Many events into the database at once: tens of thousands in one statement."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from foldin.data.log.store import WRITING, events

__all__ = ["Row", "insert_many", "share_writing"]

Row = tuple[str, str, int, str, float | None]  # user, item, time, kind, value

# What conflicts with a stored event, or with an earlier one of the statement, is left out.
_SQLITE = f"""
INSERT INTO {events.name} (user_id, item, time, kind, value, list_id, arrived) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_ARRIVING = """
unnest(%(users)s::text[], %(items)s::text[], %(times)s::bigint[], %(kinds)s::text[], %(values)s::float8[], %(lists)s::text[])
    WITH ORDINALITY AS arriving (user_id, item, time, kind, value, list_id, place)
"""
# Numbers are drawn in the order of arrival and rows written in the order of identity, so that two transactions with common events
# never wait for each other. PostgreSQL does not merge an inner query that draws numbers with the outer one.
_NUMBERED = f"""
INSERT INTO {events.name} (id, user_id, item, time, kind, value, list_id, arrived)
SELECT id, user_id, item, time, kind, value, list_id, %(arrived)s::bigint
FROM (SELECT nextval(%(sequence)s) AS id, arriving.* FROM {_ARRIVING}) AS drawn
ORDER BY user_id COLLATE "C", item COLLATE "C", time, kind COLLATE "C", id
ON CONFLICT DO NOTHING
"""
# For a table whose column of numbers has no sequence of its own any more.
_UNNUMBERED = f"""
INSERT INTO {events.name} (user_id, item, time, kind, value, list_id, arrived)
SELECT user_id, item, time, kind, value, list_id, %(arrived)s::bigint FROM {_ARRIVING} ORDER BY place
ON CONFLICT DO NOTHING
"""
_COUNTED = {"preserve_rowcount": True}


def share_writing(connection: sa.Connection) -> None:
    """Share the lock for which a reader waits who must know that every number drawn so far is committed or void."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(WRITING)))


def insert_many(
    connection: sa.Connection, rows: Sequence[Row], arrived: int, *, lists: Sequence[str | None] | None = None
) -> int:
    """Insert events, numbered in their order; returns how many are new.

    Args:
        arrived: when they arrived, in seconds since 1970.
        lists: id of the list that each event names; None if no event names one.
    """
    if not rows:
        return 0
    named = [None] * len(rows) if lists is None else list(lists)
    if connection.dialect.name != "postgresql":
        every = [(*row, of_list, arrived) for row, of_list in zip(rows, named, strict=True)]
        return connection.exec_driver_sql(_SQLITE, every, execution_options=_COUNTED).rowcount
    share_writing(connection)
    users, items, times, kinds, values = map(list, zip(*rows, strict=True))
    sequence = connection.execute(sa.select(sa.func.pg_get_serial_sequence(events.name, "id"))).scalar_one()
    columns = {"users": users, "items": items, "times": times, "kinds": kinds, "values": values, "lists": named}
    given: dict[str, Any] = {**columns, "arrived": arrived}
    if sequence is None:
        return connection.exec_driver_sql(_UNNUMBERED, given, execution_options=_COUNTED).rowcount
    given["sequence"] = sequence
    return connection.exec_driver_sql(_NUMBERED, given, execution_options=_COUNTED).rowcount
