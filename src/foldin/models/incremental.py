"""Incremental EM: passes over the users with new events alone, added to statistics of an earlier training."""

from collections.abc import Mapping
from functools import reduce

import numpy as np
import torch

from foldin.data import Histories
from foldin.inference import Statistics
from foldin.models.mergeable import MergeableStatistics
from foldin.tensors import Array, Bool
from foldin.training import FullPass, Trainer
from foldin.workers import group_of

__all__ = ["IncrementalTrainer"]


class IncrementalTrainer(Trainer[Histories]):
    """Passes over the users with new events; each ends with an M-step for the earlier statistics and those of the new events.

    In each pass the statistics of the new events are computed anew, under the parameters to which they have led, as coordinate
    ascent on the new users' part of the bound. Without new events there is a single pass, an M-step for the earlier statistics.

    Args:
        model: a model with parameters from an earlier training.
        train: all users, with their whole histories and times.
        earlier: statistics over the model's items, decayed.
        until: time of the newest event that is in the earlier statistics, in seconds since 1970.
        fresh: mask of the items that are not; their events are new whatever their time.
        epochs: number of passes.
    """

    def __init__(
        self,
        model: MergeableStatistics,
        train: Histories,
        earlier: Statistics,
        *,
        until: int,
        fresh: Bool[Array, " items"],
        epochs: int,
    ) -> None:
        self.model, self.earlier, self.until, self.fresh = model, earlier, until, fresh
        chosen = [_any_of_user(part, self.is_new(part)) for part in train.parts()]
        self.users = train.select(np.flatnonzero(np.concatenate(chosen)))
        super().__init__(FullPass(name="update", run=self.run), epochs=epochs if len(self.users) else 1)

    def is_new(self, part: Histories) -> Bool[Array, " events"]:
        """Mask of the events that are not in the earlier statistics."""
        assert part.times is not None
        found: Bool[Array, " events"] = (part.times > self.until) | self.fresh[part.items]
        return found

    def run(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """One pass; returns the numbers of users and of new events that were passed over."""
        group, model, events = group_of(generator), self.model, 0
        found: list[Statistics] = []
        for part in group.rows(self.users).parts():
            new = self.is_new(part)
            events += int(new.sum())
            found.append(model.summarize_new(part, new))
        gained = reduce(Statistics.merge, found)
        group.sum_(*gained.sums.values())
        weight, total = group.total(gained.weight), group.total(float(events))
        model.update(self.earlier.merge(Statistics(gained.sums, 0.0, weight)))
        return {"users": float(len(self.users)), "new_events": total}


def _any_of_user(part: Histories, marked: Bool[Array, " events"]) -> Bool[Array, " users"]:
    """Whether any event of each user is marked."""
    found: Bool[Array, " users"] = np.bincount(part.users()[marked], minlength=len(part)) > 0
    return found
