"""The database of events: its table, connections to it, and a view of its events as of one moment, in the order of arrival.

The service writes this table; here it is only read. A view is one transaction, so that what is stored or erased meanwhile does
not change it, and its events come in batches, so that a store of any size is read in the memory of one batch.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from foldin.data.log.columns import Columns
from foldin.data.log.urls import public_url, sqlite_file, until_of, with_until
from foldin.errors import ConfigError, DataError, EventStoreError, MissingExtraError

__all__ = ["WRITING", "Stored", "connect", "events", "open_store", "snapshot", "unusable"]

_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")  # SQLite counts up in INTEGER keys only
events = sa.Table(
    "foldin_events",
    sa.MetaData(),
    sa.Column("id", _number, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Column("list_id", sa.Text),
    # Its index also serves a history.
    sa.UniqueConstraint("user_id", "time", "item", "kind", name="foldin_events_once"),
)
WRITING = 0x666F6C65  # advisory lock on PostgreSQL that a transaction shares while it draws numbers of events
_PATIENCE = "5s"  # for those who write
_TOO_LATE = "55P03"
_BATCH, _FETCHED = 100_000, 10_000  # events of a table, and of a request to the database
_YEARS = (-62_135_596_800, 253_402_300_800)  # seconds since 1970 of the years from 1 to 9999


def connect(url: str, *, reading: bool = False) -> sa.Engine:
    """An engine for `sqlite:///file.db` or `postgresql://…`.

    Args:
        reading: whether nothing is written: a SQLite file must exist then, and statements may take any time.

    Raises:
        ConfigError: another kind of URL, or an invalid one.
        DataError: there is no such file to read.
        MissingExtraError: the driver of PostgreSQL is not installed.
    """
    url, _ = until_of(url)
    shown = public_url(url)
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(f"events: {shown!r} is not the URL of a database") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        limits = "-c default_transaction_read_only=on" if reading else "-c statement_timeout=15000"
        try:
            return sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_pre_ping=True,
                connect_args={"connect_timeout": 5, "options": limits},
            )
        except ImportError as error:
            raise MissingExtraError("psycopg", "store", "an event store in PostgreSQL") from error
    if backend != "sqlite":
        raise ConfigError(f"events: sqlite:///FILE or postgresql://… was expected, not {backend}")
    if parsed.database in (None, "", ":memory:"):
        raise ConfigError(
            "events: sqlite:///FILE: a file was expected; in memory, each thread would have a separate database"
        )
    if reading and (file := sqlite_file(url)) is not None and not file.is_file():
        raise DataError(f"{shown}: no such file; `foldin events import` or `foldin serve` makes it")
    engine = sa.create_engine(parsed.set(drivername="sqlite"), connect_args={"timeout": 10})
    # With WAL a reader never waits for the writer; FULL has each commit on disk before it returns.
    pragmas = ("query_only=ON",) if reading else ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")

    @sa.event.listens_for(engine, "connect")
    def _prepared(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def unusable(error: Exception) -> EventStoreError:
    """The exception to raise for an error of the database, of SQLAlchemy or of the driver."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return EventStoreError(f"the event store cannot be used: {reason}")


