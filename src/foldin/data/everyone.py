"""All users of a table of events for which lists are requested, including users without a usable event."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.data.catalog import Catalog
from foldin.data.frame_style import FrameStyle
from foldin.data.frames import to_polars
from foldin.data.histories import Histories
from foldin.data.local_copy import local_file
from foldin.data.log.checks import id_column, missing_ids
from foldin.data.log.columns import Columns
from foldin.data.log.encode import encode
from foldin.data.log.events import EventLog
from foldin.data.log.formats import open_table
from foldin.data.log.options import ReadOptions
from foldin.data.log.read import read_as, read_frame
from foldin.data.log.read_store import exporting
from foldin.data.log.roles import find_roles
from foldin.data.log.text_ids import same_spelling
from foldin.data.log.urls import is_file_url, is_url, public_url
from foldin.data.weighting import EventWeights
from foldin.errors import EmptyLogError

__all__ = ["Everyone", "everyone_of_file", "everyone_of_frame", "users_of_file"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Everyone:
    """The users of a table.

    Args:
        users: external ids, sorted.
        histories: history of each user over a catalog; empty if the user has no usable event.
        unknown_events: number of ignored events, whose items are not in the catalog.
        unknown_items: number of those items.
        without_events: number of users with an empty history.
        style: library and types of ids of the table; of Polars and text for a file.
    """

    users: pl.Series
    histories: Histories
    unknown_events: int
    unknown_items: int
    without_events: int
    style: FrameStyle = field(default_factory=FrameStyle)


def everyone_of_file(
    file: str | Path, reading: ReadOptions, catalog: Catalog, weighting: EventWeights | None = None
) -> Everyone:
    """The users of a file or an event store, read with the options of an earlier log as far as it has the columns for them.

    Args:
        file: path of a file, or URL of a file or of an event store.
        weighting: the rule by which events are weighted; None if all count alike.

    Raises:
        DataError: the file cannot be read, or contains no user id.
        ConfigError, EventStoreError, MissingExtraError: as `read_store`.
    """
    if is_file_url(file):
        return _everyone_in(local_file(file), public_url(file), reading, catalog, weighting)
    if is_url(file):
        with exporting().exported_parts(file) as (folder, exported):
            return _everyone_in(folder, exported.url, reading, catalog, weighting)
    return _everyone_in(Path(file), str(file), reading, catalog, weighting)


def users_of_file(file: Path, reading: ReadOptions) -> pl.Series:
    """The ids of the users in a file, each once, read as `everyone_of_file` does but without their events.

    Raises:
        DataError: the file cannot be read, or contains no user id.
    """
    with open_table(file) as opened:
        users = _named_users(_asked(opened.table, reading, str(file), opened.columns)[2], str(file))
    if users.is_empty():
        raise EmptyLogError(f"{file}: it contains no user id")
    return users


def _everyone_in(
    file: Path, name: str, reading: ReadOptions, catalog: Catalog, weighting: EventWeights | None
) -> Everyone:
    with open_table(file) as opened:
        options, _, column = _asked(opened.table, reading, name, opened.columns)
    return _everyone(column, name, catalog, weighting, lambda: read_as(file, name, options, lambda _: None))


def everyone_of_frame(
    frame: Any, reading: ReadOptions, catalog: Catalog, weighting: EventWeights | None = None
) -> Everyone:
    """The users of a table, read with the options of an earlier log as far as the table has the columns for them.

    Args:
        frame: a table of pandas, Polars, PyArrow or any library with the Arrow stream interface.
        weighting: the rule by which events are weighted; None if all count alike.

    Raises:
        DataError: the table cannot be read, or contains no user id.
    """
    where = "the table of users"
    table, library = to_polars(frame, where)
    options, columns, users = _asked(table.lazy(), reading, where)
    asked = _everyone(users, where, catalog, weighting, lambda: read_frame(table, **options.reading()))
    return replace(asked, style=FrameStyle.of(frame, table, library, user=columns.user, item=columns.item))


def _asked(
    lazy: pl.LazyFrame, reading: ReadOptions, where: str, recorded: Columns | None = None
) -> tuple[ReadOptions, Columns, pl.Series]:
    """The options that fit the table, its columns, and that of its users."""
    names = lazy.collect_schema().names()
    said: dict[str, Any] = {role: name if name in names else None for role, name in reading.said().items()}
    columns = find_roles(lazy, said, where, recorded).columns
    options = ReadOptions(
        **said,
        time_format=reading.time_format,
        min_rating=reading.min_rating if columns.rating is not None else None,
        dislike_below=reading.dislike_below if columns.rating is not None else None,
        repeats=_repeats(reading, columns),
    )
    return options, columns, lazy.select(pl.col(columns.user)).collect()[columns.user]


def _repeats(reading: ReadOptions, columns: Columns) -> str:
    if columns.kind is not None:
        return reading.kept_repeats
    return "first" if reading.repeats == "first-of-kind" else reading.repeats


def _one_more(histories: Histories) -> Histories:
    """The histories with a further user, who has no events."""
    dislikes = None if histories.dislikes is None else _one_more(histories.dislikes)
    return replace(histories, offsets=np.append(histories.offsets, histories.offsets[-1]), dislikes=dislikes)


def _named_users(column: pl.Series, where: str) -> pl.Series:
    """The ids in a column of users, each once, without those that stand for a missing one."""
    given = (column.fill_nan(None) if column.dtype.is_float() else column).drop_nulls()
    codes, ids = encode(id_column(given, where, lambda at: at + 1))
    words, kept = missing_ids(np.bincount(codes, minlength=ids.len()), ids)
    return same_spelling(ids.filter(~ids.is_in(words.to_list()) | ids.is_in(kept.to_list())))


def _everyone(
    column: pl.Series, where: str, catalog: Catalog, weighting: EventWeights | None, read: Callable[[], EventLog]
) -> Everyone:
    try:
        log = read()
    except EmptyLogError:
        log = None  # every user gets a list all the same
    real = _named_users(column, where)
    users = encode(real if log is None else pl.concat([real, log.users]))[1]
    if log is None:
        if users.is_empty():
            raise EmptyLogError(f"{where}: it contains no user id")
        own, unknown = Histories.empty(users.len(), len(catalog)), (0, 0)
    else:
        users = users if users.len() > log.users.len() else log.users
        own, unknown = _histories(users, log, catalog, weighting)
    return Everyone(
        users=users,
        histories=own,
        unknown_events=unknown[0],
        unknown_items=unknown[1],
        without_events=int((own.lengths == 0).sum()),
    )


def _histories(
    users: pl.Series, log: EventLog, catalog: Catalog, weighting: EventWeights | None
) -> tuple[Histories, tuple[int, int]]:
    """(the histories of these users, those without an event included; numbers of events and items that the catalog lacks)."""
    places = catalog.places(log.items["item"])
    new = np.array([-1 if at is None else at for at in places], dtype=np.int64)
    # Codes of kinds are those of this table, not of the log that a model was trained on.
    own = log.histories if weighting is None else weighting.applied(log.histories, log.kinds)
    own = replace(own, kinds=None, values=None).reindex(new, len(catalog))
    if users.len() > log.users.len():
        at = pl.DataFrame({"p": users}).join(
            pl.DataFrame({"p": log.users, "at": np.arange(log.users.len())}),
            on="p",
            how="left",
            maintain_order="left",
        )["at"]
        extended = _one_more(own)
        own = extended.select(at.fill_null(len(extended) - 1).to_numpy())
    return own, (int((new[log.histories.items] < 0).sum()), int((new < 0).sum()))
