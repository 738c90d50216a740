"""The events of a store → a validated, encoded event log: that of a Parquet file that was exported from it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from foldin.data.log.events import EventLog
from foldin.data.log.options import ReadOptions, takes_read_options
from foldin.data.log.read import read_as
from foldin.data.log.sent_items import with_stored_items
from foldin.data.log.urls import public_url
from foldin.errors import DataError, MissingExtraError

__all__ = ["check_store_options", "exporting", "read_store"]


def exporting() -> Any:
    """The module `foldin.data.log.export`, which needs SQLAlchemy.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from foldin.data.log import export
    except ImportError as error:
        raise MissingExtraError(error.name or "sqlalchemy", "store", "an event store") from error
    return export


def check_store_options(url: str, options: ReadOptions) -> None:
    """Raise if options are given that only files have.

    Raises:
        DataError: the message gives the option.
    """
    if given := [name for name in ("format", "encoding") if getattr(options, name) is not None]:
        raise DataError(f"{public_url(url)}: an event store has no {given[0]}: it is not a file")


@takes_read_options
def read_store(url: str, *, progress: Callable[[str], None] | None = None, **options: Any) -> EventLog:
    """The validated log of an event store, as of now: its events in the order in which the service folds them in.

    Items that were sent to the service have the titles and features that were sent, before those of `items`; retired ones are
    marked (`is_active`), and active ones that have no event follow the others. They are as of now, also for an earlier
    `?until=ID`.

    The report names the store with the number of its last event (`URL?until=ID`), without passwords: the same log again, though
    the store has grown.

    Args:
        url: `sqlite:///FILE` or `postgresql://…`, as of `foldin serve --events`.
        progress: called with the current step, in a few words.
        options: as in `ReadOptions`; `format` and `encoding` have no meaning here.

    Raises:
        ConfigError: another kind of URL.
        DataError: no event store, or events that cannot be used.
        EventStoreError: the database cannot be reached.
        MissingExtraError: SQLAlchemy or the driver of PostgreSQL is not installed.
    """
    chosen, say = ReadOptions(**options), progress or (lambda _: None)
    check_store_options(url, chosen)
    say(f"reading {public_url(url)}")
    with exporting().exported_parts(url) as (folder, exported):
        log = with_stored_items(read_as(folder, exported.url, chosen, say), exporting().items_in(folder))
    return replace(log, report=replace(log.report, format=exported.database))
