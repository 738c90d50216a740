"""A file of events → the event store, a chunk of rows in each transaction.

An event that is there already is left as it is, so that a file may be imported any number of times. How far an import has come is
written in the transaction of each chunk, so that one that was killed goes on where it was.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.checks import MISSING_WORDS
from foldin.data.log.formats import OpenedTable, open_table
from foldin.data.log.options import ReadOptions
from foldin.data.log.read import log_file
from foldin.data.log.report import Note
from foldin.data.log.store import connect, unusable
from foldin.data.shards.plan import Plan, plan_of
from foldin.serve.storage.bulk import insert_many
from foldin.serve.storage.event_store import EventStore
from foldin.serve.storage.migrations import batches
from foldin.serve.storage.storable import LISTS, Refusals, Storable, check_times, storable

__all__ = ["Imported", "Refusal", "import_events"]

Progress = Callable[[int, int], None]
_CACHE = "PRAGMA cache_size = -65536"  # kibibytes: the index of millions of events is looked at in no order
_EXPORTED = {"user": "user", "item": "item", "time": "time", "kind": "kind", "rating": "value"}  # role → column


@dataclass(frozen=True)
class Refusal:
    """Rows that were refused.

    Args:
        reason: why.
        count: number of rows.
        row: the first of them, from 1.
    """

    reason: str
    count: int
    row: int


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The result of an import, including what an interrupted one before it has done.

    Args:
        rows: number of rows of the file.
        accepted: number of new events.
        duplicates: number of events that were stored before, or are repeated in the file.
        refused: rows that are no events, by reason, the most frequent first.
        resumed: number of rows that were done before an interruption.
        notes: how the file was read.
    """

    rows: int
    accepted: int
    duplicates: int
    refused: tuple[Refusal, ...] = ()
    resumed: int = 0
    notes: tuple[Note, ...] = ()


def import_events(
    path: str | Path,
    url: str,
    *,
    options: ReadOptions | None = None,
    chunk_rows: int = 50_000,
    progress: Progress = lambda _done, _total: None,
) -> Imported:
    """Store the events of a file.

    Args:
        path: any file that `read_log` reads as columns, with times; or a folder of Parquet parts.
        url: `sqlite:///FILE` or `postgresql://…`; the database is made or migrated if necessary.
        options: how the file is read: its format, its encoding, its columns and its times.
        chunk_rows: rows that are read and stored at a time.
        progress: called with the number of rows that are done, and of all.

    Raises:
        DataError: the file cannot be read, or has no times; the chunks before the first bad row stay stored.
        EventStoreError: the database is not available or full.
    """
    chosen = options or ReadOptions()
    file = log_file(Path(path))
    engine = connect(url)
    try:
        with _opened(file, chosen) as (lazy, plan, respelled):
            EventStore(engine)  # makes or migrates the tables
            if plan is None:
                return Imported(rows=0, accepted=0, duplicates=0)
            state = _State.of(engine, _key(file, plan))
            resumed, total, long_items = state.rows, plan.report.rows, engine.dialect.name == "sqlite"
            progress(resumed, total)
            for at in range(resumed, total, chunk_rows):
                table = lazy.slice(at, chunk_rows).collect(engine="streaming")
                now = int(time.time())
                taken = storable(table, at, plan, state.refusals, now=now, respelled=respelled, long_items=long_items)
                state.add(taken, now, at + table.height)
                progress(at + table.height, total)
            state.forget()
    except SQLAlchemyError as error:
        raise unusable(error) from error
    finally:
        engine.dispose()
    refused = sorted((Refusal(why, count, row) for why, (count, row) in state.refusals.found.items()), key=_frequency)
    return Imported(
        rows=total,
        accepted=state.accepted,
        duplicates=state.duplicates,
        refused=tuple(refused),
        resumed=resumed,
        notes=plan.report.notes,
    )


def _frequency(refusal: Refusal) -> tuple[int, int]:
    return -refusal.count, refusal.row


