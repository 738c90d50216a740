"""Roles of columns without names, from their usual order and their content."""

from collections.abc import Mapping

import polars as pl

from foldin.data.log.columns import Columns
from foldin.data.log.times import time_like
from foldin.errors import ColumnError

__all__ = ["Sample", "by_position", "is_number"]

_ENOUGH = 20  # with fewer rows, dependences between columns are not judged
_VARIED = 5  # a column with fewer distinct values may depend on any other by chance


def is_number(column: pl.Series) -> bool:
    """Whether all values are numbers, with a decimal point or comma."""
    values = column.drop_nulls()
    if values.dtype == pl.String:
        values = values.str.strip_chars().str.replace(r"^([+-]?\d+),(\d+)$", "$1.$2").cast(pl.Float64, strict=False)
    return values.len() > 0 and values.dtype.is_numeric() and values.null_count() == 0


class Sample:
    """The first rows, and the dependences between their columns."""

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table

    def distinct(self, *names: str) -> int:
        """Number of distinct values of a column, or of distinct combinations of several columns."""
        return self.table.select(pl.struct(*names).n_unique()).item() if self.table.height else 0

    def decides(self, one: str, other: str) -> bool:
        """Whether each value of `one`, most of which occur again, occurs with only one value of `other`."""
        if self.table.height < max(_ENOUGH, 1.5 * self.distinct(one)):
            return False
        return self.distinct(one, other) == self.distinct(one)

    def nests(self, one: str, other: str) -> bool:
        """Whether values of `one` are nested in values of `other`, as sessions are in users."""
        return self.distinct(other) >= _VARIED and self.decides(one, other)

    def repeats(self, name: str) -> bool:
        """Whether values occur at least twice on average, as ids do and times rarely do."""
        return self.table.height >= _ENOUGH and 2 * self.distinct(name) <= self.table.height

    def few(self, name: str) -> bool:
        """Whether a column has few distinct numbers, as ratings have."""
        return is_number(self.table[name]) and self.distinct(name) <= 20

    def numbers_rows(self, name: str) -> bool:
        """Whether a column only counts rows, as the exported index of a table does."""
        if self.table.height < _ENOUGH:
            return False
        steps = self.table[name].cast(pl.Int64, strict=False)
        return steps.null_count() == 0 and steps[0] in (0, 1) and bool((steps.diff().drop_nulls() == 1).all())


def _refuse(source: str, names: list[str], role: str, why: str) -> ColumnError:
    options = " or ".join(f"--{role} {name}" for name in names)
    return ColumnError(f"{source}: has no column names, and {why}: give {options}")


def by_position(table: pl.DataFrame, said: Mapping[str, str | None], source: str) -> tuple[Columns, str]:
    """(columns, text of a note) for a table without column names, from its first rows.

    Files usually have the user first, then the item, then a rating; the time can be anywhere and is found by its values. A
    session is found by its events, which are all of one user.

    Raises:
        ColumnError: two columns fit a role equally well, or there are too few.
    """
    sample = Sample(table)
    used = {name for name in said.values() if name is not None}
    names = [name for name in table.columns if name not in used and table[name].null_count() < table.height]
    times = [] if said.get("time") else _times(sample, names)
    if len(times) > 1:
        raise _refuse(source, times, "time", f"columns {' and '.join(map(repr, times))} both hold times")
    left = [name for name in names if name not in times]
    extra: list[str] = []
    rows_first = said.get("user") is None and len(left) > 2 and sample.numbers_rows(left[0])
    if rows_first and not (len(left) == 3 and sample.few(left[2])):  # else users with one rating each
        extra.append(f"{left[0]} numbers the rows")
        left = left[1:]
    needed = [role for role in ("user", "item") if said.get(role) is None]
    if len(left) < len(needed):
        shown = f"{' and '.join(map(repr, times))} holds times; " if times else ""
        raise ColumnError(
            f"{source}: no column names, and no two columns of ids: {shown}a user and an item are needed in each row"
        )
    chosen = {role: said[role] or "" for role in ("user", "item") if said.get(role) is not None}
    for role in needed:
        chosen[role] = left.pop(0)
    if len(needed) == 2 and left:
        chosen, left, more = _sessions(sample, chosen, left, source)
        extra += more
    rating = said.get("rating")
    if rating is None and left and _is_rating(sample, chosen["item"], left[0]):
        rating = left.pop(0)
    columns = Columns(
        **chosen,
        time=said.get("time") or next(iter(times), None),
        rating=rating,
        kind=said.get("kind"),
        order=said.get("order"),
    )
    places = {name: f"column {at}" for at, name in enumerate(table.columns, start=1)}
    named = {name: places[name] + ("" if name.startswith("column_") else f" (called {name!r})") for name in places}
    shown = ", ".join(f"{role} = {named[name]}" for role, name in columns.roles().items())
    rest = [f"{places[name]} not used" for name in left]
    return columns, "; ".join([f"rows without column names, read by position and content: {shown}", *extra, *rest])


def _times(sample: Sample, names: list[str]) -> list[str]:
    """Columns with times. Of several, or if an id column is missing, numbers that repeat as ids do are not counted."""
    times = [name for name in names if time_like(sample.table[name])]
    if len(times) > 1 or len(names) - len(times) < 2:
        times = [name for name in times if not (is_number(sample.table[name]) and sample.repeats(name))]
    return times


def _is_rating(sample: Sample, item: str, name: str) -> bool:
    column = sample.table[name]
    if not is_number(column):
        return False
    return sample.table.height < _ENOUGH or (column.n_unique() > 1 and not sample.decides(item, name))


def _sessions(
    sample: Sample, chosen: dict[str, str], left: list[str], source: str
) -> tuple[dict[str, str], list[str], list[str]]:
    """(roles, columns without a role, notes), corrected if a third column may be the item."""
    first, second, third = chosen["user"], chosen["item"], left[0]
    if sample.nests(second, first) and not sample.few(third) and not sample.decides(second, third):
        return (
            {"user": first, "item": third},
            left[1:],
            [f"{second} is read as a session, since each value has one user"],
        )
    if sample.nests(first, second) and not sample.few(third):
        raise _refuse(
            source,
            [f"{first} --item {third}", f"{second} --item {third}"],
            "user",
            f"each value of {first!r} stands with one of {second!r}: sessions of a user, or something known of each user",
        )
    for other in left:
        if sample.decides(second, other):
            continue  # a feature of the item
        pairs, again = sample.distinct(first, second), sample.distinct(first, other)
        repeated = pairs < 0.8 * sample.table.height and again > 1.2 * pairs
        if not is_number(sample.table[other]) or (repeated and sample.distinct(other) > sample.distinct(second)):
            raise _refuse(source, [second, other], "item", f"both {second!r} and {other!r} may be the item")
    return chosen, left, []
