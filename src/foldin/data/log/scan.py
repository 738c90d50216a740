"""What a reader of one format hands on: a lazy table, and everything that was assumed or is odd."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl

from foldin.data.log.report import Note

__all__ = ["Scan", "remark"]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A table to be read.

    Args:
        table: the lazy table.
        notes: what was assumed; each counts files, parts or lines.
        lacking: column → the part of a folder that does not have it.
        blame: where the damage is, in words, asked for only when reading failed.
    """

    table: pl.LazyFrame
    notes: tuple[Note, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)
    blame: Callable[[], str | None] = lambda: None


def remark(text: str, count: int = 1) -> Note:
    """A note that drops nothing; the text follows its count."""
    return Note(text, count, dropped=False)