@contextmanager
def _opened(file: Path, options: ReadOptions) -> Iterator[tuple[pl.LazyFrame, Plan | None, frozenset[str]]]:
    """(the rows of a file, of which any range is read at once; how they are read; roles whose ids lose their ".0")."""
    with (
        open_table(file, options.format, options.encoding) as opened,
        tempfile.TemporaryDirectory(prefix="foldin-") as folder,
    ):
        if opened.table.select(pl.len()).collect(engine="streaming").item() == 0:
            yield opened.table, None, frozenset()
            return
        plan = plan_of(opened, str(file), _of_an_export(opened, options))
        check_times(plan)
        respelled = _respelled(opened, plan)
        names = dict.fromkeys(plan.report.columns.values())
        if _is_export(opened) and LISTS in opened.table.collect_schema():
            names[LISTS] = None
        lazy = opened.table.select(list(names))
        if opened.format != "parquet":
            copy = Path(folder) / "rows.parquet"
            lazy.sink_parquet(copy)
            lazy = pl.scan_parquet(copy, glob=False)
        yield lazy, plan, respelled


def _of_an_export(opened: OpenedTable, options: ReadOptions) -> ReadOptions:
    """The options, with all columns of an exported file, where nothing need be guessed."""
    if not _is_export(opened):
        return options
    found: Any = {role: name for role, name in _EXPORTED.items() if getattr(options, role) is None}
    return replace(options, **found)


def _is_export(opened: OpenedTable) -> bool:
    """Whether a file has the columns of one that was exported."""
    return set(opened.table.collect_schema().names()) >= set(_EXPORTED.values())


def _respelled(opened: OpenedTable, plan: Plan) -> frozenset[str]:
    """Roles whose ids are all whole numbers, some of them written with ".0", as `read_log` reads them without it."""
    schema = opened.table.collect_schema()
    names = {"user": plan.columns.user, "item": plan.columns.item}
    roles = {role: name for role, name in names.items() if schema[name] == pl.String and opened.columns is None}
    if not roles:
        return frozenset()
    tests = {}
    for role, name in roles.items():
        ids = pl.col(name).filter(~pl.col(name).str.strip_chars().str.to_lowercase().is_in(["", *MISSING_WORDS]))
        tests[role] = ids.str.contains(r"^-?(0|[1-9]\d*)(\.0)?$").all() & ids.str.ends_with(".0").any()
    found = opened.table.select(**tests).collect(engine="streaming").row(0, named=True)
    return frozenset(role for role, told in found.items() if told)


def _key(file: Path, plan: Plan) -> str:
    """What an unfinished import is found by: the file as it is now, and how it is read."""
    parts = sorted(file.glob("*.parquet")) if file.is_dir() else [file]
    stamps = [(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in parts]
    about = json.dumps([str(file.resolve()), stamps, plan.as_dict()])
    return f"import/{hashlib.sha256(about.encode()).hexdigest()}"


class _State:
    """How far an import has come: a receipt among those of the batches, which is removed at the end."""

    def __init__(
        self, engine: sa.Engine, key: str, rows: int, accepted: int, duplicates: int, refusals: Refusals
    ) -> None:
        self.engine, self.key = engine, key
        self.rows, self.accepted, self.duplicates, self.refusals = rows, accepted, duplicates, refusals

    @classmethod
    def of(cls, engine: sa.Engine, key: str) -> "_State":
        """The state of an unfinished import, or of a new one."""
        with engine.connect() as connection:
            found = connection.execute(sa.select(batches).where(batches.c.key == key)).one_or_none()
        if found is None:
            return cls(engine, key, 0, 0, 0, Refusals())
        about = json.loads(found.digest)
        refusals = Refusals({why: (count, row) for why, (count, row) in about["refused"].items()})
        return cls(engine, key, about["rows"], found.accepted, found.duplicates, refusals)

    def add(self, taken: Storable, now: int, done: int) -> None:
        """Store the events of a chunk, and that the rows before `done` are done."""
        insert: Any = (postgresql if self.engine.dialect.name == "postgresql" else sqlite).insert
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql(_CACHE)
            new = insert_many(connection, taken.rows, now, lists=taken.lists)
            accepted, duplicates = self.accepted + new, self.duplicates + len(taken.rows) - new
            digest = json.dumps({"rows": done, "refused": self.refusals.found})
            receipt = {"digest": digest, "accepted": accepted, "duplicates": duplicates, "arrived": now}
            found = insert(batches).values(key=self.key, **receipt)
            connection.execute(found.on_conflict_do_update(index_elements=["key"], set_=receipt))
        self.rows, self.accepted, self.duplicates = done, accepted, duplicates

    def forget(self) -> None:
        """Remove the receipt: the same file, imported again, is looked at from its beginning."""
        with self.engine.begin() as connection:
            connection.execute(sa.delete(batches).where(batches.c.key == self.key))
