"""What a query asks of the items of a logged list, which are JSON in a column."""

from typing import Any

import sqlalchemy as sa

from foldin.data.log.store import events
from foldin.serve.storage.impression_tables import impressions

__all__ = ["length_of", "lists_item"]


def length_of(is_postgresql: bool, items: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """The number of items in a column of logged items."""
    length = sa.func.jsonb_array_length if is_postgresql else sa.func.json_array_length
    return length(items, type_=sa.Integer)


def lists_item(
    is_postgresql: bool, items: sa.ColumnElement[Any], item: sa.ColumnElement[str]
) -> sa.ColumnElement[bool]:
    """Whether a column of logged items holds an item of the events."""
    if is_postgresql:
        return sa.func.jsonb_exists(items, item, type_=sa.Boolean)
    each = sa.func.json_each(items).table_valued("value")
    # Of the statements around this one, whichever they are, the tables are theirs.
    return (
        sa.select(sa.literal(1)).select_from(each).where(each.c.value == item).correlate(impressions, events).exists()
    )
