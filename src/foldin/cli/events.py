"""`foldin events`: events of the service's database, out of it and into it."""

import time
from datetime import UTC, datetime
from typing import Any

import click

from foldin.cli.options import JSON, column_options
from foldin.cli.output import json_out, out, status, table, working
from foldin.cli.targets import check_file, file_path, store_url
from foldin.data import ReadOptions
from foldin.data.log.read_store import exporting
from foldin.data.log.urls import public_url
from foldin.errors import ConfigError, MissingExtraError

__all__ = ["command"]

_COLUMNS = {"user", "item", "time", "kind", "value"}  # of a file that `export` writes
_LISTED = {"list_id", "user", "time", "model", "ranker", "items"}  # of a file that `export-lists` writes
_OVERLAP = 300  # seconds by which two exports overlap: events may be on their way, and clocks may differ
_SHOWN = 8


@click.group()
def command() -> None:
    """Export, import and count the events of the service's database.

    URL is that of `foldin serve --events`: sqlite:///FILE or postgresql://USER@HOST/NAME. A password is better given by the
    environment variable PGPASSWORD or the file ~/.pgpass than in the URL. `foldin fit` and the other commands take the URL itself
    in place of PATH.

    \b
    Example:
      foldin events list sqlite:///events.db
    """


@command.command("list")
@click.argument("url")
@JSON
def list_events(url: str, as_json: bool) -> None:
    """Count the events, users, items and kinds of the store at URL.

    \b
    Example:
      foldin events list sqlite:///events.db
    """
    exporting()  # says what is missing, if the extra is not installed
    from foldin.data.log.census import counts_of

    about = counts_of(store_url(url))
    if as_json:
        json_out(about)
        return
    kinds = [f"{kind or 'none'} {count:,}" for kind, count in about["kinds"].items()]
    more = f" and {len(kinds) - _SHOWN} more" if len(kinds) > _SHOWN else ""
    rows = [
        ("events", f"{about['events']:,} of {about['users']:,} users with {about['items']:,} items"),
        ("kinds", f"{', '.join(kinds[:_SHOWN])}{more}"),
        ("times", _span(about["times"])),
        ("arrived", _span(about["arrived"])),
    ]
    out().print(table(about["store"], ("", ""), rows, left=2))


@command.command("export")
@click.argument("url")
@click.argument("target", metavar="OUT")
@click.option(
    "--since",
    metavar="TIME",
    help="Only events that arrived at this time or later: ISO 8601 with an offset, or seconds since 1970. The command prints the "
    "TIME for the next export, which overlaps with this one.",
)
@JSON
def export(url: str, target: str, since: str | None, as_json: bool) -> None:
    """Write the events of the store at URL to the file OUT, ending in .parquet, .csv, .jsonl or .ndjson, in the order of arrival.
    The columns are user, item, time (in UTC), kind and value; a file in .csv or .jsonl can be sent to POST /v1/events.

    The file holds the store as of the start of the command, and is there at once when it is whole. Users who were erased before
    are not in it.

    \b
    Example:
      foldin events export sqlite:///events.db events.parquet
    """
    exporter, path, start = exporting(), file_path(target), time.perf_counter()
    url = store_url(url)
    check_file(path, "OUT", exporter.SUFFIXES, columns=_COLUMNS)
    moment = None if since is None else _moment(since)
    with working("exporting") as bar:
        found = exporter.export_events(url, path, since=moment, progress=bar)
    later = moment if found.arrived is None else max(0, found.arrived - _OVERLAP)
    content = {
        "out": target,
        "store": found.url,
        "events": found.events,
        "next_since": None if later is None else _iso(later),
        "seconds": time.perf_counter() - start,
    }
    if as_json:
        json_out(content)
        return
    out().print(f"{found.events:,} events → {target}", soft_wrap=True)
    if later is not None:
        out().print(f"what arrives from now on: --since {_iso(later)}", soft_wrap=True)


