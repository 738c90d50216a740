"""Numbers of the events of a store."""

from typing import Any

import sqlalchemy as sa

from foldin.data.log.store import events, open_store

__all__ = ["counts_of"]


def counts_of(url: str) -> dict[str, Any]:
    """Numbers of events, users, items and kinds of a store as of now, and its first and last times, as data.

    Raises:
        ConfigError, DataError, EventStoreError, MissingExtraError: as `open_store`.
    """
    one = events.c
    with open_store(url) as stored:

        def rows(*columns: Any) -> sa.Select[Any]:
            return sa.select(*columns).where(stored.where)

        def distinct(column: Any) -> int:
            return int(ask(sa.select(sa.func.count()).select_from(rows(column).distinct().subquery())).scalar_one())

        ask = stored.connection.execute
        number = sa.func.count()
        kinds = ask(rows(one.kind, number).group_by(one.kind).order_by(number.desc(), one.kind)).all()
        least, most, earliest = ask(rows(sa.func.min(one.time), sa.func.max(one.time), sa.func.min(one.arrived))).one()
        return {
            "store": stored.url,
            "database": stored.database,
            "events": stored.events,
            "users": distinct(one.user_id),
            "items": distinct(one.item),
            "kinds": {str(kind): int(count) for kind, count in kinds},
            "times": None if least is None else [int(least), int(most)],
            "arrived": None if earliest is None else [int(earliest), stored.arrived],
        }
