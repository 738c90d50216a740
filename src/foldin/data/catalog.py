"""External item ids ↔ indices, with titles, features and counts."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from foldin.errors import DataError, UnknownItemError
from foldin.tensors import Array, Bool, Int64

__all__ = ["Catalog"]


@dataclass(frozen=True, eq=False, repr=False)
class Catalog:
    """The items of a model, in index order.

    `table` has the columns `item` (external id, text, unique) and `count` (training events); where the
    log has them, also `title`, `is_active` (whether the item may be listed) and feature columns.
    """

    table: pl.DataFrame
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        missing = {"item", "count"} - set(self.table.columns)
        if missing:
            raise DataError(f"a catalog needs the columns 'item' and 'count'; missing: {sorted(missing)}")
        if self.table["item"].dtype != pl.String:  # ids are text in files and requests
            object.__setattr__(self, "table", self.table.with_columns(pl.col("item").cast(pl.String)))
        if self.table["item"].null_count():
            raise DataError(
                f"the catalog has an item without an id, in row {int(self.table['item'].is_null().arg_true()[0]) + 1:,}"
            )
        ids = self.table["item"].to_list()
        index = dict(zip(ids, range(len(ids)), strict=True))
        if len(index) != len(ids):
            raise DataError(f"the ids of a catalog must be unique: {len(ids)} rows, {len(index)} distinct ids")
        object.__setattr__(self, "_index", index)

    @classmethod
    def from_ids(cls, ids: Sequence[str], counts: Int64[Array, " items"] | None = None) -> "Catalog":
        """A catalog without titles and features.

        Raises:
            DataError: an id occurs twice, or the number of counts differs.
        """
        if counts is not None and len(counts) != len(ids):
            raise DataError(f"{len(counts):,} counts for {len(ids):,} items")
        numbers = np.zeros(len(ids), np.int64) if counts is None else counts
        return cls(pl.DataFrame({"item": pl.Series(ids, dtype=pl.String), "count": numbers}))

    def __len__(self) -> int:
        return self.table.height

    def __repr__(self) -> str:
        return f"Catalog of {len(self):,} items: {', '.join(self.table.columns)}"

    @cached_property
    def ids(self) -> list[str]:
        """External ids by index."""
        ids: list[str] = self.table["item"].to_list()
        return ids

    @cached_property
    def titles(self) -> list[str]:
        """Titles by index; for an item without a title, its id."""
        if "title" not in self.table.columns:
            return self.ids
        titles: list[str] = self.table.select(pl.coalesce("title", "item"))["title"].to_list()
        return titles

    @property
    def cold(self) -> Bool[Array, " items"]:
        """Mask of the items without a training event."""
        counts: Int64[Array, " items"] = self.table["count"].to_numpy()
        return counts == 0

    @cached_property
    def retired(self) -> Bool[Array, " items"] | None:
        """Mask of the items that may not be listed, by the column `is_active`; None if all may."""
        if "is_active" not in self.table.columns:
            return None
        mask: Bool[Array, " items"] = ~self.table["is_active"].fill_null(True).to_numpy().astype(bool)
        return mask if mask.any() else None

    def active(self, passing: Bool[Array, " items"] | None = None) -> Bool[Array, " items"] | None:
        """Mask of the items that may be listed, of all or of those that pass a filter; None if all items may."""
        if self.retired is None:
            return passing
        return ~self.retired if passing is None else passing & ~self.retired

    @cached_property
    def _by_title(self) -> dict[str, int]:
        # Of two items with one title, the more popular is meant: in ascending order of counts, it overwrites the other.
        order = np.argsort(self.table["count"].to_numpy(), kind="stable")
        return {self.titles[i].casefold(): int(i) for i in order}

    def indices(self, ids: Iterable[Any]) -> list[int]:
        """Indices of external ids.

        Raises:
            UnknownItemError: an id is not in the catalog (the message lists up to five), or is not text.
        """
        wanted = _ids(ids)
        if odd := [one for one in wanted if not isinstance(one, str)]:
            raise UnknownItemError(f"item ids must be text: {str(odd[0])!r}, not {odd[0]!r}")
        unknown = [one for one in wanted if one not in self._index]
        if unknown:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            shown = ", ".join(repr(one) for one in unknown[:5])
            # A number is like no title that happens to contain its digits.
            near = self._near(unknown[0]) if any(map(str.isalpha, unknown[0])) else ""
            raise UnknownItemError(f"not in the catalog of {len(self):,} items: {shown}{more}{near}")
        return [self._index[one] for one in wanted]

    def places(self, ids: Iterable[Any]) -> list[int | None]:
        """Index of each external id; None for one that is not in the catalog."""
        return [self._index.get(one) for one in _ids(ids)]

    def known(self, ids: Iterable[Any]) -> list[int]:
        """Indices of those ids that are in the catalog, in order."""
        return [self._index[one] for one in _ids(ids) if one in self._index]

    def __contains__(self, one: object) -> bool:
        """Whether `one` is the id of an item."""
        return isinstance(one, str) and one in self._index

    def find_title(self, title: Any) -> int:
        """Index of the item with a title, ignoring case; of several, the most popular one.

        Raises:
            UnknownItemError: no item has this title; the message suggests similar ones.
        """
        if not isinstance(title, str):
            raise UnknownItemError(f"a title must be text, not {title!r}")
        found = self._by_title.get(title.casefold())
        if found is None:
            raise UnknownItemError(f"no item in the catalog has the title {title!r}{self._near(title)}")
        return found

    def _near(self, word: str) -> str:
        """A clause with the titles or ids nearest to a misspelled one; empty when none is near."""
        folded = word.casefold()
        inside = [name for name in self._by_title if folded in name]
        inside.sort(key=lambda name: -int(self.table["count"][self._by_title[name]]))
        near = inside[:3] or difflib.get_close_matches(folded, list(self._by_title), n=3, cutoff=0.6)
        if not near:
            return ""
        return "; did you mean " + " or ".join(repr(self.titles[self._by_title[name]]) for name in near) + "?"


def _ids(ids: Iterable[Any]) -> list[Any]:
    if isinstance(ids, str):
        raise UnknownItemError(f"a list of ids was expected, not {ids!r}")
    return list(ids)
