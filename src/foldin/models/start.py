"""What a recommender lists for a user of whose history it has learned nothing: the most popular items.

A history says nothing when it is empty, or when no training user took one of its items with another. Models that have no start
of their own for it would score every item alike, and list the catalog in the order of its ids.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch

from foldin.data import Histories
from foldin.tensors import Array, Bool, Float, Int64, Tensor

__all__ = ["PopularStart", "log_shares"]

# Of a place that says nothing in a list that says something: below every score of the model, and still by popularity.
_BELOW = 1e-25


def log_shares(counts: Int64[Array, " items"]) -> Float[Tensor, " items"]:
    """log of each item's share of all events, in nats, with one event more for each: an item without an event has a share too."""
    smoothed = torch.from_numpy(counts).double() + 1.0
    return (smoothed / smoothed.sum()).log()


class PopularStart(ABC):
    """A recommender that gives training counts where a history says nothing.

    `log_share`, one of its tensors, is learned by `learn_shares`. A model with a density scores such a user's items with it; one
    without a density scores them with the shares themselves, below the scores that a history gives.
    """

    has_likelihood: bool
    log_share: Float[Tensor, " items"]

    def learn_shares(self, train: Histories) -> None:
        """Take over the shares of the training events."""
        self.log_share.copy_(log_shares(train.counts()))

    @abstractmethod
    def speaking(self) -> Bool[Array, " items"]:
        """Which items say something of a user who took them."""

    def given_popularity(self, histories: Histories) -> Bool[Array, " users"]:
        """Whether a user's list is that of the most popular items, for want of an event that says something."""
        users = histories.users()[self.speaking()[histories.items]]
        return np.bincount(users, minlength=len(histories)) == 0

    def _started(self, scores: Float[Tensor, "users items"], histories: Histories) -> Float[Tensor, "users items"]:
        """The scores, in their own memory, with those of an empty history put in."""
        nobody = np.flatnonzero(histories.lengths == 0)
        if len(nobody):
            scores[torch.from_numpy(nobody).to(scores.device)] = self._start().to(scores.dtype)
        return scores

    def _start(self) -> Float[Tensor, " items"]:
        """The scores of an empty history: a density where the model has one, by its training or by a temperature."""
        return self.log_share if self.has_likelihood else self.log_share.exp()

    def _spoken(self, scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        """Scores without a density, in their own memory; where a row is of zeros, those of an empty history."""
        silent = ~scores.any(dim=1)
        if silent.any():
            scores[silent] = self._start().to(scores.dtype)
        return scores

    def _filled(self, scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        """As `_spoken`, of scores of which none is below 0: in another row, the zeros are put in the order of popularity."""
        told = scores.any(dim=1, keepdim=True).to(scores.dtype)
        # Added to a score that is not 0, so little changes nothing.
        return self._spoken(scores.addcmul_(told, _BELOW * self.log_share.exp()))
