"""Personal popularity: the items that a user has taken before, the recent and the frequent ones first, and then the popular ones.

    p(i | h) = (v_g p(i) + Σ_e w_a(e) [i_e = i]) / (v_g + Σ_e w_a(e))

An event e of the history h has a weight w by its age a(e), the number of events since then, and a draw by the training counts,
p(i) = (c_i + 1) / (N + I), a weight v by the group g of the history, which says how long it is and how often it repeats items.
The weights are the most probable ones for the events of the training users, each given those before it, by EM
(`models/repeats.py`).

This is the baseline of every table in which repeats count: without the ages (`recency`), items are in the order of the user's own
counts, and then by popularity (GP-TopFreq).

Source: hu2020 (personal frequency); li2023 (GP-TopFreq).
Departures: the two orders are one distribution with a likelihood.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.models.contract import Recommender
from foldin.models.evidence import WeightedCounts, item_totals
from foldin.models.repeats import RepeatWeights, choices_of_training, learn_repeats
from foldin.models.start import log_shares
from foldin.tensors import Float, Tensor
from foldin.training import Config, FullPass, Trainer, setting

__all__ = ["PersonalPopularity", "PersonalPopularityConfig"]

_EVENTS = 500_000  # that the weights are learned from, which is plenty for a few dozens


@dataclass(frozen=True, kw_only=True)
class PersonalPopularityConfig(Config):
    recency: bool = setting(
        True, "Whether the weight of an event depends on its age; otherwise items are ordered by the user's own counts."
    )


class PersonalPopularity(WeightedCounts, Recommender[PersonalPopularityConfig]):
    """A user's own items by recency and frequency, mixed with the popular ones."""

    Config = PersonalPopularityConfig
    has_likelihood = True
    summary = "the user's own items by recency and frequency, then the popular ones, for logs with repeats"

    def _build(self, generator: torch.Generator) -> None:
        self.repeats = RepeatWeights.even(1, recency=self.config.recency)
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="repeats", run=partial(_learn, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        return {"by_age": self.repeats.by_age, "of_models": self.repeats.of_models, "log_share": self.log_share}

    def use_of_weights(self) -> str:
        return "an event counts as often as its weight says in the counts of all users, and once in a user's own"

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        popular = self.log_share.exp().repeat(1, len(histories), 1)
        return self.repeats.mixed(histories, popular)


def _learn(model: PersonalPopularity, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    model.log_share.copy_(log_shares(item_totals(train)))
    some = _some(train)
    if not (some.lengths > 1).any():
        raise FitError("personal: no training user has two events, so that nothing can be learned of repeats")
    choices = choices_of_training(some, model.repeats.ages)
    shares = model.log_share.double().exp().cpu().numpy()
    _, course = learn_repeats(model.repeats, choices, shares[choices.items][:, None])
    per_choice = course.lower_bounds[-1] / len(choices.items)
    return {"log_posterior": per_choice, "iterations": len(course.lower_bounds) - 1.0}


def _some(train: Histories) -> Histories:
    """The training users, or as many of them, drawn at random, as have about half a million events."""
    if train.n_events <= _EVENTS:
        return train
    order = np.random.default_rng(0).permutation(len(train))
    until = int(np.searchsorted(np.cumsum(train.lengths[order]), _EVENTS)) + 1
    return train.select(np.sort(order[:until]))
