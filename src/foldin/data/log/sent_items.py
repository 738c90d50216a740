"""Items that were sent to the service, in the log of its events: what was sent comes before what a file says."""

from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import polars as pl

from foldin.data.log.attributes import typed
from foldin.data.log.events import EventLog
from foldin.data.log.report import Note

__all__ = ["with_stored_items"]


def with_stored_items(log: EventLog, items: pl.DataFrame | None) -> EventLog:
    """The log with the titles and features of stored items.

    What was sent of an item comes before what the log has of it. Retired items are marked by the column `is_active`; an item of
    which neither tells is active. Active items that have no event follow the others. Values that do not fit a column of the log
    are left out, as the service does.

    Args:
        items: a table of `stored_items`; None for none.
    """
    if items is None:
        return log
    here, raw, fitted = log.items, _with_values(items), []
    lacking, notes = typed(raw.drop([name for name in raw.columns if name in here.columns]))
    for column in raw.iter_columns():
        if column.name in lacking.columns:
            fitted.append(lacking[column.name])
            continue
        one, misfits = _fitted(column, here.schema[column.name])
        fitted.append(one)
        text = f"values of the feature {column.name!r} that were sent to the service do not fit the type {one.dtype} of the log"
        notes.append(Note(text, misfits, dropped=False))
    found = pl.DataFrame(fitted)
    sent = here.select("item").join(found, on="item", how="left", maintain_order="left").drop("item")
    described = here.with_columns(
        one.zip_with(one.is_not_null(), here[one.name]) if one.name in here.columns else one
        for one in sent.iter_columns()
    )
    added = found.filter(~pl.col("item").is_in(here["item"].to_list()) & pl.col("is_active").fill_null(value=True))
    table = _marked(pl.concat([described, added], how="diagonal_relaxed"))
    retired = 0 if "is_active" not in table.columns else int((~table["is_active"]).sum())
    notes.append(Note("items are retired: no list has them", retired, dropped=False))
    notes.append(Note("items without events (in the catalog)", added.height, dropped=False))
    histories = log.histories if not added.height else replace(log.histories, n_items=table.height)
    return replace(log, histories=histories, items=table, report=log.report.extended(notes))


def _with_values(items: pl.DataFrame) -> pl.DataFrame:
    """The table without a title or a feature that no item has."""
    kept = [one for one in items.iter_columns() if one.name in ("item", "is_active") or one.null_count() < one.len()]
    return pl.DataFrame(kept)


def _marked(items: pl.DataFrame) -> pl.DataFrame:
    """The table with truth values in `is_active`, or without this column if all items are active."""
    active = items["is_active"].fill_null(value=True)
    return items.drop("is_active") if active.all() else items.with_columns(active)


def _fitted(column: pl.Series, dtype: Any) -> tuple[pl.Series, int]:
    """(a column in another type, value by value, number of values that have no form in it)."""
    if column.dtype == dtype or (column.dtype.is_integer() and dtype.is_float()):
        return column.cast(dtype), 0
    if isinstance(column.dtype, pl.List) and not isinstance(dtype, pl.List):
        column = column.cast(pl.List(pl.String)).list.join("|")
    elif column.dtype == pl.String and isinstance(dtype, pl.List):
        column = column.str.split("|")
    found = _cast(column, dtype)
    if column.dtype.is_float() and dtype.is_integer():  # of which the cast would drop the digits
        found = found.zip_with(column == column.floor(), pl.Series([None], dtype=dtype))
    return found, found.null_count() - column.null_count()


def _cast(column: pl.Series, dtype: Any) -> pl.Series:
    """A column in another type, with null for values that have no form in it."""
    if column.dtype == pl.String and dtype == pl.Boolean:
        lower = column.str.to_lowercase()
        return (lower == "true").set(~lower.is_in(["true", "false"]), None)
    if column.dtype == pl.String and dtype in (pl.Date, pl.Datetime):
        return pl.Series(column.name, [None if one is None else _moment(one, dtype) for one in column], dtype=dtype)
    if not (column.dtype.is_numeric() and dtype == pl.Boolean):
        with suppress(pl.exceptions.PolarsError):  # there is no cast between some types
            return column.cast(dtype, strict=False)
    return pl.Series(column.name, [None] * column.len(), dtype=dtype)


def _moment(text: str, dtype: Any) -> date | datetime | None:
    """A date, or a time with a zone if the column has one, of a text in ISO 8601; None for another text."""
    try:
        if dtype == pl.Date:
            return date.fromisoformat(text)
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if (dtype.time_zone is None) == (found.tzinfo is None) else None
