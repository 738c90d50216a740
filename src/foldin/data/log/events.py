"""A table → a validated, encoded event log.

Logs are checked here, once. Later code can rely on this: no nulls, one event of a user with an item (or, by option, one of each
kind), each user's events in order.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from foldin.data.frame_style import FrameStyle
from foldin.data.histories import Histories
from foldin.data.log.arrange import Events, arranged, repeats_text
from foldin.data.log.beside import kinds_of, numeric_ratings, values_of
from foldin.data.log.checks import clean, encode_ids, giant_user, id_column, odd_ids, order_keys, rated_at_least
from foldin.data.log.columns import Columns, listed
from foldin.data.log.encode import encode
from foldin.data.log.items import join_items
from foldin.data.log.new_items import with_new_items
from foldin.data.log.options import ReadOptions
from foldin.data.log.report import Note, ReadReport
from foldin.data.log.rows import Rows
from foldin.data.log.text_ids import same_spelling
from foldin.data.log.users import join_users, open_users
from foldin.data.log.weighable import check_weighable, kinds_weighted
from foldin.display import Display, Displayed
from foldin.errors import ColumnError, EmptyLogError
from foldin.tensors import Array, Bool, Int64

__all__ = ["EventLog", "log_from_table", "with_items"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class EventLog(Displayed):
    """The events of all users, with their ids, the items and a report.

    Args:
        histories: each user's events, oldest first, each item once unless one of each kind was kept; with times in seconds if
            the log has absolute times, kinds if it has kinds, and values if it has ratings or other values.
        users: external id of each user, in index order.
        items: `item` (external id), and `title` and features if the log has them, in index order.
        report: how the log was read, and which events were dropped.
        style: library and types of ids of the table that the log came from.
        reading: how it was read, with the names of the columns that were found.
        kinds: names of the kinds of events, by the codes in `histories.kinds`; "" for events without one.
        user_features: a row for each user in index order, the column `user` and their features, if the log has them.
    """

    histories: Histories
    users: pl.Series
    items: pl.DataFrame
    report: ReadReport
    kinds: tuple[str, ...] = ()
    style: FrameStyle = field(default_factory=FrameStyle)
    reading: ReadOptions = field(default_factory=ReadOptions)
    user_features: pl.DataFrame | None = None

    def display(self) -> Display:
        h, names = self.histories, [name for name in self.items.columns if name != "item"]
        rows = [("users", f"{len(h):,}"), ("items", f"{h.n_items:,}"), ("events", f"{h.n_events:,}")]
        if h.times is not None and h.n_events:
            first, last = (
                np.datetime64(int(one), "s").astype("datetime64[D]") for one in (h.times.min(), h.times.max())
            )
            rows.append(("times", f"{first} to {last}"))
        if len(self.kinds) > 1:
            rows.append(("kinds", ", ".join(one or "none" for one in self.kinds)))
        if names:
            rows.append(("known of items", ", ".join(names)))
        notes = [f"{note.count:,} {note.text}" for note in self.report.notes]
        return Display(title=f"EventLog from {self.report.source}", head=("", ""), rows=rows, notes=notes)

    def keep(self, users: Int64[Array, " kept"], items: Int64[Array, " kept_items"], why: str) -> "EventLog":
        """The log of some users and items, re-indexed; the dropped events are counted in a note with the text `why`."""
        new = np.full(self.histories.n_items, -1, dtype=np.int64)
        new[items] = np.arange(len(items))
        histories = self.histories.select(users).reindex(new, len(items))
        return replace(
            self,
            histories=histories,
            users=self.users.gather(users),
            items=self.items[items],
            user_features=None if self.user_features is None else self.user_features[users],
            report=self.report.dropped(self.histories.n_events - histories.n_events, why),
        )

    def with_new_items(self, items: Any) -> "EventLog":
        """The log with those items of a table that have no event yet, after the others.

        A model that learns from features lists them; protocols leave items without events out.

        Args:
            items: a table of items as for `read_log`, of pandas, Polars, PyArrow or any library with the Arrow stream interface.

        Raises:
            DataError: `items` is not a table.
            ColumnError: a feature of the table has another type than in the log.
        """
        joined, number, notes = with_new_items(self.items, items, "the log")
        places = np.arange(self.histories.n_items)
        added = Note("items without events (in the catalog)", number, dropped=False)
        return replace(
            self,
            histories=self.histories.reindex(places, joined.height),
            items=joined,
            report=self.report.extended([*notes, added]),
        )

    def with_users(self, users: Any) -> "EventLog":
        """The log with features of its users, for models that read them.

        Args:
            users: a table with a column of user ids and others of features, or the path of one; see `open_users`.

        Raises:
            DataError: it is not a table.
            ColumnError: it has no column of users, or describes no user of the log.
        """
        table, source = open_users(users)
        joined, notes = join_users(self.users, table, source)
        return replace(self, user_features=joined, report=self.report.extended(notes))

    def core(self, *, user_events: int = 1, item_events: int = 1, repeat: bool = True) -> "EventLog":
        """Only users with at least `user_events` items and items with at least `item_events` users.

        An item counts once for a user, whatever the number of kinds of its events. If the log keeps repeats, users need
        `user_events` events instead.

        Args:
            repeat: whether to filter until both hold (a k-core); otherwise items are filtered once, then users once.

        Raises:
            EmptyLogError: no event is left.
        """
        histories = self.histories
        users, items = np.ones(len(histories), dtype=bool), np.ones(histories.n_items, dtype=bool)
        # Where events have no kinds, no item repeats unless repeats are kept.
        keeps = self.reading.keeps_repeats
        distinct = histories if histories.kinds is None and not keeps else histories.distinct()
        counting = histories if keeps else distinct
        while True:
            before = int(users.sum()), int(items.sum())
            items &= _counted(distinct, users, items)[1] >= item_events
            users &= _counted(counting, users, items)[0] >= user_events
            if not repeat or (int(users.sum()), int(items.sum())) == before:
                break
        # Items whose users are all gone have no event left.
        items &= _counted(distinct, users, items)[1] > 0
        if not users.any() or not items.any():
            raise EmptyLogError(
                f"{self.report.source}: no user has at least {user_events} items that at least {item_events} users have"
            )
        if users.all() and items.all():
            return self
        kept = self.keep(np.flatnonzero(users), np.flatnonzero(items), "")
        return replace(
            kept,
            report=self.report.dropped(
                histories.n_events - kept.histories.n_events,
                f"events of users with fewer than {user_events} items or items with fewer than {item_events} users",
            ),
        )


def _counted(
    histories: Histories, users: Bool[Array, " users"], items: Bool[Array, " items"]
) -> tuple[Int64[Array, " users"], Int64[Array, " items"]]:
    """(events of each user, events of each item), of the users and items where the masks are true."""
    of_users, of_items, first = [], np.zeros(histories.n_items, dtype=np.int64), 0
    for part in histories.parts():
        own = users[first : first + len(part)]
        alive = np.repeat(own, part.lengths) & items[part.items]
        of_items += np.bincount(part.items[alive], minlength=histories.n_items)
        before = np.concatenate(([0], np.cumsum(alive, dtype=np.int64)))
        of_users.append(np.diff(before[part.offsets]))
        first += len(part)
    return np.concatenate(of_users), of_items


def log_from_table(
    table: pl.DataFrame,
    columns: Columns,
    report: ReadReport,
    options: ReadOptions | None = None,
    *,
    items: pl.DataFrame | None = None,
) -> EventLog:
    """A validated log from a table already in memory.

    Args:
        options: `min_rating`, `repeats`, `weights`, `half_life`, `dislike_below` and `time_format` are used.
        items: titles and features of items, with a column `item`.

    Raises:
        ColumnError: a column has values of the wrong type, or `items` describes no item of the log.
        EmptyLogError: no event is left.
    """
    options = options or ReadOptions()
    source = report.source
    if table.height == 0:
        raise EmptyLogError(f"{source}: the log contains no events")
    if options.repeats == "first-of-kind" and columns.kind is None:
        raise ColumnError(
            f"{source}: repeats = first-of-kind needs a column of kinds of events (--kind); there are {listed(table.columns)}"
        )
    check_weighable(options, columns.roles(), report.source, table.columns)
    rows, report = clean(Rows(table), columns, report)
    del table
    needed = options.min_rating is not None or options.dislike_below is not None
    rows, columns, report = numeric_ratings(rows, columns, report, needed=needed)
    if options.min_rating is not None:
        rows, report = rated_at_least(rows, columns, report, options.min_rating, dislike_below=options.dislike_below)
    _some(rows, report)
    user_codes, users, rows, report = encode_ids(rows, columns.user, "user", report)
    _some(rows, report)
    everyone = rows
    item_codes, item_ids, rows, report = encode_ids(rows, columns.item, "item", report)
    if rows is not everyone:  # some users may have had only rows without an item
        left = id_column(rows.table[columns.user], source, rows.number)
        user_codes, users = encode(left)
        if not (plain := same_spelling(users)).equals(users):
            places, users = encode(plain)
            user_codes = places[user_codes]
    _some(rows, report)
    keys, times, report = order_keys(rows, columns, report, options.time_format)
    kinds, kind_names, report = kinds_of(rows, columns, report, said=options.kind is not None)
    values, report = values_of(rows, columns, report)
    del rows, everyone
    counts = np.bincount(user_codes, minlength=len(users))
    report = giant_user(counts, users, odd_ids(users, "user", odd_ids(item_ids, "item", report)))
    events = Events(user_codes, item_codes, keys, times, kinds, values)
    histories, repeated = arranged(events, counts, len(item_ids), options.kept_repeats)
    report = report.dropped(repeated, repeats_text(options.kept_repeats, len(kind_names)))
    report = kinds_weighted(options, histories, kind_names, report)
    table = pl.DataFrame({"item": item_ids})
    found: Any = columns.roles()
    reading = replace(options, **found, items=None)
    log = EventLog(histories=histories, users=users, items=table, report=report, kinds=kind_names, reading=reading)
    return log if items is None else with_items(log, items, "the table of items")


def _some(rows: Rows, report: ReadReport) -> None:
    if rows.table.height == 0:
        raise EmptyLogError(
            f"{report.source}: no event is left: "
            + "; ".join(f"{n.count:,} {n.text}" for n in report.notes if n.dropped)
        )


def with_items(log: EventLog, items: pl.DataFrame, source: str, notes: Iterable[Note] = ()) -> EventLog:
    """The log with titles and features of its items.

    Raises:
        ColumnError: `items` has no column `item`, or describes no item of the log.
    """
    table, remarks = join_items(log.items["item"], items, source)
    return replace(log, items=table, report=log.report.extended([*notes, *remarks]))
