"""Rows of a file → events that the store takes, by the rules of `POST /v1/events`; what is refused is counted by its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from foldin.data.log.beside import kinds_of, numeric_ratings
from foldin.data.log.checks import MISSING_TIMES, id_column
from foldin.data.log.rows import Rows
from foldin.data.shards.plan import Plan
from foldin.errors import ColumnError
from foldin.serve.limits import ID_BYTES, KIND_BYTES, LARGEST_VALUE, LIST_CHARACTERS, USER_BYTES
from foldin.serve.storage.bulk import Row
from foldin.serve.times import AHEAD

__all__ = ["LISTS", "Refusals", "Storable", "check_times", "storable"]

LISTS = "list_id"  # column of the lists that events name, of an exported file


@dataclass(frozen=True)
class Storable:
    """Events that the store takes.

    Args:
        rows: the events.
        lists: id of the list that each event names, or None; None if the file has no such column.
    """

    rows: list[Row]
    lists: Sequence[str | None] | None = None


class Refusals:
    """Numbers of refused rows, and the first of them, by reason."""

    def __init__(self, found: dict[str, tuple[int, int]] | None = None) -> None:
        self.found = dict(found or {})

    def without(self, rows: Rows, bad: pl.Series, reason: str) -> Rows:
        """The rows that are not bad; the others are counted."""
        bad = bad.fill_null(value=False)
        if not bad.any():
            return rows
        count, first = self.found.get(reason, (0, rows.number(int(bad.arg_true()[0]))))
        self.found[reason] = (count + int(bad.sum()), first)
        return rows.where(~bad)


def check_times(plan: Plan) -> None:
    """Raise unless the rows have times.

    Raises:
        ColumnError: no column of times, or one that is only an order.
    """
    if plan.columns.time is None or plan.time is None:
        raise ColumnError(f"{plan.report.source}: events need times, and no column looks like them: give --time NAME")
    if plan.time.kind == "order":
        raise ColumnError(
            f"{plan.report.source}: column {plan.columns.time!r}: numbers too small for times; give --time-format if they are"
        )


def storable(
    table: pl.DataFrame,
    start: int,
    plan: Plan,
    refusals: Refusals,
    *,
    now: int,
    respelled: frozenset[str],
    long_items: bool,
) -> Storable:
    """The events of some rows of a file, in their order, with the lists that they name if the table has a column `LISTS`.

    Args:
        start: row of the file at which the table begins, from 0.
        refusals: counts what is left out.
        now: seconds since 1970; later times are refused, beyond a day.
        respelled: roles whose ids are whole numbers written with ".0", which they lose.
        long_items: whether the database takes item ids of any length.

    Raises:
        ColumnError: a column has values of the wrong type, or times that cannot be read; the message gives the row of the file.
    """
    columns, source = plan.columns, plan.report.source
    rows = Rows(table, np.arange(start, start + table.height, dtype=np.int64))
    for role, name in (("user", columns.user), ("item", columns.item), ("time", columns.time)):
        rows = refusals.without(rows, _missing(rows.table[str(name)], role), f"no {role} (column {name!r})")
    if plan.time is None or columns.time is None or rows.table.is_empty():
        return Storable([])
    report = replace(plan.report, notes=())
    rows, columns, _ = numeric_ratings(rows, columns, report, needed=columns.rating is not None)
    codes, names, _ = kinds_of(rows, columns, report, said=True)
    kinds = [""] * rows.table.height if codes is None else pl.Series(names, dtype=pl.String).gather(codes)
    values = [None] * rows.table.height if columns.rating is None else rows.table[columns.rating]
    found = pl.DataFrame(
        {
            "user": _ids(rows, columns.user, source, plain="user" in respelled),
            "item": _ids(rows, columns.item, source, plain="item" in respelled),
            "time": pl.Series(
                plan.time.read(rows.table[str(columns.time)], source, rows.number).seconds, dtype=pl.Int64
            ),
            "kind": pl.Series(kinds, dtype=pl.String),
            "value": pl.Series(values, dtype=pl.Float64),
            **({LISTS: _named(rows.table[LISTS])} if LISTS in table.columns else {}),
        }
    )
    rows = Rows(found, rows.places)
    named = LISTS in found.columns
    for test, reason in _rules(now, long_items=long_items) + (_RULES_OF_LISTS if named else []):
        rows = refusals.without(rows, rows.table.select(test).to_series(), reason)
    if not named:
        return Storable(rows.table.rows())
    return Storable(rows.table.drop(LISTS).rows(), rows.table[LISTS].to_list())


def _named(column: pl.Series) -> pl.Series:
    """The ids of lists as text, null for an event that names none."""
    text = column.cast(pl.String)
    return pl.select(pl.when(text != "").then(text)).to_series()


_RULES_OF_LISTS: list[tuple[pl.Expr, str]] = [
    (pl.col(LISTS).str.contains("\0", literal=True), "a list id with a NUL byte"),
    (pl.col(LISTS).str.len_chars() > LIST_CHARACTERS, f"a list id of more than {LIST_CHARACTERS} characters"),
]


def _missing(column: pl.Series, role: str) -> pl.Series:
    missing = column.is_null()
    if column.dtype.is_float():
        missing |= column.is_nan()
    if column.dtype == pl.String or isinstance(column.dtype, pl.Categorical | pl.Enum):
        text = column.cast(pl.String)
        missing |= text == ""
        if role == "time":
            missing |= text.is_in(MISSING_TIMES)
    return missing


def _ids(rows: Rows, name: str, source: str, *, plain: bool) -> pl.Series:
    ids = id_column(rows.table[name], source, rows.number).cast(pl.String)
    return ids.str.strip_suffix(".0") if plain else ids


def _rules(now: int, *, long_items: bool) -> list[tuple[pl.Expr, str]]:
    """(what is refused, why), in the order in which it is looked at."""
    user, item, kind, time, value = map(pl.col, ("user", "item", "kind", "time", "value"))
    rules = [
        (user.str.contains("\0", literal=True), "a user id with a NUL byte"),
        (item.str.contains("\0", literal=True), "an item id with a NUL byte"),
        (kind.str.contains("\0", literal=True), "a kind with a NUL byte"),
        (user.str.len_bytes() > USER_BYTES, f"a user id of more than {USER_BYTES:,} bytes"),
        (item.str.len_bytes() > ID_BYTES, f"an item id of more than {ID_BYTES:,} bytes"),
        (kind.str.len_bytes() > KIND_BYTES, f"a kind of more than {KIND_BYTES:,} bytes"),
        (time < 0, "a time before 1970"),
        (time > now + AHEAD, "a time more than a day ahead"),
        (value.abs() > LARGEST_VALUE, "a value that is infinite or beyond 3.4e38"),
    ]
    return [one for at, one in enumerate(rules) if at != 4 or not long_items]
