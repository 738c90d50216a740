"""One chunk of a log on disk: checked, with ids as codes of the chunk's own dictionaries, in the order of the file."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.data.log.beside import kinds_of, numeric_ratings, values_of
from foldin.data.log.checks import clean, id_column, rated_at_least
from foldin.data.log.encode import encode
from foldin.data.log.numbers import to_numbers
from foldin.data.log.report import Note, ReadReport
from foldin.data.log.rows import Rows
from foldin.data.log.time_reading import sortable
from foldin.data.shards.plan import Plan
from foldin.errors import ColumnError
from foldin.tensors import Array

__all__ = ["ARRAYS", "Chunk", "write_chunk"]

ARRAYS = ("users", "items", "keys", "times", "kinds", "values")
_DAY = 86_400


@dataclass(frozen=True)
class Chunk:
    """A chunk that was written.

    Args:
        folder: with a `.npy` file for each array, dictionaries as Parquet, and `chunk.json`.
    """

    folder: Path

    @property
    def about(self) -> dict[str, Any]:
        """Number of events, notes, events of each kind, and extremes of the times."""
        found: dict[str, Any] = json.loads((self.folder / "chunk.json").read_text(encoding="utf-8"))
        return found

    def arrays(self) -> dict[str, Array]:
        """The arrays of events that the log has, mapped into memory."""
        paths = ((name, self.folder / f"{name}.npy") for name in ARRAYS)
        return {name: np.load(path, mmap_mode="r") for name, path in paths if path.exists()}

    def dictionary(self, role: str) -> Path:
        """Parquet file of the ids of users or items with their number of events, in the order of the chunk's codes."""
        return self.folder / f"{role}.parquet"

    def notes(self) -> Iterator[Note]:
        """What was dropped or looks wrong."""
        for text, count, dropped, warning in self.about["notes"]:
            yield Note(text, count, dropped=dropped, warning=warning)


def write_chunk(table: pl.DataFrame, start: int, plan: Plan, folder: Path) -> None:
    """Check the rows of a chunk and write them to a new folder.

    Args:
        start: row of the file at which the chunk begins, from 0.

    Raises:
        ColumnError: a column has values of the wrong type; the message gives the row of the file.
    """
    columns, options = plan.columns, plan.options
    report = replace(plan.report, rows=table.height, notes=())
    rows = Rows(table, np.arange(start, start + table.height, dtype=np.int64))
    rows, report = clean(rows, columns, report)
    rows, kept_columns, report = numeric_ratings(rows, columns, report, needed=columns.rating is not None)
    if options.min_rating is not None:
        rows, report = rated_at_least(rows, kept_columns, report, options.min_rating)
    arrays: dict[str, Array] = {}
    for role, name in (("users", columns.user), ("items", columns.item)):
        codes, ids = encode(id_column(rows.table[name], report.source, rows.number))
        arrays[role] = codes
        counts = np.bincount(codes, minlength=ids.len())
        pl.DataFrame({"id": ids, "count": counts}).write_parquet(folder / f"{role}.parquet")
    more, about = _order(rows, plan)
    arrays |= more
    kinds, names, report = kinds_of(rows, columns, report, said=options.kind is not None)
    values, report = values_of(rows, columns, report)
    arrays |= {name: one for name, one in (("kinds", kinds), ("values", values)) if one is not None}
    for name, one in arrays.items():
        np.save(folder / f"{name}.npy", one)
    notes = [(one.text, one.count, one.dropped, one.warning) for one in report.notes if not _of_kinds(one, report)]
    about |= {"events": len(arrays["users"]), "notes": notes, "kinds": None}
    if kinds is not None:
        about["kinds"] = dict(zip(names, np.bincount(kinds, minlength=len(names)).tolist(), strict=True))
    (folder / "chunk.json").write_text(json.dumps(about), encoding="utf-8")


def _of_kinds(note: Note, report: ReadReport) -> bool:
    """Whether a note counts the kinds of a chunk: those of all chunks are counted together."""
    return "kind" in report.columns and note.text.startswith("rows have their kind in ")


def _order(rows: Rows, plan: Plan) -> tuple[dict[str, Array], dict[str, Any]]:
    """(keys that sort a user's events, and times where the keys are not the times themselves; extremes of the times)."""
    arrays: dict[str, Array] = {}
    about: dict[str, Any] = {}
    columns, source = plan.columns, plan.report.source
    if plan.time is not None and columns.time is not None:
        found = plan.time.read(rows.table[columns.time], source, rows.number)
        arrays["keys"] = found.keys
        if found.seconds is not None:
            arrays["times"] = found.seconds
            if len(found.seconds):
                future = int((found.seconds > time.time() + _DAY).sum())
                about = {
                    "times": (int(found.seconds.min()), int(found.seconds.max())),
                    "odd": (future, int((found.seconds < 0).sum())),
                }
    if columns.order is not None:
        numbers = to_numbers(rows.table[columns.order], source, rows.number)
        if numbers.dtype.is_float() and not numbers.is_finite().all():
            raise ColumnError(f"{source}: column {columns.order!r}: numbers were expected, some are not finite")
        arrays["keys"] = sortable(numbers.to_numpy() if plan.whole_order else numbers.cast(pl.Float64).to_numpy())
    elif plan.time is not None and plan.time.kind == "seconds" and plan.time.whole:
        del arrays["keys"]  # the times are the keys
    return arrays, about
