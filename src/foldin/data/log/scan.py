"""The result of a reader of one format: a lazy table, and notes on what was assumed or looks wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from foldin.data.log.columns import Columns
from foldin.data.log.report import Note

__all__ = ["Scan", "remark"]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A lazy table with notes.

    Args:
        table: the lazy table.
        notes: notes on what was assumed; each counts files, parts or lines.
        lacking: column → the part of a folder that does not have it.
        blame: function that returns the location of the damage as text, called only if reading failed.
        columns: the columns by role, if the file itself records them.
    """

    table: pl.LazyFrame
    notes: tuple[Note, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    blame: Callable[[], str | None] = lambda: None
    columns: Columns | None = None


def remark(text: str, count: int = 1) -> Note:
    """A note on something that drops no event; the text follows its count."""
    return Note(text, count, dropped=False)
