"""A file, a folder or a table → a validated, encoded event log."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from foldin.data.frame_style import FrameStyle, id_type
from foldin.data.frames import is_frame, to_polars
from foldin.data.log.events import EventLog, log_from_table, with_items
from foldin.data.log.formats import open_table
from foldin.data.log.items import COMPANIONS, items_of, open_items
from foldin.data.log.keywords import advising_in_python, report_in_python
from foldin.data.log.options import ReadOptions, takes_read_options
from foldin.data.log.report import ReadReport
from foldin.data.log.roles import find_roles
from foldin.data.log.urls import shown_source
from foldin.errors import DataError

__all__ = ["LOG_NAMES", "described", "log_file", "read_as", "read_file", "read_frame"]

# What a folder's log is called in the public data sets, in order of preference.
LOG_NAMES = ("ratings.csv", "ratings.dat", "u.data", "ratings_ordered.csv.gz", "sequences.txt", "user_artists.dat")


def log_file(path: Path) -> Path:
    """The log file of a folder, by its usual name; the path itself if it is a file or a folder of Parquet parts."""
    if not path.is_dir() or any(path.glob("*.parquet")):
        return path
    for name in LOG_NAMES:
        if (path / name).is_file():
            return path / name
    raise DataError(f"{path}: no log in this folder: none of {', '.join(LOG_NAMES)}, no *.parquet; name the file")


@takes_read_options
def read_file(path: str | Path, *, progress: Callable[[str], None] | None = None, **options: Any) -> EventLog:
    """The validated log of a file or folder.

    Args:
        path: Parquet (a file or a folder of parts), CSV/TSV, NDJSON or JSON, MovieLens `::`, RecBole `.inter`, `user item`
            and `user item rating time` lines, or a sequence per line; plain or gzip. A MovieLens folder is recognized by
            its file names.
        progress: called with the current step, in a few words.
        options: as in `ReadOptions`.

    Raises:
        DataError: the file is missing, damaged, of another format, or has values that cannot be used; the message
            gives the file, the column and the first row.
    """
    chosen, file = ReadOptions(**options), log_file(Path(path))
    return read_as(file, str(file), chosen, progress or (lambda _: None))


def read_as(file: Path, name: str, chosen: ReadOptions, say: Callable[[str], None]) -> EventLog:
    """The validated log of a file, or of a folder of Parquet parts, that has another name in messages and in the report.

    Raises:
        DataError: as `read_file`.
    """
    say(f"reading {name}")
    with open_table(file, chosen.format, chosen.encoding) as opened:
        lazy, fmt = opened
        roles = find_roles(lazy, chosen.said(), name, opened.columns)
        columns = roles.columns
        wanted = columns.roles()
        opened.require(wanted.values())
        ids = [pl.col(columns.user), pl.col(columns.item)]
        schema = lazy.collect_schema()
        # Text ids become categories while they are read: never 20 million strings at once.
        coded = [
            one.cast(pl.Categorical) if schema[one.meta.output_name()] == pl.String and fmt == "parquet" else one
            for one in ids
        ]
        rest = [pl.col(column) for role, column in wanted.items() if role not in ("user", "item")]
        table = lazy.select(*coded, *rest).collect(engine="streaming")
    report = ReadReport(source=name, format=fmt, columns=columns.roles(), rows=table.height)
    for note in opened.notes:
        report = report.noted(note.count, note.text)
    report = roles.noted(report)
    say("checking and sorting")
    kinds: dict[str, Any] = {
        role: pl.String() if schema[column] == pl.String else id_type(table[column])
        for role, column in (("user", columns.user), ("item", columns.item))
    }
    log = replace(log_from_table(table, columns, report, chosen), style=FrameStyle(**kinds))
    return described(log, file, chosen.items)


def described(log: EventLog, file: Path, items: Any = None) -> EventLog:
    """The log with titles and features of its items, from a file or a table, or else from a file that stands beside the log.

    Raises:
        DataError: `items` cannot be used.
    """
    return _with_companion(log, file) if items is None else _with_items(log, items)


@takes_read_options
def read_frame(frame: Any, **options: Any) -> EventLog:
    """The validated log of a table.

    Args:
        frame: of pandas, Polars, PyArrow, or any with the Arrow stream interface; one row for each event. Columns are found by
            their names, as those of a file.
        options: as in `ReadOptions`; `format` and `encoding` have no meaning here.

    Raises:
        DataError: `frame` is not a table, or has values that cannot be used; the message gives the column and the first row.
    """
    chosen = ReadOptions(**options)
    if given := [name for name in ("format", "encoding") if getattr(chosen, name) is not None]:
        raise DataError(f"the table has no {given[0]}: it is not a file")
    table, library = to_polars(frame)
    with advising_in_python():
        roles = find_roles(table.lazy(), chosen.said(), "the table")
        columns = roles.columns
        report = ReadReport(source="the table", format=library, columns=columns.roles(), rows=table.height)
        report = roles.noted(report)
        log = log_from_table(table.select(columns.roles().values()), columns, report, chosen)
    style = FrameStyle.of(frame, table, library, user=columns.user, item=columns.item)
    log = replace(log, style=style, report=report_in_python(log.report))
    return log if chosen.items is None else _with_items(log, chosen.items)


def _with_items(log: EventLog, items: Any) -> EventLog:
    """The log with titles and features of items from a file or a table."""
    if is_frame(items):
        found, notes = items_of(to_polars(items, "the table of items")[0], "the table of items", ids=log.items["item"])
        return with_items(log, found, "the table of items", notes)
    found, notes = open_items(items, ids=log.items["item"])
    return with_items(log, found, shown_source(items), notes)


def _with_companion(log: EventLog, file: Path) -> EventLog:
    """The log with item features from a file beside it, or with a note if that file cannot be used."""
    folder = file if file.is_dir() else file.parent
    beside = next((folder / name for name in COMPANIONS if (folder / name).is_file()), file)
    if beside == file:
        return log
    try:
        found, notes = open_items(beside, ids=log.items["item"])
        return with_items(log, found, beside.name, notes)
    except DataError as error:
        text = f"file beside the log is not used: {error} (--items FILE chooses another)"
        return replace(log, report=log.report.noted(1, text, warning=True))
