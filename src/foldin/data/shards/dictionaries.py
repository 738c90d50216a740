"""The dictionaries of all chunks as one: external ids by code, in the same order as of a log that is read at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import polars as pl

from foldin.data.log.checks import dropped_words, kept_word, missing_ids, odd_ids, respelled
from foldin.data.log.columns import Columns
from foldin.data.log.encode import encode
from foldin.data.log.report import ReadReport
from foldin.data.log.text_ids import same_spelling
from foldin.data.shards.chunk import Chunk, mapped
from foldin.tensors import Array, Bool, Int32, Int64

__all__ = ["Dictionary", "Ids", "dictionaries"]

_DENSE_RANGE = 1 << 25  # a table of 256 MB at most


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Ids of users or of items.

    Args:
        ids: by code.
        counts: number of events of each id.
        codes: `id` as it is written in the chunks, and its `code`. Integers are sorted.
        gone: words for a missing value, which have no code.
    """

    ids: pl.Series
    counts: Int64[Array, " ids"]
    codes: pl.DataFrame
    gone: pl.Series

    def codes_of(self, ids: pl.DataFrame) -> Int32[Array, " ids"]:
        """The code of each id of a chunk's dictionary, in its order; −1 for one that does not occur, and for a word that is gone.

        That of another id of which no event is left is of no meaning: its events are dropped for their other id.
        """
        if self.codes["id"].dtype.is_integer():
            found = np.searchsorted(self.codes["id"].to_numpy(), ids["id"].to_numpy()).astype(np.int32)
        else:
            texts = ids.select(pl.col("id").cast(pl.String))
            codes = texts.join(self.codes, on="id", how="left", maintain_order="left")["code"]
            found = codes.fill_null(-1).cast(pl.Int32).to_numpy().copy()
        found[ids["count"].to_numpy() == 0] = -1
        return found

    def known(self, ids: pl.DataFrame) -> Bool[Array, " ids"]:
        """Whether each id of a chunk's dictionary is none of the words for a missing value."""
        return ~ids["id"].cast(pl.String).is_in(self.gone.to_list()).to_numpy()


class Ids(NamedTuple):
    """The dictionaries of the events that have both a user and an item.

    Args:
        dropped: whether there are others.
    """

    users: Dictionary
    items: Dictionary
    dropped: bool

    def kept(self, chunk: Chunk) -> Bool[Array, " events"]:
        """Whether each event of a chunk has a user and an item."""
        return _known(chunk, "users", self.users) & _known(chunk, "items", self.items)


def dictionaries(chunks: Sequence[Chunk], columns: Columns, report: ReadReport) -> tuple[Ids, ReadReport]:
    """(users and items of all chunks, report with what was dropped or looks wrong).

    As in a log that is read at once, what is a missing value among the items is decided without the events that have no
    user, and a user or an item of whom no event is left has no code.
    """
    users, report = _dictionary(_of_all(chunks, "users"), columns.user, "user", report)
    table = _of_all(chunks, "items")
    if users.gone.len():
        table = _summed(_counted(one, "items", _known(one, "users", users)) for one in chunks)
    items, report = _dictionary(table, columns.item, "item", report)
    found = Ids(users, items, dropped=bool(users.gone.len() or items.gone.len()))
    if items.gone.len():
        table = _summed(_counted(one, "users", found.kept(one)) for one in chunks)
        again, _ = _dictionary(table, columns.user, "user", report, judged=True)
        found = found._replace(users=replace(again, gone=users.gone))
    return found, odd_ids(found.users.ids, "user", odd_ids(items.ids, "item", report))


def _known(chunk: Chunk, role: str, dictionary: Dictionary) -> Bool[Array, " events"]:
    return dictionary.known(chunk.ids(role))[mapped(chunk.folder)[role]]


