"""A finished run in memory: its model with the catalog, the rules by which its log was read, and users."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from foldin.data import Catalog, EventLog, EventWeights, FrameStyle, KnownUsers, ReadOptions
from foldin.display import Display, Displayed
from foldin.inference import Statistics
from foldin.models import Recommender
from foldin.ranking import ItemIndex
from foldin.runs.recommends import Parts, Recommends
from foldin.runs.stored_index import load_index
from foldin.runs.stored_statistics import read_statistics

__all__ = ["Run"]


@dataclass(frozen=True, eq=False, repr=False)
class Run(Recommends, Displayed):
    """A finished run that has been loaded.

    Args:
        folder: its directory; of a folder of generations, that of the generation.
        name: the model's name in `MODELS`.
        model: the trained model.
        catalog: its items.
        info: `run.json`: data and its fingerprint, protocol, seed, versions, timings.
        known: users whose histories were saved with the run, or attached.
        style, reading: see `Parts`.
        weighting: the rule by which events of users count: how they were weighted in training, and which ratings were left out.
    """

    folder: Path
    name: str
    model: Recommender
    catalog: Catalog
    info: dict[str, Any]
    known: KnownUsers | None = None
    style: FrameStyle = field(default_factory=FrameStyle)
    reading: ReadOptions = field(default_factory=ReadOptions)
    weighting: EventWeights | None = None

    def display(self) -> Display:
        rows = [("items", f"{len(self.catalog):,}"), ("users with histories", f"{len(self.known or ()):,}")]
        rows += [
            (name, str(self.info[name])) for name in ("protocol", "seed", "began") if self.info.get(name) is not None
        ]
        rows += [(name, str(value)) for name, value in self.model.config.as_dict().items()]
        return Display(title=f"{self.name} in {self.folder}", head=("", ""), rows=rows)

    def _parts(self) -> Parts:
        return Parts(self.model, self.catalog, self.style, self.reading, self.weighting)

    def _known_users(self) -> KnownUsers | None:
        return self.known

    @cached_property
    def index(self) -> ItemIndex | None:
        """The index over the items that is stored with the run, for `Approximate`; None if there is none.

        Raises:
            RunError: the index is damaged, or was built from another model.
            MissingExtraError: FAISS is not installed.
        """
        return load_index(self.folder, self.model)

    @cached_property
    def statistics(self) -> Statistics | None:
        """The expected sufficient statistics that gave the model's parameters; None if the run keeps none.

        Raises:
            RunError: their file is damaged.
        """
        return read_statistics(self.folder, self.info)

    @property
    def until(self) -> int | None:
        """Seconds since 1970 of the newest event that the model was trained on; None if the run does not say."""
        found = self.info.get("until")
        return found if isinstance(found, int) else None

    def attach(self, log: EventLog) -> "Run":
        """The run with the histories of a log's users, weighted as in training, so that lists can be requested by user id.

        Results are then tables of the library of that log, with ids of its types.
        """
        known = KnownUsers.of_log(log, self.catalog, self.weighting)
        return replace(self, known=known, style=log.style.with_items_of(self.style))
