"""The dictionaries of all chunks as one: external ids by code, in the same order as of a log that is read at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from foldin.data.log.checks import dropped_words, kept_word, missing_ids, odd_ids, respelled
from foldin.data.log.columns import Columns
from foldin.data.log.encode import encode
from foldin.data.log.report import ReadReport
from foldin.data.log.text_ids import same_spelling
from foldin.data.shards.chunk import Chunk, mapped
from foldin.tensors import Array, Bool, Int32, Int64

__all__ = ["Dictionary", "dictionaries"]


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
        """The code of each id of a chunk's dictionary, in its order; −1 for one without events."""
        if self.codes["id"].dtype.is_integer():
            found = np.searchsorted(self.codes["id"].to_numpy(), ids["id"].to_numpy()).astype(np.int32)
            found[ids["count"].to_numpy() == 0] = -1
            return found
        texts = ids.select(pl.col("id").cast(pl.String)).join(self.codes, on="id", how="left", maintain_order="left")
        return texts["code"].fill_null(-1).cast(pl.Int32).to_numpy()

    def known(self, ids: pl.DataFrame) -> Bool[Array, " ids"]:
        """Whether each id of a chunk's dictionary is none of the words for a missing value."""
        return ~ids["id"].cast(pl.String).is_in(self.gone.to_list()).to_numpy()


def dictionaries(
    chunks: Sequence[Chunk], columns: Columns, report: ReadReport
) -> tuple[Dictionary, Dictionary, ReadReport]:
    """(users, items, report with what was dropped or looks wrong) of the events of all chunks that have both.

    As in a log that is read at once, what is a missing value among the items is decided without the events that have no
    user, and a user or an item of whom no event is left has no code.
    """
    users, report = _merged([one.ids("users").lazy() for one in chunks], columns.user, "user", report)
    without_user = users.gone.len() > 0
    parts = [_counted(one, "items", users) if without_user else one.ids("items") for one in chunks]
    items, report = _merged([one.lazy() for one in parts], columns.item, "item", report)
    if items.gone.len():
        left = [_counted(one, "users", users, items).lazy() for one in chunks]
        again, _ = _merged(left, columns.user, "user", report, judged=True)
        users = replace(again, gone=users.gone)
    return users, items, odd_ids(users.ids, "user", odd_ids(items.ids, "item", report))


def _counted(chunk: Chunk, role: str, users: Dictionary, items: Dictionary | None = None) -> pl.DataFrame:
    """A chunk's dictionary with the number of events that have a user, and an item if items are given."""
    events = mapped(chunk.folder)
    kept = users.known(chunk.ids("users"))[events["users"]]
    if items is not None:
        kept &= items.known(chunk.ids("items"))[events["items"]]
    ids = chunk.ids(role)
    return ids.with_columns(count=np.bincount(events[role][kept], minlength=ids.height))


def _merged(
    parts: Sequence[pl.LazyFrame], name: str, role: str, report: ReadReport, *, judged: bool = False
) -> tuple[Dictionary, ReadReport]:
    """The dictionary of all chunks' ids.

    Args:
        parts: the columns `id` and `count` of each chunk.
        name: of the column, for the notes.
        role: `user` or `item`, for the notes.
        judged: whether the words for a missing value are gone already, and all others are kept.
    """
    integers = all(part.collect_schema()["id"].is_integer() for part in parts)
    scan = pl.concat(parts if integers else [part.with_columns(pl.col("id").cast(pl.String)) for part in parts])
    scan = scan.filter(pl.col("count") > 0).group_by("id").agg(pl.col("count").sum())
    table = scan.collect(engine="streaming").sort("id")
    if integers:  # no word, and no other spelling, is among them
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
