"""Lists for users whose history is uninformative for the model: the most popular items.

A history is uninformative if it is empty, or if none of its items occurs with another item in training. Without this fallback,
a model would give all items the same score and list the catalog in the order of its ids.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.models.capability import capability
from foldin.models.contract import Recommender
from foldin.models.evidence import Dislikes, item_totals
from foldin.tensors import Array, Bool, Float, Float64, Int64, Tensor
from foldin.workers import ALONE, Group

__all__ = ["PopularStart", "dislikes_inform", "log_shares"]

# Scale of the scores of items that score 0 in an informative list: below every score of the model, in order of popularity.
_BELOW = 1e-25


def log_shares(counts: Float64[Array, " items"] | Int64[Array, " items"]) -> Float[Tensor, " items"]:
    """log of each item's share of all events, in nats, with one further event for each, so that no share is zero."""
    smoothed = torch.from_numpy(counts).double() + 1.0
    return (smoothed / smoothed.sum()).log()


def dislikes_inform(model: Recommender[Any]) -> bool:
    """Whether a model lists other items for a user of whom only dislikes are known than for one of whom nothing is."""
    if capability(model, Dislikes) is None:
        return False
    start = capability(model, PopularStart)
    return start is None or start.dislikes_speak


class PopularStart(ABC):
    """A recommender that ranks by training counts if a history is uninformative.

    `log_share`, one of its tensors, is learned by `learn_shares`. A model with a density scores the items of such a user with it;
    one without a density scores them with the shares themselves, below the scores of an informative history.
    """

    dislikes_speak: ClassVar[bool] = False  # whether the list of a user of whom only dislikes are known is one by these
    has_likelihood: bool
    log_share: Float[Tensor, " items"]

    def learn_shares(self, train: Histories, group: Group = ALONE) -> None:
        """Set `log_share` from the training events, which the workers of `group` count together."""
        totals = item_totals(group.rows(train))
        group.sum_(totals)
        self.log_share.copy_(log_shares(totals))

    @abstractmethod
    def speaking(self) -> Bool[Array, " items"]:
        """Mask of the items that are informative about users who have them."""

    def given_popularity(self, histories: Histories) -> Bool[Array, " users"]:
        """Whether each user's list is that of the most popular items, because no event of the history is informative.

        Dislikes are informative to a model that scores items by them, whatever else is known of the user.
        """
        speaking = self.speaking()
        read = [histories] if histories.dislikes is None or not self.dislikes_speak else [histories, histories.dislikes]
        said = [np.bincount(one.users()[speaking[one.items]], minlength=len(histories)) for one in read]
        found: Bool[Array, " users"] = np.sum(said, axis=0) == 0
        return found

    def _started(self, scores: Float[Tensor, "users items"], histories: Histories) -> Float[Tensor, "users items"]:
        """The scores, changed in place: users without events get the scores of an empty history."""
        nobody = np.flatnonzero(histories.lengths == 0)
        if len(nobody):
            scores[torch.from_numpy(nobody).to(scores.device)] = self._start().to(scores.dtype)
        return scores

    def _start(self) -> Float[Tensor, " items"]:
        """The scores of an empty history: log-probabilities if the model has a density, by its training or by a temperature."""
        return self.log_share if self.has_likelihood else self.log_share.exp()

    def _spoken(self, scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        """Scores without a density, changed in place: rows of zeros become the scores of an empty history."""
        silent = ~scores.any(dim=1)
        if silent.any():
            scores[silent] = self._start().to(scores.dtype)
        return scores

    def _filled(self, scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        """As `_spoken`, for scores that are not negative: zeros in other rows become tiny scores in the order of popularity."""
        told = scores.any(dim=1, keepdim=True).to(scores.dtype)
        # Too small to change a score that is not 0.
        return self._spoken(scores.addcmul_(told, _BELOW * self.log_share.exp()))
