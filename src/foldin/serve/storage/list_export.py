"""The log of lists → a file with a JSON object a line, in the memory of one batch."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from foldin.data.log.store import connect, unusable
from foldin.data.log.urls import public_url
from foldin.errors import ConfigError, DataError
from foldin.files import write_atomically
from foldin.serve.storage.impression_tables import impressions
from foldin.serve.storage.retirements import retirements

__all__ = ["SUFFIXES", "export_lists"]

SUFFIXES = (".jsonl", ".ndjson")
_BATCH = 10_000


def export_lists(url: str, target: Path, *, since: int | None = None) -> int:
    """Write the logged lists of a store to a file, oldest first; returns their number.

    Each line holds the fields of `Impression`, with the time in ISO 8601.

    Args:
        url: `sqlite:///FILE` or `postgresql://…`, as of `foldin serve --events`.
        target: file ending in one of `SUFFIXES`; an existing one is replaced when the new one is whole.
        since: only lists of this time or later, in seconds since 1970.

    Raises:
        ConfigError: another suffix, or another kind of URL.
        DataError: no log of lists in this database.
        EventStoreError: the database cannot be reached.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{target}: a file name ending in {' or '.join(SUFFIXES)} was expected")
    engine, written = connect(url, reading=True), 0
    statement = sa.select(impressions).order_by(impressions.c.time, impressions.c.list_id)
    if since is not None:
        statement = statement.where(impressions.c.time >= since)

    def write(part: Path) -> None:
        nonlocal written
        with engine.connect() as connection, part.open("w", encoding="utf-8") as file:
            if not sa.inspect(connection).has_table(retirements.name):
                raise DataError(
                    f"{public_url(url)}: has no log of lists of this version; `foldin serve` migrates it once"
                )
            rows = connection.execution_options(yield_per=_BATCH).execute(statement).mappings()
            for row in rows:
                file.write(json.dumps(_line(dict(row)), ensure_ascii=False) + "\n")
                written += 1

    try:
        write_atomically(target, write)
    except SQLAlchemyError as error:
        raise unusable(error) from error
    finally:
        engine.dispose()
    return written


def _line(row: dict[str, Any]) -> dict[str, Any]:
    time = datetime.fromtimestamp(row["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"list_id": row.pop("list_id"), "user": row.pop("user_id"), **row, "time": time}
