"""The tables of the database, and the migrations from earlier versions."""

from collections.abc import Callable

import sqlalchemy as sa

from foldin.data.log.store import events
from foldin.errors import EventStoreError
from foldin.serve.storage.deployment_tables import create_deployment_tables
from foldin.serve.storage.drift_reports import create_drift_table
from foldin.serve.storage.experiment_tables import create_experiment_tables
from foldin.serve.storage.impression_tables import create_impression_tables
from foldin.serve.storage.item_tables import create_item_tables
from foldin.serve.storage.retirements import create_retirements

__all__ = ["VERSION", "batches", "events", "keys", "migrate"]

_metadata = sa.MetaData()
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up in INTEGER keys only

version = sa.Table("foldin_version", _metadata, sa.Column("version", sa.Integer, nullable=False))
batches = sa.Table(
    "foldin_batches",
    _metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("accepted", sa.Integer, nullable=False),
    sa.Column("duplicates", sa.Integer, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
)
keys = sa.Table(
    "foldin_keys",
    _metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
)


def _first(connection: sa.Connection) -> None:
    """The tables of version 1, in which the column of users was `person`. A migration is never changed."""
    then = sa.MetaData()
    sa.Table(
        "foldin_events",
        then,
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("person", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("arrived", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("person", "time", "item", name="foldin_events_once"),
    )
    sa.Table(
        "foldin_batches",
        then,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("accepted", sa.Integer, nullable=False),
        sa.Column("duplicates", sa.Integer, nullable=False),
        sa.Column("arrived", sa.BigInteger, nullable=False),
    )
    sa.Table(
        "foldin_keys",
        then,
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
    )
    then.create_all(connection)


def _users(connection: sa.Connection) -> None:
    connection.execute(sa.text("ALTER TABLE foldin_events RENAME COLUMN person TO user_id"))


def _kinds(connection: sa.Connection) -> None:
    """Add a kind and a value to each event; the kind is part of the event's identity."""
    if connection.dialect.name == "postgresql":
        for change in (
            "ADD COLUMN kind TEXT NOT NULL DEFAULT ''",
            "ALTER COLUMN kind DROP DEFAULT",
            "ADD COLUMN value DOUBLE PRECISION",
            "DROP CONSTRAINT foldin_events_once",
            "ADD CONSTRAINT foldin_events_once UNIQUE (user_id, time, item, kind)",
        ):
            connection.execute(sa.text(f"ALTER TABLE foldin_events {change}"))
        return
    # SQLite cannot change a constraint of a table: the events move to a new table, which then takes the name.
    then = sa.MetaData()
    sa.Table(
        "foldin_events_new",
        then,
        sa.Column("id", _number, primary_key=True, autoincrement=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("arrived", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("user_id", "time", "item", "kind", name="foldin_events_once"),
    )
    then.create_all(connection)
    for change in (
        "PRAGMA legacy_alter_table = ON",  # so that a view over the events stays one over the new table
        "INSERT INTO foldin_events_new (id, user_id, item, time, kind, value, arrived) "
        "SELECT id, user_id, item, time, '', NULL, arrived FROM foldin_events",
        "DROP TABLE foldin_events",
        "ALTER TABLE foldin_events_new RENAME TO foldin_events",
        "PRAGMA legacy_alter_table = OFF",
    ):
        connection.execute(sa.text(change))


# Step n brings a database of version n to version n + 1; a step that has been released is never changed.
_STEPS: tuple[Callable[[sa.Connection], None], ...] = (
    _first,
    _users,
    _kinds,
    create_deployment_tables,
    create_drift_table,
    create_impression_tables,
    create_item_tables,
    create_experiment_tables,
    create_retirements,
)
VERSION = len(_STEPS)
_LOCK = 0x666F6C64  # one process at a time, on PostgreSQL


def migrate(engine: sa.Engine) -> None:
    """Migrate a database, or an empty one, to this version, in one transaction.

    Raises:
        EventStoreError: the database has a later version.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))  # an index of a large table takes its time
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        version.create(connection, checkfirst=True)
        found = connection.execute(sa.select(version.c.version)).scalar()
        now = 0 if found is None else int(found)
        if now > VERSION:
            raise EventStoreError(f"the event store has version {now}, this foldin knows {VERSION}")
        for step in _STEPS[now:]:
            step(connection)
        if found is None:
            connection.execute(sa.insert(version).values(version=VERSION))
        elif now < VERSION:
            connection.execute(sa.update(version).values(version=VERSION))
