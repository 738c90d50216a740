"""How a log is read in chunks: what must be known of all rows before the first chunk is read."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from foldin.data.log.checks import MISSING_WORDS
from foldin.data.log.columns import Columns, listed
from foldin.data.log.formats import OpenedTable
from foldin.data.log.options import ReadOptions
from foldin.data.log.report import Note, ReadReport
from foldin.data.log.roles import find_roles
from foldin.data.log.time_reading import TimeReading, time_reading
from foldin.errors import ColumnError, EmptyLogError

__all__ = ["Plan", "plan_of"]

_SAMPLE = 20_000
_MISSING = ("", *MISSING_WORDS)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How every chunk of a log is read.

    Args:
        report: source, format, columns and number of rows, with the notes on the whole file.
        columns: the columns by role; without ratings that are not numbers.
        time: how times are read; None for a log without times.
        whole_order: whether the numbers of the column that only orders events are whole.
        options: those of the caller.
    """

    report: ReadReport
    columns: Columns
    time: TimeReading | None
    whole_order: bool
    options: ReadOptions

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON, to see whether preparation goes on as it began."""
        time = None if self.time is None else asdict(self.time)
        options = {name: str(value) for name, value in self.options.differing().items()}
        whole = {"whole_order": self.whole_order}
        return {"columns": self.columns.roles(), "rows": self.report.rows, "time": time, "options": options, **whole}


def plan_of(opened: OpenedTable, source: str, options: ReadOptions) -> Plan:
    """The plan for a table, from one pass over its columns of times and ratings.

    Raises:
        ColumnError: no column can be the user or the item, or times or ratings cannot be read; as of `read_log`.
        EmptyLogError: the table has no rows.
    """
    lazy = opened.table
    roles = find_roles(lazy, options.said(), source, opened.columns)
    columns = roles.columns
    opened.require(columns.roles().values())
    if options.repeats == "first-of-kind" and columns.kind is None:
        names = listed(lazy.collect_schema().names())
        raise ColumnError(
            f"{source}: repeats = first-of-kind needs a column of kinds of events (--kind); there are {names}"
        )
    if options.min_rating is not None and columns.rating is None:
        names = listed(lazy.collect_schema().names())
        raise ColumnError(f"{source}: --min-rating needs a rating column; there are {names}")
    facts = _facts(lazy, columns)
    if facts["rows"] == 0:
        raise EmptyLogError(f"{source}: the log contains no events")
    report = ReadReport(source=source, format=opened.format, columns=columns.roles(), rows=facts["rows"])
    report = report.extended(Note(one.text, one.count, dropped=False, warning=one.warning) for one in opened.notes)
    report = roles.noted(report)
    if columns.rating is not None and (problem := _rating_problem(facts, columns.rating)):
        if options.min_rating is not None:
            raise ColumnError(f"{source}: {problem}")
        report = report.noted(report.rows, f"rows are read without values: {problem}")
        columns = replace(columns, rating=None)
    return Plan(
        report=report,
        columns=columns,
        time=_time(lazy, columns, facts, source, options),
        whole_order=not facts.get("order fractions"),
        options=options,
    )


def _facts(lazy: pl.LazyFrame, columns: Columns) -> dict[str, Any]:
    schema = lazy.collect_schema()
    wanted = [pl.len().alias("rows")]
    for role, name in (("time", columns.time), ("rating", columns.rating), ("order", columns.order)):
        if name is None or schema[name].is_temporal():
            continue
        whole = schema[name].is_integer()
        column, missing = (pl.col(name), None) if whole else _numbers(pl.col(name), text=schema[name] == pl.String)
        wanted += [column.min().alias(f"{role} least"), column.max().alias(f"{role} most")]
        if missing is not None:
            wanted.append((column % 1 != 0).sum().alias(f"{role} fractions"))
            wanted.append((column.is_null() & ~missing).sum().alias(f"{role} others"))
        if schema[name] == pl.String:
            wanted.append(pl.col(name).str.contains(",", literal=True).sum().alias(f"{role} commas"))
    return lazy.select(wanted).collect(engine="streaming").row(0, named=True)


def _numbers(column: pl.Expr, *, text: bool) -> tuple[pl.Expr, pl.Expr]:
    """(values as numbers, whether a value is missing)."""
    if not text:
        numbers = column.cast(pl.Float64, strict=False).fill_nan(None)
        return numbers, column.is_null() | numbers.is_null()
    bare = column.str.strip_chars()
    return bare.cast(pl.Float64, strict=False), bare.is_null() | bare.str.to_lowercase().is_in(_MISSING)


def _rating_problem(facts: dict[str, Any], name: str) -> str:
    if facts.get("rating commas"):
        return f"column {name!r}: {facts['rating commas']:,} values have a comma; write them with a point"
    if facts.get("rating others"):
        return f"column {name!r}: {facts['rating others']:,} of {facts['rows']:,} values are not numbers"
    return ""


def _time(
    lazy: pl.LazyFrame, columns: Columns, facts: dict[str, Any], source: str, options: ReadOptions
) -> TimeReading | None:
    if columns.time is None:
        return None
    column = pl.col(columns.time)
    known = column.is_not_null()
    if lazy.collect_schema()[columns.time] == pl.String:
        known &= ~column.str.strip_chars().str.to_lowercase().is_in(_MISSING)
    sample = lazy.select(column).filter(known).head(_SAMPLE).collect(engine="streaming")[columns.time]
    if sample.is_empty():
        raise EmptyLogError(
            f"{source}: no event is left: {facts['rows']:,} no value in the time column {columns.time!r}"
        )
    numbers = "time least" in facts and not facts.get("time others")
    least, most = (facts["time least"], facts["time most"]) if numbers else (None, None)
    whole = not facts.get("time fractions")
    return time_reading(sample, least, most, source, options.time_format, whole=whole)
