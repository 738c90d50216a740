"""Files → a validated, encoded event log.

Reading checks everything that can be wrong with a log once, in one place; what follows can rely on it: no nulls, one
event a user and item, each user's events in order.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from foldin.data.histories import Histories
from foldin.data.log.checks import clean, encode_ids, giant_user, odd_ids, order_keys, rated_at_least
from foldin.data.log.columns import Columns
from foldin.data.log.encode import stable_argsort
from foldin.data.log.formats import open_table
from foldin.data.log.items import COMPANIONS, join_items, open_items
from foldin.data.log.report import Note, ReadReport
from foldin.data.log.roles import find_roles
from foldin.data.log.rows import Rows
from foldin.errors import DataError, EmptyLogError
from foldin.tensors import Array, Int64

__all__ = ["LOG_NAMES", "EventLog", "log_from_table", "read_log"]

# What a folder's log is called in the public data sets, in order of preference.
LOG_NAMES = ("ratings.csv", "ratings.dat", "u.data", "ratings_ordered.csv.gz", "sequences.txt", "user_artists.dat")


@dataclass(frozen=True, eq=False, kw_only=True)
class EventLog:
    """Who took what, in order: distinct (user, item) pairs.

    Args:
        histories: each user's items, oldest first; `times` in seconds where the log has absolute times.
        users: external id of each user, in index order.
        items: `item` (external id), `title` and attributes where known, in index order.
        report: how it was read, and what was left out.
    """

    histories: Histories
    users: pl.Series
    items: pl.DataFrame
    report: ReadReport

    def keep(self, users: Int64[Array, " kept"], items: Int64[Array, " kept_items"], why: str) -> "EventLog":
        """The log of some users and items, re-indexed; the events left out are counted under `why`."""
        new = np.full(self.histories.n_items, -1, dtype=np.int64)
        new[items] = np.arange(len(items))
        histories = self.histories.select(users).reindex(new, len(items))
        return EventLog(
            histories=histories,
            users=self.users.gather(users),
            items=self.items[items],
            report=self.report.dropped(self.histories.n_events - histories.n_events, why),
        )

    def core(self, *, user_events: int = 1, item_events: int = 1, repeat: bool = True) -> "EventLog":
        """Only users with at least `user_events` items and items with at least `item_events` users.

        Args:
            repeat: until both hold (a k-core); else items once, then users once.

        Raises:
            EmptyLogError: nothing is left.
        """
        histories = self.histories
        users, items = histories.users(), histories.items
        alive = np.ones(histories.n_events, dtype=bool)
        while True:
            before = int(alive.sum())
            alive &= (np.bincount(items[alive], minlength=histories.n_items) >= item_events)[items]
            alive &= (np.bincount(users[alive], minlength=len(histories)) >= user_events)[users]
            if not repeat or int(alive.sum()) == before:
                break
        if not alive.any():
            raise EmptyLogError(
                f"{self.report.source}: nobody is left with at least {user_events} events on items with at least {item_events}"
            )
        kept = replace(self, histories=histories.where(alive))
        return replace(
            kept.keep(
                np.flatnonzero(np.bincount(users[alive], minlength=len(histories))),
                np.flatnonzero(np.bincount(items[alive], minlength=histories.n_items)),
                "",
            ),
            report=self.report.dropped(
                histories.n_events - int(alive.sum()),
                f"of users with fewer than {user_events} events or items with fewer than {item_events}",
            ),
        )


def log_from_table(
    table: pl.DataFrame,
    columns: Columns,
    report: ReadReport,
    *,
    min_rating: float | None = None,
    repeats: str = "first",
    items: pl.DataFrame | None = None,
    time_format: str | None = None,
) -> EventLog:
    """A validated log from a table already in memory.

    Args:
        min_rating: events with a lower rating, or with none, are dropped.
        repeats: of the events of one user with one item, keep the `first` or the `last`.
        items: titles and attributes, with a column `item`.
        time_format: `day-first`, `month-first`, a unit such as `milliseconds` or a strptime layout, where the values of the
            time column do not tell.

    Raises:
        ColumnError: a column holds values of the wrong kind, or `items` describes not one item of the log.
        EmptyLogError: no event is left.
    """
    source = report.source
    if repeats not in ("first", "last"):
        raise DataError(f"repeats must be 'first' or 'last', not {repeats!r}")
    if table.height == 0:
        raise EmptyLogError(f"{source}: the log holds no events")
    rows, report = clean(Rows(table), columns, report)
    del table
    if min_rating is not None:
        rows, report = rated_at_least(rows, columns, report, min_rating)
    _some(rows, report)
    user_codes, users, rows, report = encode_ids(rows, columns.user, "user", report)
    _some(rows, report)
    everyone = rows
    item_codes, item_ids, rows, report = encode_ids(rows, columns.item, "item", report)
    if rows is not everyone:  # some users may have had nothing but rows without an item
        user_codes, users, rows, _ = encode_ids(rows, columns.user, "user", report)
    _some(rows, report)
    keys, times, report = order_keys(rows, columns, report, time_format)
    del rows, everyone
    report = giant_user(user_codes, users, odd_ids(users, "user", odd_ids(item_ids, "item", report)))

    with ThreadPoolExecutor(2) as pool:  # both jobs are NumPy sorts, which release the interpreter lock
        pairs = pool.submit(lambda: _has_repeats(user_codes, item_codes, len(item_ids)))
        order = pool.submit(lambda: _order(user_codes, keys)).result()
        repeated = pairs.result()
    offsets = np.zeros(len(users) + 1, dtype=np.int64)
    np.cumsum(np.bincount(user_codes, minlength=len(users)), out=offsets[1:])
    histories = Histories(
        items=item_codes[order],
        offsets=offsets,
        n_items=len(item_ids),
        times=None if times is None else times[order],
    )
    if repeated:
        keep_one = _one_of_each(histories, last=repeats == "last")
        report = report.dropped(int((~keep_one).sum()), f"a user with the same item again (the {repeats} is kept)")
        histories = histories.where(keep_one)
    log = EventLog(histories=histories, users=users, items=pl.DataFrame({"item": item_ids}), report=report)
    return log if items is None else _described(log, items, "the table of items")


def _some(rows: Rows, report: ReadReport) -> None:
    if rows.table.height == 0:
        raise EmptyLogError(
            f"{report.source}: no event is left: "
            + "; ".join(f"{n.count:,} {n.text}" for n in report.notes if n.dropped)
        )


def _described(log: EventLog, items: pl.DataFrame, source: str, notes: Iterable[Note] = ()) -> EventLog:
    """The log with titles and attributes of its items."""
    table, remarks = join_items(log.items["item"], items, source)
    return replace(log, items=table, report=log.report.extended([*notes, *remarks]))


def _order(users: Array, keys: Array | None) -> Array:
    """Events by user, then by key, then as in the file."""
    if keys is None or (keys[1:] >= keys[:-1]).all():
        return stable_argsort(users)
    by_key = stable_argsort(keys)
    return by_key[stable_argsort(users[by_key])]


def _has_repeats(users: Array, items: Array, n_items: int) -> bool:
    pairs = users.astype(np.int64)
    pairs *= n_items
    pairs += items
    pairs.sort()
    return bool((pairs[1:] == pairs[:-1]).any())


def _one_of_each(histories: Histories, *, last: bool) -> Array:
    pairs = histories.pair_keys()
    if last:
        pairs = pairs[::-1]
    order = stable_argsort(pairs)
    fresh = np.ones(len(pairs), dtype=bool)
    fresh[order[1:]] = pairs[order[1:]] != pairs[order[:-1]]
    return fresh[::-1] if last else fresh


def _log_file(path: Path) -> Path:
    """The log of a folder, by its usual name; the path itself when it is a file or holds Parquet parts."""
    if not path.is_dir() or any(path.glob("*.parquet")):
        return path
    for name in LOG_NAMES:
        if (path / name).is_file():
            return path / name
    raise DataError(f"{path}: no log in this folder: none of {', '.join(LOG_NAMES)}, no *.parquet; name the file")


def read_log(
    path: str | Path,
    *,
    format: str | None = None,
    encoding: str | None = None,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    rating: str | None = None,
    order: str | None = None,
    min_rating: float | None = None,
    repeats: str = "first",
    items: str | Path | None = None,
    time_format: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> EventLog:
    """The validated log of a file or folder.

    Args:
        path: Parquet (a file or a folder of parts), CSV/TSV, NDJSON or JSON, MovieLens `::`, RecBole `.inter`, `user item`
            and `user item rating time` lines, or a sequence a line; plain or gzip. A MovieLens folder is known by its
            file names.
        format: one of `foldin.data.FORMATS`, when the file does not tell.
        encoding: of a text file, by Python's name, when it is not UTF-8 and cannot be guessed.
        user, item, time, rating, order: column names, when they are unusual. `order` only orders a user's events.
        min_rating: events rated lower are dropped.
        repeats: of one user's events with one item, keep the `first` or the `last`.
        items: a second file with titles and attributes; found by itself beside MovieLens logs.
        time_format: `day-first`, `month-first`, a unit such as `milliseconds` or a strptime layout, where the values of the
            time column do not tell.
        progress: told in a few words what is being done.

    Raises:
        DataError: the file is missing, damaged, of another format, or holds values that cannot be used; the message
            names the file, the column and the first row.
    """
    say = progress or (lambda _: None)
    file = _log_file(Path(path))
    said = {"user": user, "item": item, "time": time, "rating": rating, "order": order}
    say(f"reading {file}")
    with open_table(file, format, encoding) as opened:
        lazy, fmt = opened
        roles = find_roles(lazy, said, str(file))
        columns = roles.columns
        wanted = columns.roles()
        if min_rating is None:
            wanted.pop("rating", None)
        opened.require(wanted.values())
        ids = [pl.col(columns.user), pl.col(columns.item)]
        schema = lazy.collect_schema()
        # Text ids become categories while they are read: never 20 million strings at once.
        coded = [
            one.cast(pl.Categorical) if schema[one.meta.output_name()] == pl.String and fmt == "parquet" else one
            for one in ids
        ]
        rest = [pl.col(name) for role, name in wanted.items() if role not in ("user", "item")]
        table = lazy.select(*coded, *rest).collect(engine="streaming")
    report = ReadReport(source=str(file), format=fmt, columns=columns.roles(), rows=table.height)
    for note in opened.notes:
        report = report.noted(note.count, note.text)
    for remark in roles.remarks:
        report = report.noted(table.height, remark)
    say("checking and sorting")
    log = log_from_table(table, columns, report, min_rating=min_rating, repeats=repeats, time_format=time_format)
    if items is not None:
        found, notes = open_items(Path(items), ids=log.items["item"])
        return _described(log, found, str(items), notes)
    return _with_companion(log, file)


def _with_companion(log: EventLog, file: Path) -> EventLog:
    """The log with what a file beside it says of its items, or with a note where that cannot be used: nobody asked for it."""
    folder = file if file.is_dir() else file.parent
    beside = next((folder / name for name in COMPANIONS if (folder / name).is_file()), file)
    if beside == file:
        return log
    try:
        found, notes = open_items(beside, ids=log.items["item"])
        return _described(log, found, beside.name, notes)
    except DataError as error:
        text = f"file beside the log is not used: {error} (--items FILE names another)"
        return replace(log, report=log.report.noted(1, text, warning=True))
