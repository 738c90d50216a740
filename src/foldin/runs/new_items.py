"""A trained model with items that came after its training, and the file of what a model keeps for them."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from foldin.data import Catalog, EventLog, EventWeights, FrameStyle, KnownUsers, ReadOptions
from foldin.data.log.new_items import with_new_items
from foldin.display import Display, Displayed
from foldin.errors import DataError
from foldin.files import read_tensors, write_tensors
from foldin.models import ExtendsItems, KeepsForNewItems, Recommender, capability, required
from foldin.runs.recommends import Parts, Recommends

__all__ = ["KEPT", "WithNewItems", "known_of_larger", "load_kept", "save_kept"]

KEPT = "new_items.safetensors"


@dataclass(frozen=True, eq=False, repr=False)
class WithNewItems(Recommends, Displayed):
    """A trained model with items that came after its training; nothing was trained for them.

    Args:
        model: the model of the larger catalog.
        catalog: the items of the training, then the new ones, with a count of 0.
        new: number of new items.
        known: users whose histories are known.
        style, reading, weighting: see `Parts`.
    """

    model: Recommender[Any]
    catalog: Catalog
    new: int
    known: KnownUsers | None = None
    style: FrameStyle = field(default_factory=FrameStyle)
    reading: ReadOptions = field(default_factory=ReadOptions)
    weighting: EventWeights | None = None

    @classmethod
    def of(cls, trained: Recommends, items: Any) -> "WithNewItems":
        """See `Recommends.with_new_items`."""
        model, catalog, style, reading, weighting = trained._parts()
        able = required(
            model, ExtendsItems, "items that came after the training need a model that reads their features"
        )
        joined, new, _ = with_new_items(catalog.table, items, "the catalog")
        if new == 0:
            raise DataError(
                f"the table of items: the catalog of {len(catalog):,} items has all of them; nothing is new"
            )
        larger = Catalog(joined.with_columns(pl.col("count").fill_null(0)))
        known = known_of_larger(trained._known_users(), len(larger))
        return cls(able.with_new_items(larger), larger, new, known, style, reading, weighting)

    def display(self) -> Display:
        rows = [("items", f"{len(self.catalog):,}"), ("new items", f"{self.new:,}")]
        rows += [("users with histories", f"{len(self.known or ()):,}")]
        return Display(title=f"{type(self.model).__name__} with new items", head=("", ""), rows=rows)

    def attach(self, log: EventLog) -> "WithNewItems":
        """The same with the histories of a log's users, events on the new items included."""
        return replace(self, known=KnownUsers.of_log(log, self.catalog, self.weighting))

    def _parts(self) -> Parts:
        return Parts(self.model, self.catalog, self.style, self.reading, self.weighting)

    def _known_users(self) -> KnownUsers | None:
        return self.known


def known_of_larger(known: KnownUsers | None, n_items: int) -> KnownUsers | None:
    """Users with their histories over a larger catalog that begins with the items of theirs."""
    if known is None:
        return None
    return KnownUsers(known.ids, known.histories.reindex(np.arange(known.histories.n_items), n_items))


def save_kept(folder: Path, model: Recommender[Any]) -> list[str]:
    """Write what a model keeps for new items into a run directory; returns the name of the file, if there is one."""
    keeping = capability(model, KeepsForNewItems)
    kept = {} if keeping is None else keeping.kept_for_new_items()
    if not kept:
        return []
    write_tensors(folder / KEPT, kept, {"model": type(model).__name__})
    return [KEPT]


def load_kept(folder: Path, model: Recommender[Any]) -> None:
    """Give a model what it kept for new items.

    Raises:
        RunError: the file is damaged, or that of another model.
    """
    keeping = capability(model, KeepsForNewItems)
    if keeping is not None:
        keeping.take_kept(read_tensors(folder / KEPT)[0])
