"""The tables of items that were sent to the service, their revision, and the lists that are the same for all users."""

import sqlalchemy as sa

from foldin.data.log.stored_items import items

__all__ = ["create_item_tables", "item_lists", "item_revision", "items"]


def _tables(metadata: sa.MetaData) -> tuple[sa.Table, sa.Table, sa.Table]:
    """(items, revision, lists), as of version 7 of the database: a later version defines its tables anew."""
    of_items = sa.Table(
        "foldin_items",
        metadata,
        sa.Column("item", sa.Text, primary_key=True),
        sa.Column("title", sa.Text),  # null for what was never sent, here and in the next two columns
        sa.Column("features", sa.Text),
        sa.Column("is_active", sa.Boolean),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False, index=True),
    )
    of_revision = sa.Table("foldin_item_revision", metadata, sa.Column("revision", sa.BigInteger, nullable=False))
    of_lists = sa.Table(
        "foldin_item_lists",
        metadata,
        sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("content", sa.Text),  # null while they are being computed
    )
    return of_items, of_revision, of_lists


_now = _tables(sa.MetaData())
item_revision = _now[1]
item_lists = _now[2]


def create_item_tables(connection: sa.Connection) -> None:
    """The migration from version 6 to version 7, which is never changed."""
    then = sa.MetaData()
    _, of_revision, _ = _tables(then)
    then.create_all(connection)
    connection.execute(sa.insert(of_revision).values(revision=0))
