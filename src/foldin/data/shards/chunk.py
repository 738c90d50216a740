"""One chunk of a log on disk: checked, with ids as codes of the chunk's own dictionaries."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.data.log.beside import kinds_of, numeric_ratings, values_of
from foldin.data.log.checks import clean, id_column, rated_at_least
from foldin.data.log.encode import dictionary
from foldin.data.log.numbers import to_numbers
from foldin.data.log.report import Note, ReadReport
from foldin.data.log.rows import Rows
from foldin.data.log.time_reading import sortable
from foldin.data.order import stable_argsort
from foldin.data.shards.plan import Plan
from foldin.errors import ColumnError
from foldin.tensors import Array

__all__ = ["Chunk", "mapped", "write_chunk", "write_pieces"]

_ARRAYS = ("users", "items", "keys", "times", "kinds", "values", "places")
_DAY = 86_400


def mapped(folder: Path) -> dict[str, Array]:
    """The arrays of events that a folder has, mapped into memory."""
    paths = ((name, folder / f"{name}.npy") for name in _ARRAYS)
    return {name: np.asarray(np.load(path, mmap_mode="r")) for name, path in paths if path.exists()}


@dataclass(frozen=True)
class Chunk:
    """A chunk that was written: pieces of its rows one after another, each by user, those of a user in the order of the file.

    Args:
        folder: with a `.npy` file for each array, dictionaries as Parquet, and `chunk.json`. If the ids of users are text,
            `places` is the position of each event in the chunk.
    """

    folder: Path

    @property
    def piece(self) -> int:
        """Number of rows of each piece but the last."""
        return int(self.about["piece"])

    @property
    def about(self) -> dict[str, Any]:
        """Number of events, notes, events of each kind, and extremes of the times."""
        found: dict[str, Any] = json.loads((self.folder / "chunk.json").read_text(encoding="utf-8"))
        return found

    def dictionary(self, role: str) -> Path:
        """Parquet file of the ids of users or items with their number of events, in the order of the chunk's codes."""
        return self.folder / f"{role}.parquet"

    def ids(self, role: str) -> pl.DataFrame:
        """The columns `id` and `count` of a dictionary; an id that does not occur has the count 0."""
        return pl.read_parquet(self.dictionary(role), glob=False)

    def notes(self) -> Iterator[Note]:
        """What was dropped or looks wrong."""
        for text, count, dropped, warning in self.about["notes"]:
            yield Note(text, count, dropped=dropped, warning=warning)


def write_chunk(table: pl.DataFrame, start: int, plan: Plan, piece: int, folder: Path) -> None:
    """Check the rows of a chunk and write them to a new folder.

    Args:
        start: row of the file at which the chunk begins, from 0.
        piece: rows that are put in order together.

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
        arrays[role], ids = dictionary(id_column(rows.table[name], report.source, rows.number))
        ids.write_parquet(folder / f"{role}.parquet", compression="lz4")
        if role == "users" and not ids["id"].dtype.is_integer():
            arrays["places"] = np.arange(len(arrays[role]), dtype=np.int32)
    more, about = _order(rows, plan)
    arrays |= more
    kinds, names, report = kinds_of(rows, columns, report, said=options.kind is not None)
    values, report = values_of(rows, columns, report)
    arrays |= {name: one for name, one in (("kinds", kinds), ("values", values)) if one is not None}
    write_pieces(arrays, piece, folder)
    notes = [(one.text, one.count, one.dropped, one.warning) for one in report.notes if not _of_kinds(one, report)]
    about |= {"notes": notes, "kinds": None, "piece": piece}
    if kinds is not None:
        about["kinds"] = dict(zip(names, np.bincount(kinds, minlength=len(names)).tolist(), strict=True))
    (folder / "chunk.json").write_text(json.dumps(about), encoding="utf-8")


def write_pieces(arrays: Mapping[str, Array], piece: int, folder: Path) -> None:
    """Write the arrays of events, each piece of so many rows by user, to `.npy` files."""
    users = arrays["users"]
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.npy").open("wb")) for name in arrays}
        for name, one in arrays.items():
            np.lib.format.write_array_header_1_0(files[name], np.lib.format.header_data_from_array_1_0(one))
        for start in range(0, len(users), piece):
            rows = slice(start, start + piece)
            order = stable_argsort(users[rows])
            for name, one in arrays.items():
                files[name].write(np.take(one[rows], order).data)


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
                first, last, limit = int(found.seconds.min()), int(found.seconds.max()), time.time() + _DAY
                about = {
                    "times": (first, last),
                    "odd": (
                        int((found.seconds > limit).sum()) if last > limit else 0,
                        int((found.seconds < 0).sum()) if first < 0 else 0,
                    ),
                }
    if columns.order is not None:
        numbers = to_numbers(rows.table[columns.order], source, rows.number)
        if numbers.dtype.is_float() and not numbers.is_finite().all():
            raise ColumnError(f"{source}: column {columns.order!r}: numbers were expected, some are not finite")
        arrays["keys"] = sortable(numbers.to_numpy() if plan.whole_order else numbers.cast(pl.Float64).to_numpy())
    elif plan.time is not None and plan.time.kind == "seconds" and plan.time.whole:
        del arrays["keys"]  # the times are the keys
    return arrays, about
