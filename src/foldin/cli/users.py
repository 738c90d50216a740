"""The users of a file to recommend to: all of them, including users without a usable event."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.data import Catalog, EventLog, Histories, Source, read_file
from foldin.data.log.checks import MISSING_WORDS, id_column
from foldin.data.log.encode import encode
from foldin.data.log.formats import open_table
from foldin.data.log.roles import find_roles
from foldin.errors import EmptyLogError
from foldin.experiment import source_of_run
from foldin.runs import Run

__all__ = ["Asked", "users_of"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """The users to recommend to.

    Args:
        users: external ids, sorted.
        histories: history of each user over the run's catalog; empty if no event can be used.
        unknown_events: number of ignored events, whose items are not in the run's catalog.
        unknown_items: number of those items.
        without_events: number of users with an empty history.
    """

    users: pl.Series
    histories: Histories
    unknown_events: int
    unknown_items: int
    without_events: int


def users_of(run: Run, file: Path) -> Asked:
    """The users in a log, read with the options of the run's training log, as far as the file has those columns.

    Raises:
        DataError: the file cannot be read.
    """
    source = source_of_run(run) or Source(path="")
    with open_table(file) as (lazy, _):
        names = lazy.collect_schema().names()
        said: dict[str, Any] = {role: name for role, name in source.said().items() if name in names}
        columns = find_roles(lazy, said, str(file)).columns
        column = lazy.select(pl.col(columns.user)).unique().collect()[columns.user]
    rated = columns.rating is not None
    try:
        log = read_file(
            file,
            **said,
            min_rating=source.min_rating if rated else None,
            repeats="first" if columns.kind is None and source.repeats == "first-of-kind" else source.repeats,
            time_format=source.time_format,
        )
    except EmptyLogError:
        log = None  # every user gets a list all the same
    given = (column.fill_nan(None) if column.dtype.is_float() else column).drop_nulls()
    if given.dtype == pl.String:
        missing = given.str.strip_chars().str.to_lowercase().is_in(["", *MISSING_WORDS])
        given = given.filter(~missing if log is None else ~missing | given.is_in(log.users.to_list()))
    users = encode(id_column(given, str(file), lambda at: at + 1))[1]
    if log is None and users.is_empty():
        raise EmptyLogError(f"{file}: it contains no user id")
    return _asked(users, log, run.catalog)


def _asked(users: pl.Series, log: EventLog | None, catalog: Catalog) -> Asked:
    if log is None:
        empty = Histories.empty(users.len(), len(catalog))
        return Asked(users=users, histories=empty, unknown_events=0, unknown_items=0, without_events=len(empty))
    index = dict(zip(catalog.ids, range(len(catalog)), strict=True))
    new = np.array([index.get(one, -1) for one in log.items["item"]], dtype=np.int64)
    # Codes of kinds are those of this file, not of the run.
    own = replace(log.histories, kinds=None, values=None).reindex(new, len(catalog))
    if users.len() > log.users.len():
        at = pl.DataFrame({"p": users}).join(
            pl.DataFrame({"p": log.users, "at": np.arange(log.users.len())}),
            on="p",
            how="left",
            maintain_order="left",
        )["at"]
        extended = replace(own, offsets=np.append(own.offsets, own.offsets[-1]))  # one more user, without events
        own = extended.select(at.fill_null(len(extended) - 1).to_numpy())
    else:
        users = log.users
    return Asked(
        users=users,
        histories=own,
        unknown_events=int((new[log.histories.items] < 0).sum()),
        unknown_items=int((new < 0).sum()),
        without_events=int((own.lengths == 0).sum()),
    )