def _counted(chunk: Chunk, role: str, kept: Bool[Array, " events"]) -> pl.DataFrame:
    """A chunk's dictionary with the numbers of some of its events."""
    ids = chunk.ids(role)
    return ids.with_columns(count=np.bincount(mapped(chunk.folder)[role][kept], minlength=ids.height))


def _of_all(chunks: Sequence[Chunk], role: str) -> pl.DataFrame:
    """The columns `id` and `count` over all chunks, of which few are in memory at a time."""
    parts = [pl.scan_parquet(one.dictionary(role), glob=False) for one in chunks]
    if not all(part.collect_schema()["id"].is_integer() for part in parts):
        parts = [part.with_columns(pl.col("id").cast(pl.String)) for part in parts]
    elif (found := _of_numbers(chunks, role)) is not None:
        return found
    return _by_id(pl.concat(parts)).collect(engine="streaming").sort("id")


def _of_numbers(chunks: Sequence[Chunk], role: str) -> pl.DataFrame | None:
    """The columns `id` and `count` over all chunks, if all ids are integers in a small range; None if they are not."""
    low, total = 0, np.zeros(0, dtype=np.int64)
    for chunk in chunks:
        ids = chunk.ids(role)
        if not ids.height:
            continue
        numbers = ids["id"].to_numpy()  # in order
        first, end = int(numbers[0]), int(numbers[-1]) + 1
        if len(total):
            first, end = min(first, low), max(end, low + len(total))
        if end - first > _DENSE_RANGE:
            return None
        if end - first > len(total):
            larger = np.zeros(end - first, dtype=np.int64)
            larger[low - first : low - first + len(total)] = total
            low, total = first, larger
        total[numbers - low] += ids["count"].to_numpy()
    at = np.flatnonzero(total)
    return pl.DataFrame({"id": at + low, "count": total[at]})


def _summed(parts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The columns `id`, as text, and `count` over the dictionaries of all chunks."""
    found = pl.DataFrame(schema={"id": pl.String, "count": pl.Int64})
    for part in parts:
        both = pl.concat([found, part.select(pl.col("id").cast(pl.String), pl.col("count").cast(pl.Int64))])
        found = _by_id(both.lazy()).collect()
    return found.sort("id")


def _by_id(table: pl.LazyFrame) -> pl.LazyFrame:
    return table.filter(pl.col("count") > 0).group_by("id").agg(pl.col("count").sum())


def _dictionary(
    table: pl.DataFrame, name: str, role: str, report: ReadReport, *, judged: bool = False
) -> tuple[Dictionary, ReadReport]:
    """The dictionary of the columns `id` and `count`, in the order of the ids.

    Args:
        name: of the column, for the notes.
        role: `user` or `item`, for the notes.
        judged: whether the words for a missing value are gone already, and all others are kept.
    """
    if table["id"].dtype.is_integer():  # no word, and no other spelling, is among them
        codes = table.select("id", code=pl.int_range(pl.len(), dtype=pl.Int32))
        ids = table["id"].cast(pl.String)
        return Dictionary(ids, table["count"].to_numpy(), codes, ids.clear()), report
    none = table["id"].clear()
    words, kept = (none, none) if judged else missing_ids(table["count"].to_numpy(), table["id"])
    gone = words.filter(~words.is_in(kept.to_list())).sort()
    for word in kept:
        report = kept_word(word, int(table.filter(pl.col("id") == word)["count"][0]), role, report)
    lost = pl.col("id").is_in(gone.to_list())
    if gone.len():
        report = dropped_words(gone, int(table.filter(lost)["count"].sum()), name, role, report)
    real = table.filter(~lost)
    plain = same_spelling(real["id"])
    report = respelled(real["id"], plain, role, report)
    places, ids = encode(plain)
    counts = np.bincount(places, weights=real["count"].to_numpy(), minlength=ids.len()).astype(np.int64)
    return Dictionary(ids, counts, pl.DataFrame({"id": real["id"], "code": places}), gone), report
