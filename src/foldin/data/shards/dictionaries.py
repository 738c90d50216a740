"""The dictionaries of all chunks as one: external ids by code, in the same order as of a log that is read at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from foldin.data.log.checks import dropped_words, kept_word, missing_ids, odd_ids, respelled
from foldin.data.log.encode import encode
from foldin.data.log.report import ReadReport
from foldin.data.log.text_ids import same_spelling
from foldin.tensors import Array, Int32, Int64

__all__ = ["Dictionary", "merged", "noted_words"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Ids of users or of items.

    Args:
        ids: by code.
        counts: number of events of each id, before any were dropped for the other's id.
        codes: `id` as it is written in the chunks, and its `code`; −1 for a word for a missing value. Integers are sorted.
        gone: words for a missing value.
    """

    ids: pl.Series
    counts: Int64[Array, " ids"]
    codes: pl.DataFrame
    gone: pl.Series

    def codes_of(self, ids: pl.Series) -> Int32[Array, " ids"]:
        """The code of each id of a chunk's dictionary, in its order; of a number that occurs nowhere, that of the next one."""
        if self.codes["id"].dtype.is_integer():
            return np.searchsorted(self.codes["id"].to_numpy(), ids.to_numpy()).astype(np.int32)
        texts = ids.cast(pl.String).alias("id").to_frame()
        return texts.join(self.codes, on="id", how="left", maintain_order="left")["code"].to_numpy()


def merged(paths: Sequence[Path], role: str, report: ReadReport) -> tuple[Dictionary, ReadReport]:
    """The dictionary of all chunks' ids.

    Args:
        role: `user` or `item`, for the notes.
    """
    parts = [pl.scan_parquet(path) for path in paths]
    integers = all(part.collect_schema()["id"].is_integer() for part in parts)
    scan = pl.concat(parts if integers else [part.with_columns(pl.col("id").cast(pl.String)) for part in parts])
    table = (
        scan.filter(pl.col("count") > 0)
        .group_by("id")
        .agg(pl.col("count").sum())
        .collect(engine="streaming")
        .sort("id")
    )
    counts: Int64[Array, " ids"] = table["count"].to_numpy()
    if integers:  # no word, and no other spelling, is among them
        codes = table.select("id", code=pl.int_range(pl.len(), dtype=pl.Int32))
        ids = table["id"].cast(pl.String)
        return Dictionary(ids, counts, codes, ids.clear()), report
    words, kept = missing_ids(counts, table["id"])
    gone = words.filter(~words.is_in(kept.to_list())).sort()
    for word in kept:
        report = kept_word(word, int(table.filter(pl.col("id") == word)["count"][0]), role, report)
    real = table["id"].filter(~table["id"].is_in(gone.to_list())) if gone.len() else table["id"]
    plain = same_spelling(real)
    report = respelled(real, plain, role, report)
    places, ids = encode(plain)
    of_id = table["count"].filter(~table["id"].is_in(gone.to_list())) if gone.len() else table["count"]
    totals = np.bincount(places, weights=of_id.to_numpy(), minlength=ids.len()).astype(np.int64)
    codes = pl.DataFrame({"id": real, "code": places})
    if gone.len():
        codes = pl.concat([codes, pl.DataFrame({"id": gone, "code": np.full(gone.len(), -1, np.int32)})])
    return Dictionary(ids, totals, codes, gone), odd_ids(ids, role, report)


def noted_words(dictionary: Dictionary, count: int, name: str, role: str, report: ReadReport) -> ReadReport:
    """The report, with a note on the events whose id is a word for a missing value."""
    return dropped_words(dictionary.gone, count, name, role, report) if count else report
