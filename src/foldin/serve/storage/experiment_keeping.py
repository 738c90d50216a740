"""What an experiment needs of its lists, kept when the lists are deleted: users with their arms, and the events that count.

Lists are deleted some time after they were made, and an experiment may last longer. Of each list that a split answered stays who
was in which arm since when, in one row for a user of an arm, and which stored events came of it. A list is deleted after all
events of the window that an experiment looks at, unless that window is longer than lists are kept.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from foldin.data.log.store import events
from foldin.serve.storage.experiment_tables import kept_events, kept_users
from foldin.serve.storage.impression_tables import impressions
from foldin.serve.storage.listed import length_of, lists_item

__all__ = ["forget_user", "keep_of_lists"]


def keep_of_lists(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> None:
    """Keep what experiments need of some lists, in the transaction that deletes them.

    Args:
        connection: with a transaction in which no other process deletes lists.
        chosen: condition on the lists.
    """
    one, event, is_postgresql = impressions.c, events.c, connection.dialect.name == "postgresql"
    insert: Any = (postgresql if is_postgresql else sqlite).insert
    empty = sa.func.sum(sa.case((length_of(is_postgresql, one["items"]) == 0, 1), else_=0))
    by = (one.split, sa.func.coalesce(one.user_id, sa.literal_column("''")), one.arm, one.model, one.run)
    counted = (
        sa.select(*by, sa.func.min(one.time), sa.func.count(), empty)
        .where(chosen, one.split.is_not(None), one.arm.is_not(None))
        .group_by(*by)
    )
    names = ("split", "user_id", "arm", "model", "run", "first", "lists", "empty")
    added = insert(kept_users).from_select(names, counted)
    new, old = added.excluded, kept_users.c
    earliest = sa.case((new.first < old.first, new.first), else_=old.first)
    together = {"first": earliest, "lists": old.lists + new.lists, "empty": old.empty + new.empty}
    connection.execute(added.on_conflict_do_update(index_elements=list(names[:5]), set_=together))
    came = (
        sa.select(one.split, event.id, event.user_id)
        .distinct()
        .select_from(impressions.join(events, sa.and_(event.user_id == one.user_id, event.time >= one.time)))
        .where(
            chosen,
            one.split.is_not(None),
            sa.or_(event.list_id.is_(None), event.list_id == one.list_id),
            lists_item(is_postgresql, one["items"], event.item),
        )
    )
    connection.execute(insert(kept_events).from_select(("split", "event_id", "user_id"), came).on_conflict_do_nothing())


def forget_user(connection: sa.Connection, user: str) -> None:
    """Delete what experiments keep of a user, in the transaction of an erasure."""
    for table in (kept_users, kept_events):
        connection.execute(sa.delete(table).where(table.c.user_id == user))
