"""`foldin items`: items of the service's database, out of it and into it."""

import time
from typing import Any

import click

from foldin.cli.options import JSON
from foldin.cli.output import json_out, out, status, table, working
from foldin.cli.targets import check_file, file_path, store_url
from foldin.data.log.read_store import exporting
from foldin.data.log.urls import public_url
from foldin.errors import MissingExtraError

__all__ = ["command"]

_COLUMNS = {"item", "title", "is_active"}  # of a file that `export` writes


@click.group()
def command() -> None:
    """Export and import the items of the service's database: titles, features, and whether an item may be listed.

    URL is that of `foldin serve --events`: sqlite:///FILE or postgresql://USER@HOST/NAME. `foldin fit URL` reads these items with
    the events.

    \b
    Example:
      foldin items export sqlite:///events.db items.csv
    """


@command.command("export")
@click.argument("url")
@click.argument("target", metavar="OUT")
@JSON
def export(url: str, target: str, as_json: bool) -> None:
    """Write the items that were sent to the service to the file OUT, ending in .parquet, .csv, .jsonl or .ndjson, in the order of
    their ids. The columns are item, title, is_active and the features; `foldin fit --items OUT` reads them, as does `foldin items
    import`. What was never sent of an item is empty, is_active as well. Parquet and JSON keep the type of each value; a .csv file
    does not: a text such as 007 is read as a number again.

    \b
    Example:
      foldin items export sqlite:///events.db items.csv
    """
    suffixes = exporting().SUFFIXES
    from foldin.data.log.item_export import export_items

    path, url, start = file_path(target), store_url(url), time.perf_counter()
    check_file(path, "OUT", suffixes, columns=_COLUMNS)
    with working("exporting") as bar:
        number = export_items(url, path, progress=bar)
    if as_json:
        json_out({"out": target, "store": public_url(url), "items": number, "seconds": time.perf_counter() - start})
        return
    out().print(f"{number:,} items → {target}", soft_wrap=True)


@command.command("import")
@click.argument("file")
@click.argument("url")
@click.option("--item", metavar="COLUMN", help="Name of the column of items, if it is unusual.")
@JSON
def import_command(file: str, url: str, item: str | None, as_json: bool) -> None:
    """Store the items of FILE, in any format that `foldin fit --items` reads, in the database at URL, as if they were sent to a
    service. The database is made, or migrated to this version, if necessary; services that run on it show the items within a
    second.

    A title that a row lacks stays as it is stored; the features of a row replace all that were stored of its item. Values of
    Parquet and JSON keep their types; text of other files becomes numbers, truth values or dates where all values of a column
    are. A column is_active with true and false, or 1 and 0, says which items may be listed. An item that is stored already as the
    file has it is left as it is, so that a file may be imported again. Rows that the service would refuse are counted by their
    reason, and the others are stored.

    \b
    Example:
      foldin items import items.csv sqlite:///events.db
    """
    try:
        from foldin.serve.storage.item_importing import import_items
    except ImportError as error:
        raise MissingExtraError(error.name or "sqlalchemy", "serve", "an import of items") from error

    path, url, start = file_path(file), store_url(url), time.perf_counter()
    with working("importing") as bar:
        found = import_items(path, url, item=item, progress=bar)
    numbers = {"rows": found.rows, "new": found.new, "changed": found.changed, "unchanged": found.unchanged}
    if as_json:
        reasons = [{"reason": one.reason, "count": one.count, "row": one.row} for one in found.refused]
        notes = [{"text": note.text, "count": note.count} for note in found.notes]
        about: dict[str, Any] = {
            "store": public_url(url),
            **numbers,
            "refused": sum(one.count for one in found.refused),
        }
        json_out({**about, "reasons": reasons, "notes": notes, "seconds": time.perf_counter() - start})
        return
    for note in found.notes:
        status(f"{note.count:,} {note.text}")
    rows = [(name, f"{number:,}") for name, number in numbers.items()]
    rows += [("refused", f"{one.count:,} {one.reason}; the first in row {one.row:,}") for one in found.refused]
    out().print(table(f"{file} → {public_url(url)}", ("", ""), rows, left=2))