@command.command("export-lists")
@click.argument("url")
@click.argument("target", metavar="OUT")
@click.option(
    "--since", metavar="TIME", help="Only lists of this time or later: ISO 8601 with an offset, or seconds since 1970."
)
@JSON
def export_lists_command(url: str, target: str, since: str | None, as_json: bool) -> None:
    """Write the logged lists of the store at URL to the file OUT, ending in .jsonl or .ndjson. A line is a list that the service
    answered: its id, user, time, model, arm, ranker, items and, if it was drawn at random, their propensities.

    \b
    Example:
      foldin events export-lists sqlite:///events.db lists.jsonl
    """
    try:
        from foldin.serve.storage.list_export import SUFFIXES, export_lists
    except ImportError as error:
        raise MissingExtraError(error.name or "sqlalchemy", "serve", "an export of lists") from error

    path, start, url = file_path(target), time.perf_counter(), store_url(url)
    check_file(path, "OUT", SUFFIXES, columns=_LISTED)
    with working("exporting"):
        count = export_lists(url, path, since=None if since is None else _moment(since))
    if as_json:
        json_out({"out": target, "store": public_url(url), "lists": count, "seconds": time.perf_counter() - start})
        return
    out().print(f"{count:,} lists → {target}", soft_wrap=True)


@command.command("import")
@click.argument("file")
@click.argument("url")
@column_options
@click.option(
    "--chunk-rows",
    type=click.IntRange(1),
    default=50_000,
    show_default=True,
    help="Number of rows that are read and stored at a time.",
)
@JSON
def import_command(file: str, url: str, chunk_rows: int, as_json: bool, **options: Any) -> None:
    """Store the events of FILE, in any format with columns that `foldin fit` reads, in the store at URL. Every event needs a
    time. The database is made, or migrated to this version, if necessary.

    An event that is stored already is left as it is, so that a file may be imported again. What was interrupted, killed included,
    is continued by the same command. Rows that the service would refuse are counted by their reason, and the others are stored.

    \b
    Example:
      foldin events import ratings.csv sqlite:///events.db
    """
    try:
        from foldin.serve.storage.importing import import_events
    except ImportError as error:
        raise MissingExtraError(error.name or "sqlalchemy", "serve", "an import into the event store") from error

    path, url, start = file_path(file), store_url(url), time.perf_counter()
    with working("importing") as bar:
        found = import_events(path, url, options=ReadOptions(**options), chunk_rows=chunk_rows, progress=bar)
    refused = [{"reason": one.reason, "count": one.count, "row": one.row} for one in found.refused]
    if as_json:
        notes = [{"text": note.text, "count": note.count} for note in found.notes]
        numbers = {"rows": found.rows, "new": found.accepted, "already_there": found.duplicates}
        total = sum(one.count for one in found.refused)
        about = {"store": public_url(url), **numbers, "refused": total, "reasons": refused, "notes": notes}
        json_out({**about, "resumed": found.resumed, "seconds": time.perf_counter() - start})
        return
    for note in found.notes:
        status(f"{note.count:,} {note.text}")
    if found.resumed:
        status(f"continued after row {found.resumed:,}")
    rows = [
        ("rows", f"{found.rows:,}"),
        ("new", f"{found.accepted:,} events"),
        ("already there", f"{found.duplicates:,}"),
        *(("refused", f"{one.count:,} {one.reason}; the first in row {one.row:,}") for one in found.refused),
    ]
    out().print(table(f"{file} → {public_url(url)}", ("", ""), rows, left=2))


def _moment(text: str) -> int:
    """Seconds since 1970.

    Raises:
        ConfigError: not a time, or one without an offset.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigError(f"--since {text!r}: ISO 8601 with an offset was expected, such as {_iso(1_600_000_000)}")
    return int(found.timestamp())


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(times: list[int] | None) -> str:
    return "none" if times is None else f"{_iso(times[0])} to {_iso(times[1])}"
