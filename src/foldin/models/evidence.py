"""What a model reads of histories with weights and dislikes, and how the models that read them say so.

A weight w multiplies what the model makes of an event. A dislike is read as an event of negative weight. Models without the
capability `WeightedEvents` count every event alike; those without `Dislikes` do not see them. Dislikes are never listed, whatever
the model (`ranking.Eligibility`).
"""

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np
import scipy.sparse
import torch

from foldin.data import Histories
from foldin.kernels import recency_weights
from foldin.models.recency import event_weights
from foldin.tensors import Array, Float, Float32, Float64, Int, Tensor
from foldin.transfers import sent

__all__ = [
    "Dislikes",
    "Events",
    "SignedBag",
    "SignedRows",
    "WeightedCounts",
    "WeightedEvents",
    "item_totals",
    "read_and_predicted",
    "read_events",
    "signed_rows",
    "summed_rows",
    "with_dislikes",
]


@runtime_checkable
class WeightedEvents(Protocol):
    """A model for which events may count more or less, by their weights."""

    @abstractmethod
    def use_of_weights(self) -> str:
        """What the weight of an event changes, as a sentence."""


@runtime_checkable
class Dislikes(Protocol):
    """A model that learns from the dislikes of users, and scores the items of a user lower for those disliked."""

    @abstractmethod
    def use_of_dislikes(self) -> str:
        """What a dislike changes, as a sentence."""


for _protocol in (WeightedEvents, Dislikes):
    # Python gives protocols a constructor, which would precede that of the model and hide its signature.
    delattr(_protocol, "__init__")


class SignedRows(WeightedEvents, Dislikes):
    """The sentences of a model that regresses a matrix X of users by items on itself."""

    dislikes_speak: ClassVar[bool] = True  # see `PopularStart`

    def use_of_weights(self) -> str:
        return "the weight of an event is its entry in X, both in XᵀX and in the x that is scored"

    def use_of_dislikes(self) -> str:
        return "a dislike is a negative entry in X, both in XᵀX and in the x that is scored"


class SignedBag(WeightedEvents, Dislikes):
    """The sentences of an autoencoder with a multinomial likelihood."""

    def use_of_weights(self) -> str:
        return "the weight of an event is its entry in the input row, before it has unit length, and its count in the likelihood"

    def use_of_dislikes(self) -> str:
        return "a dislike is a negative entry in the input row; the likelihood is that of the other events"


class WeightedCounts(WeightedEvents):
    """The sentence of a model of counts."""

    def use_of_weights(self) -> str:
        return "an event counts as often as its weight says"


class Events(NamedTuple):
    """Events as tensors.

    Args:
        items: item of each event, one user after another.
        offsets: where each user's events begin, and the end of the last user.
        weights: weight of each event, negative for a dislike; None if all are 1.
    """

    items: Int[Tensor, " events"]
    offsets: Int[Tensor, " offsets"]
    weights: Float[Tensor, " events"] | None


def with_dislikes(histories: Histories, oldest: float) -> tuple[Histories, Float32[Array, " events"] | None]:
    """(histories in which each user's dislikes follow the events, signed weight of each event; None if all are 1).

    Args:
        oldest: weight of the oldest event of a history, and of its oldest dislike, as in `event_weights`.
    """
    weights = event_weights(histories, oldest)
    if histories.dislikes is None:
        return histories, weights
    ones = np.ones(histories.n_events, np.float32)
    likes = replace(histories, weights=ones if weights is None else weights, dislikes=None)
    against = event_weights(histories.dislikes, oldest)
    against = np.ones(histories.dislikes.n_events, np.float32) if against is None else against
    merged = likes.followed_by(replace(histories.dislikes, weights=-against))
    return merged, merged.weights


def signed_rows(histories: Histories, oldest: float) -> scipy.sparse.csr_matrix:
    """The users × items matrix of signed weights; an item with several events has several entries."""
    merged, weights = with_dislikes(histories, oldest)
    return merged.csr(weights)


def summed_rows(histories: Histories, oldest: float) -> scipy.sparse.csr_matrix:
    """As `signed_rows`, with one entry for each item of a user: the sum of the weights of the item's events."""
    merged, weights = with_dislikes(histories, oldest)
    rows = merged.csr(weights)
    if merged.distinct() is not merged:
        rows = rows.copy()  # the matrix shares memory with the events
        rows.sum_duplicates()
    return rows


def read_events(histories: Histories, oldest: float, device: torch.device) -> Events:
    """The events and dislikes of histories, as tensors."""
    if histories.weights is None and histories.dislikes is None:
        items, offsets = histories.tensors(device)
        return Events(items, offsets, None if oldest == 1.0 else recency_weights(offsets, oldest, len(items)))
    merged, weights = with_dislikes(histories, oldest)
    items, offsets = merged.tensors(device)
    return Events(items, offsets, None if weights is None else sent(weights, device))


def read_and_predicted(histories: Histories, oldest: float, device: torch.device) -> tuple[Events, Events]:
    """(the events that an autoencoder reads, with dislikes; those that it predicts, without)."""
    read = read_events(histories, oldest, device)
    if histories.dislikes is None:
        return read, read
    return read, read_events(replace(histories, dislikes=None), oldest, device)


def item_totals(histories: Histories) -> Float64[Array, " items"]:
    """Sum of the weights of each item's events: their number, if all weights are 1."""
    if histories.weights is None:
        return histories.counts().astype(np.float64)
    found = np.zeros(histories.n_items)
    for part in histories.parts():
        found += np.bincount(part.items, weights=part.weights, minlength=histories.n_items)
    return found