@dataclass(frozen=True)
class Stored:
    """The events of a store as of one moment.

    Args:
        connection: with the transaction of the view.
        url: URL without passwords, with the number of the last event, which is that of these events at any later time.
        database: `sqlite` or `postgresql`.
        events: number of events.
        until: number of the last event; events are numbered in the order of arrival.
        arrived: when the last event arrived, in seconds since 1970; None for an empty store.
        columns: the columns of the batches by role, without a kind or a value where no event has one.
        where: the condition on the table that these events meet.
        names_lists: whether the table has the ids of the lists that events name; that of a log has none.
    """

    connection: sa.Connection
    url: str
    database: str
    events: int
    until: int
    arrived: int | None
    columns: Columns
    where: sa.ColumnElement[bool]
    names_lists: bool = True

    def batches(self, size: int | None = None, *, lists: bool = False) -> Iterator[pl.DataFrame]:
        """The events in the order of arrival, as the service folds them in: `user`, `item`, `time`, `kind`, `value`.

        Args:
            size: number of events of a batch.
            lists: whether there is also `list_id`, the list that an event names, or null.

        Raises:
            EventStoreError: the database fails.
            DataError: a time that no calendar has.
        """
        one, most = events.c, size or _BATCH
        chosen: list[sa.ColumnElement[Any]] = [one.user_id, one.item, one.time, one.kind, one.value]
        if lists:
            chosen.append(one.list_id if self.names_lists else sa.null())
        statement = sa.select(*chosen).where(self.where).order_by(one.id)
        # The driver's own cursor, which on PostgreSQL is one of the server: rows of SQLAlchemy take three times as long.
        text = str(statement.compile(self.connection, compile_kwargs={"literal_binds": True}))
        named = {"name": events.name} if self.database == "postgresql" else {}
        tables: list[pl.DataFrame] = []
        try:
            with closing(self.connection.connection.cursor(**named)) as cursor:
                cursor.execute(text)
                while rows := cursor.fetchmany(min(_FETCHED, most)):
                    tables.append(self.table(rows, lists=lists))
                    if sum(map(len, tables)) >= most:
                        yield pl.concat(tables)
                        tables = []
                if tables:
                    yield pl.concat(tables)
        except self.connection.dialect.loaded_dbapi.Error as error:
            raise unusable(error) from error

    def table(self, rows: Sequence[Any], *, lists: bool = False) -> pl.DataFrame:
        """The table of some rows of the database.

        Args:
            lists: whether the rows have the lists that events name.

        Raises:
            DataError: a time that no calendar has.
        """
        users, items, times, kinds, values = ([row[at] for row in rows] for at in range(5))
        seconds = pl.Series("time", times, dtype=pl.Int64)
        odd = (seconds < _YEARS[0]) | (seconds >= _YEARS[1])
        if odd.any():
            at = int(odd.arg_true()[0])
            raise DataError(f"{self.url}: an event of the user {users[at]!r} has the time {times[at]}, in no calendar")
        named = {"list_id": pl.Series([row[5] for row in rows], dtype=pl.String)} if lists else {}
        return pl.DataFrame(
            {
                "user": pl.Series(users, dtype=pl.String),
                "item": pl.Series(items, dtype=pl.String),
                "time": pl.from_epoch(seconds, time_unit="s").dt.replace_time_zone("UTC"),
                "kind": pl.Series([one or None for one in kinds], dtype=pl.String),
                "value": pl.Series(values, dtype=pl.Float64).fill_nan(None),
                **named,
            }
        )


@contextmanager
def open_store(url: str, *, since: int | None = None) -> Iterator[Stored]:
    """The events of a store as of now, up to the number `until` of the URL if it gives one.

    Args:
        since: only events that arrived at this time or later, in seconds since 1970.

    Raises:
        ConfigError, MissingExtraError: as `connect`.
        DataError: no such file, or the database has no events of this version.
        EventStoreError: the database cannot be reached.
    """
    base, until = until_of(url)
    engine = connect(base, reading=True)
    try:
        shown = public_url(base)
        if until is None and engine.dialect.name == "postgresql":
            until = _settled(engine, shown)
        with snapshot(engine) as connection:
            names_lists = _check(connection, shown)
            yield _stored(connection, shown, until, since, names_lists)
    except SQLAlchemyError as error:
        raise unusable(error) from error
    finally:
        engine.dispose()


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in one transaction, to which the database stays as it is at its first statement."""
    with engine.connect() as connection:
        begin = "BEGIN" if engine.dialect.name == "sqlite" else "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
        connection.exec_driver_sql(begin)
        yield connection


def _check(connection: sa.Connection, shown: str) -> bool:
    """Whether the table of events has the lists that events name; raises unless there is that table with its other columns."""
    about = sa.inspect(connection)
    if not about.has_table(events.name):
        raise DataError(f"{shown}: holds no events: there is no table {events.name}")
    there = {one["name"] for one in about.get_columns(events.name)}
    if not there >= set(events.c.keys()) - {"list_id"}:  # which a log does not have
        raise DataError(
            f"{shown}: was written by an earlier version; `foldin events import` or `foldin serve` migrates it once"
        )
    return "list_id" in there


def _settled(engine: sa.Engine, shown: str) -> int | None:
    """The largest number of an event such that no event with a smaller one can still arrive.

    Numbers are drawn before they are committed: those who have drawn some are waited for, a few seconds at most.
    """
    with engine.connect() as connection:
        _check(connection, shown)
        try:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITING)))
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _TOO_LATE:
                raise
            return None
        return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(events.c.id), 0))).scalar_one())


def _stored(connection: sa.Connection, shown: str, until: int | None, since: int | None, names_lists: bool) -> Stored:
    one = events.c
    where = sa.true() if until is None else one.id <= until
    if since is not None:
        where = sa.and_(where, one.arrived >= since)
    kinds = sa.func.count(sa.case((one.kind != "", 1)))
    counted = sa.select(sa.func.count(), sa.func.max(one.id), sa.func.max(one.arrived), kinds, sa.func.count(one.value))
    count, last, arrived, with_kind, with_value = connection.execute(counted.where(where)).one()
    last = (0 if last is None else int(last)) if until is None else until
    columns = Columns(
        "user", "item", "time", kind="kind" if with_kind else None, rating="value" if with_value else None
    )
    return Stored(
        connection=connection,
        url=with_until(shown, last),
        database=connection.dialect.name,
        events=int(count),
        until=last,
        arrived=arrived,
        columns=columns,
        where=where,
        names_lists=names_lists,
    )
