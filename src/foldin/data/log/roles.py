"""Roles of columns: proposed by name or position, then verified on the values. Guesses are noted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from foldin.data.log.columns import ROLES, Columns, check_said, is_generic, item_kinds, listed, proposals
from foldin.data.log.passed_over import beside_time, unnamed_times
from foldin.data.log.positions import Sample, by_position
from foldin.data.log.report import ReadReport
from foldin.data.log.spellings import DOUBTFUL_TIME, plain_name
from foldin.data.log.text_ids import has_text
from foldin.data.log.times import time_like
from foldin.errors import ColumnError

__all__ = ["Roles", "find_roles"]

_SAMPLE = 5_000
_POSITIONAL = ("user", "item", "rating", "timestamp")


@dataclass(frozen=True)
class Roles:
    """Roles of the columns, with notes on what was guessed; each note concerns all rows of the file.

    Args:
        columns: the columns by role.
        remarks: what was guessed.
        doubt: that a column may be the time, in a log without one; None if there is no doubt.
    """

    columns: Columns
    remarks: tuple[str, ...]
    doubt: str | None = None

    def noted(self, report: ReadReport) -> ReadReport:
        """The report with a note on each guess, and a warning of a time that was passed over."""
        for remark in self.remarks:
            report = report.noted(report.rows, remark)
        return report if self.doubt is None else report.noted(report.rows, self.doubt, warning=True)


def _unnamed(names: list[str]) -> bool:
    """Whether the column names come from a reader, because the file has none."""
    given = [*_POSITIONAL, *(f"column_{at}" for at in range(5, len(names) + 1))]
    return names == [f"column_{at}" for at in range(1, len(names) + 1)] or (len(names) > 4 and names == given)


def _belied(table: pl.DataFrame) -> bool:
    """Whether the content of columns called user, item, rating, timestamp contradicts these names.

    A reader gives these names to a file without any, by position.
    """
    names = table.columns
    if len(names) < 2 or tuple(names) != _POSITIONAL[: len(names)]:
        return False
    user, item, *rest = names
    sample = Sample(table)
    if any(_is_time(table[name], loose=True) and not sample.repeats(name) for name in (user, item, *rest[:1])):
        return True
    if not rest or sample.few(rest[0]):
        return False
    text = not _may_be_number(table[rest[0]]) and sample.distinct(rest[0]) > 20
    return text or sample.nests(item, user) or sample.nests(user, item)


def find_roles(
    lazy: pl.LazyFrame, said: Mapping[str, str | None], source: str, recorded: Columns | None = None
) -> Roles:
    """The columns of a log, verified on its first rows.

    Args:
        said: the columns that the caller named, by role; they are not verified.
        recorded: the columns that the file itself records; none is looked for then.

    Raises:
        ColumnError: a named column is absent, no column can be the user or the item, or two fit equally well.
    """
    names = lazy.collect_schema().names()
    check_said(names, said, source)
    if recorded is not None:
        known = recorded.roles() | {role: name for role, name in said.items() if name is not None}
        if set(known.values()) <= set(names) and len(set(known.values())) == len(known):
            return Roles(Columns(**known), ())
    proposed = proposals(names)
    # A table with names may have large further columns, which are not read.
    wanted = {name for role in proposed.values() for name in role} | {
        name for name in said.values() if name is not None
    }
    unnamed = _unnamed(names)
    few = lazy if unnamed else lazy.select(name for name in names if name in wanted)
    sample = few.head(_SAMPLE).collect(engine="streaming")
    if unnamed or (len(sample.columns) == len(names) and _belied(sample)):
        columns, remark = by_position(sample, said, source)
        return Roles(columns, (remark,))
    roles = _Named(sample, names, proposed, said, source).roles()
    taken = roles.columns.roles()
    if said.get("time") is not None or "order" in taken:
        return roles
    rest = {name: kind for name, kind in lazy.collect_schema().items() if name not in taken.values()}
    if "time" not in taken:
        return replace(roles, doubt=unnamed_times(lazy, rest))
    beside = beside_time(sample, rest, [name for name in proposed["time"] if name in rest], taken["time"])
    return roles if beside is None else replace(roles, remarks=(*roles.remarks, beside))


def _is_time(column: pl.Series, *, loose: bool = False) -> bool:
    """Whether a named column holds times; numbers count only where `loose`, since ids may be as large."""
    values = column.drop_nulls()
    if values.is_empty() or not has_text(values) or (not loose and values.dtype.is_numeric()):
        return False
    if not loose and values.cast(pl.String).str.contains(r"^\s*[\d.]+\s*$").all():
        return False
    return time_like(column)


def _may_be_number(column: pl.Series) -> bool:
    """Whether some value is a number, whatever its commas mean."""
    if column.dtype.is_numeric():
        return True
    if not has_text(column):
        return False
    text = column.drop_nulls().cast(pl.String, strict=False).str.strip_chars()
    return text.is_empty() or bool(text.str.contains(r"^[+-]?[\d.,]*\d([eE][+-]?\d+)?$").any())


class _Named:
    """The roles of named columns."""

    def __init__(
        self,
        sample: pl.DataFrame,
        names: list[str],
        proposed: dict[str, list[str]],
        said: Mapping[str, str | None],
        source: str,
    ) -> None:
        self.sample, self.names, self.proposed, self.source = sample, names, proposed, source
        self.found: dict[str, str] = {role: name for role, name in said.items() if name is not None}
        self.remarks: list[str] = []

    def _free(self, role: str) -> list[str]:
        return [name for name in self.proposed[role] if name not in self.found.values()]

    def roles(self) -> Roles:
        """The verified roles."""
        for role in ("user", "item"):
            if role not in self.found:
                self._identify(role)
        if "time" not in self.found:
            self._time()
        if "rating" not in self.found:
            self._rating()
        if "kind" not in self.found:
            self._kind()
        # A column called "position" in a log with times may well be the position on a page.
        if "order" not in self.found and "time" not in self.found and self._free("order"):
            self.found["order"] = self._free("order")[0]
        return Roles(Columns(**{role: self.found[role] for role in ROLES if role in self.found}), tuple(self.remarks))

    def _identify(self, role: str) -> None:
        names = self._free(role)
        if role == "user":
            names = names or self._free("session")
        fit = [name for name in names if not _is_time(self.sample[name])]
        if not fit:
            held = "".join(f"{name!r} holds times; " for name in names)
            raise ColumnError(
                f"{self.source}: no column looks like the {role}; {held}there are {listed(self.names)}; "
                f"give --{role} NAME"
            )
        chosen = next((name for name in fit if self.sample[name].null_count() < self.sample.height), fit[0])
        self.found[role] = chosen
        if role == "user":
            self._sessions(chosen)
        else:
            self._other_items(chosen, fit)
        others = [name for name in fit if name != chosen]
        if others:
            self.remarks.append(
                f"rows have {', '.join(map(repr, others))} beside the {role} {chosen!r} (--{role} NAME chooses another)"
            )

    def _sessions(self, user: str) -> None:
        sessions = [name for name in self._free("session") if not _is_time(self.sample[name])]
        if not sessions:
            return
        column = self.sample[user]
        empty = column.null_count() + (int((column == "").sum()) if column.dtype == pl.String else 0)
        words = (
            column.cast(pl.String, strict=False).str.to_lowercase().is_in(["na", "nan", "null", "none", "\\n", "-1"])
        )
        missing = empty + int(words.sum())
        if 2 * missing > column.len():
            raise ColumnError(
                f"{self.source}: {user!r} holds no value in {missing:,} of the first {column.len():,} rows, and there is "
                f"{sessions[0]!r}: give --user {user} or --user {sessions[0]}"
            )
        self.remarks.append(f"rows are grouped by {user!r}; --user {sessions[0]} makes histories of sessions")

    def _other_items(self, chosen: str, fit: list[str]) -> None:
        """Raise if another column (an artist beside a track) fits as the item as well as the chosen one."""
        kind = next((one for one in item_kinds(self.names) if chosen in one), [chosen])
        others = [name for name in fit if name not in kind]
        for other in others:
            distinct = self.sample.select(
                a=pl.col(chosen).n_unique(), b=pl.col(other).n_unique(), both=pl.struct(chosen, other).n_unique()
            ).row(0)
            rivals = distinct[2] > distinct[0] and 2 * distinct[1] > distinct[0]
            if self.sample.height >= 20 and rivals and not is_generic(chosen):
                raise ColumnError(
                    f"{self.source}: both {chosen!r} and {other!r} may be the item: give --item {chosen} or --item {other}"
                )

    def _time(self) -> None:
        names = self._free("time")
        if not names:
            return
        sure = [name for name in (*names, *self._free("rating")) if time_like(self.sample[name])]
        plain = [name for name in names if plain_name(name) not in DOUBTFUL_TIME]
        able = sure or [name for name in plain if _may_be_number(self.sample[name])] or plain
        if not able:
            return
        self.found["time"] = able[0]
        if able[0] != names[0]:
            self.remarks.append(f"rows take their time from {able[0]!r}: {names[0]!r} holds no times")

    def _kind(self) -> None:
        """The first column that can be the kind of events: with few values, and not a feature of the users or the items."""
        sample = Sample(self.sample)
        for name in self._free("kind"):
            column, distinct = self.sample[name], sample.distinct(name)
            if not has_text(column) or column.null_count() == self.sample.height:
                continue
            if _is_time(column, loose=True) or 4 * distinct > max(self.sample.height, 40):
                continue
            if distinct > 1 and any(sample.decides(self.found[role], name) for role in ("user", "item")):
                self.remarks.append(
                    f"rows hold one value of {name!r} for each user or item, which is read as a feature and not as a kind of "
                    f"event (--kind {name} takes it)"
                )
                continue
            self.found["kind"] = name
            return

    def _rating(self) -> None:
        names = self._free("rating")
        for name in sorted(names, key=lambda one: not _may_be_number(self.sample[one])):
            column = self.sample[name]
            if _is_time(column, loose=True):
                if "time" not in self.found:
                    self.found["time"] = name
                    self.remarks.append(f"rows hold times in {name!r}, which is read as the time and not as a rating")
                else:
                    self.remarks.append(f"rows hold times in {name!r}, which is no rating and not used")
            else:
                self.found["rating"] = name
                if not _may_be_number(column):
                    shown = column.drop_nulls()[0]
                    self.remarks.append(f"rows hold text such as {shown!r} in {name!r}: no rating to compare with")
                return
