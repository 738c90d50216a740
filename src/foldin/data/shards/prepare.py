"""A log of any size → shards, in steps that are each small in memory, and repeated after an interruption only where they must.

    plan          columns, times and ratings are decided, from one pass over the columns of times and ratings
    chunks        a few million rows each: checked, with ids as codes of the chunk's own dictionaries, in pieces by user
    dictionaries  the ids of all chunks, ordered as in a log that is read at once
    partitions    the codes of each chunk in the whole log, and where its events of each block of users are
    blocks        the events of each block in order, repeats dropped, appended to the arrays

A chunk or partition that is there is not made again, and `blocks.json` says how far the arrays are.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from foldin.data.histories import Histories
from foldin.data.local_copy import local_file
from foldin.data.log.beside import kinds_noted
from foldin.data.log.checks import giant_user
from foldin.data.log.events import EventLog
from foldin.data.log.formats import open_table
from foldin.data.log.options import ReadOptions, takes_read_options
from foldin.data.log.read import described, log_file
from foldin.data.log.read_store import check_store_options, exporting
from foldin.data.log.report import ReadReport
from foldin.data.log.sent_items import with_stored_items
from foldin.data.log.time_reading import time_notes
from foldin.data.log.urls import is_file_url, is_url, public_url
from foldin.data.shards.blocks import write_blocks
from foldin.data.shards.chunk import Chunk, mapped, write_chunk
from foldin.data.shards.dictionaries import Dictionary, Ids, dictionaries
from foldin.data.shards.manifest import write_manifest
from foldin.data.shards.opened import arrays_in, open_shards
from foldin.data.shards.partition import Partition, blocks_of, write_partition
from foldin.data.shards.plan import Plan, plan_of
from foldin.data.shards.workspace import Workspace, in_order
from foldin.errors import ColumnError, DataError, EmptyLogError

__all__ = ["prepare"]

Progress = Callable[[str, int, int], None]
_MANY_KINDS = 256
_LAYOUT = 2  # of chunks and partitions, which are not read by a foldin with another
_PIECE = 1 << 17  # rows that are put in order together, in the processor's cache
_READ_TOGETHER = 1 << 13


@takes_read_options
def prepare(
    path: str | Path,
    out: str | Path,
    *,
    chunk_rows: int = 4_000_000,
    block_events: int = 4_000_000,
    workers: int = 2,
    progress: Progress | None = None,
    **options: Any,
) -> EventLog:
    """Write a log to a folder of shards, and open it: the same log as `read_log` gives, with its events on disk.

    Memory beyond the dictionaries of ids is that of a few chunks or blocks, whatever the number of events. What was
    interrupted goes on where it was when it is called again with the same arguments.

    Args:
        path: file or folder of Parquet parts, in any format of `read_file`; or the URL of an event store. Its events are taken
            once, so that what is interrupted goes on with the same events.
        out: folder of the shards, which must not exist.
        chunk_rows: rows that are read at a time, at most.
        block_events: events that are put in order at a time, at most, but for a user with more.
        workers: chunks or blocks that are worked on at a time.
        progress: called with the current step, the number of its parts that are done, and of all of its parts.
        options: as in `ReadOptions`.

    Raises:
        DataError: the log cannot be used, as of `read_log`; `out` exists, or another process prepares it; a size is below 1; or
            what was interrupted began with other arguments.
    """
    for name, value in (("chunk_rows", chunk_rows), ("block_events", block_events), ("workers", workers)):
        if value < 1:
            raise DataError(f"{name}: {value}; a whole number of at least 1 was expected")
    chosen, say = ReadOptions(**options), progress or (lambda *_: None)
    if chosen.weighting is not None:
        raise DataError(
            f"{path}: weights of events are decided when a model is trained; give them when the shards are read"
        )
    target = Path(out)
    work, sizes = Workspace(target), _Sizes(chunk_rows, block_events, workers)
    if not target.exists() or work.folder.exists():
        with work.alone():
            if not target.exists():
                return _prepared(path, work, chosen, sizes, say)
            work.tidy()
    raise DataError(f"{target}: exists already; remove it, or name another folder")


def _prepared(path: str | Path, work: Workspace, chosen: ReadOptions, sizes: "_Sizes", say: Progress) -> EventLog:
    """The log that `prepare` gives, once it is certain that nobody else writes it."""
    workers = sizes.workers
    origin = _origin(path, work, chosen, sizes, say)
    plan, chunks = _chunks(origin, work, chosen, sizes, say)
    report = plan.report
    for chunk in chunks:
        report = report.summed(chunk.notes())
    say("ids of users and items", 0, 1)
    ids, report = dictionaries(chunks, plan.columns, report)
    users, items = ids.users, ids.items
    _some(report, users, items)
    kinds, report = _kinds(chunks, ids, plan, report)
    blocks = blocks_of(users.counts, sizes.even(int(users.counts.sum()), sizes.events))

    def partition(at: int) -> Partition:
        write = lambda folder: write_partition(chunks[at], ids, kinds, blocks, folder)
        return Partition(work.part(f"partition-{at:05}", write), chunks[at])

    partitions = []
    for at, one in enumerate(in_order(len(chunks), partition, workers)):
        partitions.append(one)
        say("events by user", at + 1, len(chunks))
    report = report.extended(_time_notes(chunks, plan, int(users.counts.sum())))
    report = giant_user(users.counts, users.ids, report)
    shards, report = write_blocks(
        work, partitions, blocks, users.counts, items.ids.len(), chosen.repeats, kinds, report, say, workers
    )
    users.ids.alias("user").to_frame().write_parquet(shards / "users.parquet")
    item_ids = items.ids.alias("item").to_frame()
    found: Any = plan.columns.roles()
    histories = Histories(**arrays_in(shards), n_items=item_ids.height)
    log = EventLog(
        histories=histories,
        users=users.ids,
        items=item_ids,
        report=report,
        kinds=kinds or (),
        reading=replace(chosen, **found, items=None),
    )
    log = described(log, origin.file, chosen.items)
    if origin.database is not None:
        log = with_stored_items(log, exporting().items_in(origin.file))
    log.items.write_parquet(shards / "items.parquet")
    write_manifest(
        shards,
        log.histories,
        workers,
        kinds=list(log.kinds),
        reading=log.reading.differing(),
        report=asdict(log.report),
    )
    work.finish(shards.name)
    return open_shards(work.target)


class _Sizes(NamedTuple):
    """Rows of a chunk and events of a block, at most, and how many of either are worked on at a time."""

    rows: int
    events: int
    workers: int

    def even(self, count: int, most: int) -> int:
        """The size of parts of so many, each of at most `most`, such that all workers end at about the same time."""
        parts = math.ceil(count / most)
        return math.ceil(count / (parts if parts <= 1 else self.workers * math.ceil(parts / self.workers)))

    def same(self) -> dict[str, Any]:
        """What must be the same when an interrupted preparation goes on, beside the log."""
        sizes = {"chunk_rows or block_events": self[:2], "number of workers": self.workers}
        return {"version of foldin": [_LAYOUT, _PIECE, _READ_TOGETHER], **sizes}


class _Origin(NamedTuple):
    """The log as files, its name, and the database that it was taken from, if any."""

    file: Path
    name: str
    database: str | None = None


def _origin(path: str | Path, work: Workspace, options: ReadOptions, sizes: _Sizes, say: Progress) -> _Origin:
    """Where the log is; the events of a store are taken first, unless they were before an interruption."""
    if is_file_url(path):
        return _Origin(local_file(path), public_url(path))
    if not is_url(path):
        file = log_file(Path(path))
        return _Origin(file, str(file))
    check_store_options(path, options)
    shown, export = public_url(path), exporting()
    said = {name: str(value) for name, value in options.differing().items()}
    work.begin({"log": shown, "options": said, **sizes.same()})
    progress = lambda done, total: say(f"reading {shown}", done, total)
    folder = work.part("source", lambda folder: export.write_parts(path, folder, progress=progress))
    found = export.parts_in(folder)
    return _Origin(folder, found.url, found.database)


def _chunks(
    origin: _Origin, work: Workspace, options: ReadOptions, sizes: _Sizes, say: Progress
) -> tuple[Plan, list[Chunk]]:
    """The plan, and the log in chunks that are on the disk."""
    file = origin.file
    say(f"looking through {origin.name}", 0, 1)
    with open_table(file, options.format, options.encoding) as opened:
        plan = plan_of(opened, origin.name, options)
        if origin.database is None:
            parts = sorted(file.glob("*.parquet")) if file.is_dir() else [file]
            stamps = [(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in parts]
            begun = {"log": [str(file.resolve()), stamps], "plan": plan.as_dict()}
            work.begin({**begun, **sizes.same()})
        else:
            plan = replace(plan, report=replace(plan.report, format=origin.database))
        names = list(dict.fromkeys(plan.report.columns.values()))
        lazy = opened.table.select(names)
        if opened.format != "parquet":  # of which any range of rows is found at once
            copy = work.part("source", lambda folder: lazy.sink_parquet(folder / "rows.parquet"))
            lazy = pl.scan_parquet(copy / "rows.parquet", glob=False)

        def chunk(at: int) -> Chunk:
            def write(folder: Path) -> None:
                part = lazy.slice(at * rows, rows).collect(engine="streaming")
                write_chunk(part, at * rows, plan, min(piece, rows), folder)

            return Chunk(work.part(f"chunk-{at:05}", write))

        # Of each piece, a block has so many rows that they are read from the disk together.
        piece = max(_PIECE, _READ_TOGETHER * math.ceil(plan.report.rows / sizes.events))
        rows = sizes.even(plan.report.rows, sizes.rows)
        chunks, count = [], math.ceil(plan.report.rows / rows)
        for one in in_order(count, chunk, sizes.workers):
            chunks.append(one)
            say(f"reading {origin.name}", len(chunks), count)
    return plan, chunks


def _some(report: ReadReport, users: Dictionary, items: Dictionary) -> None:
    if not users.ids.len() or not items.ids.len():
        raise EmptyLogError(f"{report.source}: no event is left: {_drops(report)}")


def _drops(report: ReadReport) -> str:
    return "; ".join(f"{note.count:,} {note.text}" for note in report.notes if note.dropped)


def _kinds(chunks: list[Chunk], ids: Ids, plan: Plan, report: ReadReport) -> tuple[tuple[str, ...] | None, ReadReport]:
    """(names of the kinds of all chunks, report); None for a log without kinds."""
    name = plan.columns.kind
    if name is None:
        return None, report
    counts: dict[str, int] = {}
    for chunk in chunks:
        if (found := chunk.about["kinds"]) is None:
            return None, report  # its note says why
        if ids.dropped:
            left = np.bincount(mapped(chunk.folder)["kinds"][ids.kept(chunk)], minlength=len(found))
            found = {kind: int(count) for kind, count in zip(found, left, strict=True) if count}
        for kind, count in found.items():
            counts[kind] = counts.get(kind, 0) + count
    if len(counts) > _MANY_KINDS:
        trouble = f"column {name!r} contains {len(counts):,} kinds of events, and at most 256 are possible"
        if plan.options.kind is not None:
            raise ColumnError(f"{report.source}: {trouble}")
        note = f"rows are read without kinds: {trouble} (--kind NAME chooses another)"
        return None, report.noted(report.rows, note, warning=True)
    return tuple(sorted(counts)), kinds_noted(dict(sorted(counts.items())), name, report)


def _time_notes(chunks: list[Chunk], plan: Plan, events: int) -> Any:
    if plan.time is None or plan.columns.time is None:
        return ()
    spans = [one.about["times"] for one in chunks if "times" in one.about]
    odd = [one.about["odd"] for one in chunks if "odd" in one.about]
    first, last = min((a for a, _ in spans), default=0), max((b for _, b in spans), default=0)
    return time_notes(
        plan.time, plan.columns.time, events, first, last, (sum(a for a, _ in odd), sum(b for _, b in odd))
    )
