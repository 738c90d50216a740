"""Histories as a transformer takes them: the newest events, in rectangles of nearly equal lengths."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.tensors import Array, Int, Int64, Tensor

__all__ = [
    "Sequences",
    "batches_by_length",
    "batches_of_transitions",
    "cut_by_length",
    "encoder_bytes",
    "newest",
    "step_bytes",
    "transitions",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Sequences:
    """A rectangle of events, oldest first, filled up on the right.

    A causal model never looks to the right, so that the filling changes nothing; its own places are not to be used.

    Args:
        items: item indices; 0 in the filling.
        lengths: events of each user, at least 1.
        times: seconds since 1970; the user's last time in the filling. None where the log has no times.
    """

    items: Int[Tensor, "users length"]
    lengths: Int[Tensor, " users"]
    times: Int[Tensor, "users length"] | None

    def positions(self) -> Int[Tensor, " tokens"]:
        """Places of the true events in the flattened rectangle, user by user."""
        steps = torch.arange(self.items.shape[1], device=self.items.device)
        return (steps < self.lengths.unsqueeze(1)).reshape(-1).nonzero().squeeze(1)

    def last(self) -> Int[Tensor, " users"]:
        """Place of each user's newest event in the flattened rectangle."""
        users, length = self.items.shape
        return torch.arange(users, device=self.items.device) * length + self.lengths - 1


def _rectangle(
    values: Int[Array, " events"], starts: Int64[Array, " users"], lengths: Int64[Array, " users"]
) -> Int64[Array, "users length"]:
    """`values[starts[u] : starts[u] + lengths[u]]` as rows; the last one again where a row is shorter."""
    steps = np.minimum(np.arange(lengths.max(initial=0))[None, :], lengths[:, None] - 1)
    return values[starts[:, None] + steps].astype(np.int64)


def _sequences(
    histories: Histories, starts: Int64[Array, " users"], lengths: Int64[Array, " users"], device: torch.device
) -> Sequences:
    times = None if histories.times is None else _rectangle(histories.times, starts, lengths)
    return Sequences(
        items=torch.from_numpy(_rectangle(histories.items, starts, lengths)).to(device),
        lengths=torch.from_numpy(lengths).to(device),
        times=None if times is None else torch.from_numpy(times).to(device),
    )


def newest(histories: Histories, length: int, device: torch.device) -> Sequences:
    """The last `length` events of each user. Nobody's history may be empty."""
    lengths = np.minimum(histories.lengths, length)
    return _sequences(histories, histories.offsets[1:] - lengths, lengths, device)


def transitions(
    histories: Histories, length: int, device: torch.device, crop: torch.Generator | None = None
) -> tuple[Sequences, Int[Tensor, " tokens"]]:
    """(the last `length` events but the newest, the event after each of them): what a causal model is trained on.

    Everybody needs two events. With `crop`, a history longer than that is read in a random window of it instead.
    """
    lengths = np.minimum(histories.lengths - 1, length)
    starts = histories.offsets[1:] - 1 - lengths
    if crop is not None:
        room = starts - histories.offsets[:-1] + 1
        shares = torch.rand(len(histories), generator=crop, device=crop.device, dtype=torch.float64).cpu().numpy()
        starts = histories.offsets[:-1] + (shares * room).astype(np.int64)
    given = _sequences(histories, starts, lengths, device)
    following = torch.from_numpy(_rectangle(histories.items, starts + 1, lengths)).to(device)
    return given, following.view(-1)[given.positions()]


def batches_by_length(
    lengths: Int64[Array, " users"], tokens: int, rng: np.random.Generator
) -> list[Int64[Array, " batch"]]:
    """Users with any length, those of about one length together, the batches in random order."""
    users = rng.permutation(np.flatnonzero(lengths > 0))
    users = users[np.argsort(lengths[users], kind="stable")]
    batches = [users[cut] for cut in cut_by_length(lengths[users], tokens)]
    return [batches[at] for at in rng.permutation(len(batches))]


def batches_of_transitions(
    train: Histories, length: int, tokens: int, rng: np.random.Generator
) -> list[Int64[Array, " batch"]]:
    """Batches by length for learning from one event to the next, of at most `length` events.

    Raises:
        FitError: no user has two events.
    """
    steps = np.minimum(train.lengths - 1, length)
    if not (steps > 0).any():
        raise FitError("no user has two events: there is no next event to learn from")
    return batches_by_length(steps, tokens, rng)


def encoder_bytes(width: int, blocks: int) -> float:
    """What the matrices of a transformer of single-precision weights take, in bytes: six squares of its width a block."""
    return 24.0 * blocks * width**2


def step_bytes(train: Histories, tokens: int, length: int, width: int, heads: int, blocks: int) -> float:
    """About what a step of training a transformer keeps of its batch for the way back, in bytes.

    Of each event some twenty vectors of its width a block, and its attention to the events of its history, as logits, weights
    and gradients.
    """
    events = min(tokens, train.n_events)
    longest = min(length, int(train.lengths.max(initial=0)))
    return 4.0 * events * blocks * (20.0 * width + 3.0 * heads * longest)


def cut_by_length(lengths: Int64[Array, " users"], tokens: int) -> Iterator[slice]:
    """Runs of users, sorted by length, whose rectangle holds at most `tokens` places (one user at least)."""
    start = 0
    while start < len(lengths):
        # Sorted upwards: the longest of a run is its last.
        sizes = lengths[start:] * np.arange(1, len(lengths) - start + 1)
        count = max(1, int(np.searchsorted(sizes, tokens, side="right")))
        yield slice(start, start + count)
        start += count
