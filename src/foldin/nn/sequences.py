"""Histories as input of a transformer: the newest events, in padded batches of nearly equal lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.kernels import on_device
from foldin.tensors import Array, Int, Int64, Tensor
from foldin.transfers import sent
from foldin.workers import drawn

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
    """Events of several users, oldest first, padded on the right.

    In a causal model no event depends on later ones, so the padding does not change the states of true events; its own states
    must not be used.

    Args:
        items: item indices; the user's last item again in the padding.
        lengths: number of events of each user, at least 1.
        times: seconds since 1970; the user's last time in the padding. None where the log has no times.
        at: indices of the true events in the flattened array, user by user; None to find them by `lengths`, for which a GPU is
            waited for.
    """

    items: Int[Tensor, "users length"]
    lengths: Int[Tensor, " users"]
    times: Int[Tensor, "users length"] | None
    at: Int[Tensor, " tokens"] | None = None

    def positions(self) -> Int[Tensor, " tokens"]:
        """Indices of the true events in the flattened array, user by user."""
        if self.at is not None:
            return self.at
        steps = torch.arange(self.items.shape[1], device=self.items.device)
        return (steps < self.lengths.unsqueeze(1)).reshape(-1).nonzero().squeeze(1)

    def last(self) -> Int[Tensor, " users"]:
        """Index of each user's newest event in the flattened array."""
        users, length = self.items.shape
        return torch.arange(users, device=self.items.device) * length + self.lengths - 1


def _rectangle(
    values: Int[Array, " events"], starts: Int64[Array, " users"], lengths: Int64[Array, " users"], width: int = 0
) -> Int64[Array, "users length"]:
    """`values[starts[u] : starts[u] + lengths[u]]` of each user u, padded with the last of them to `width` at least."""
    steps = np.minimum(np.arange(lengths.max(initial=width))[None, :], lengths[:, None] - 1)
    return values[starts[:, None] + steps].astype(np.int64)


def _sequences(
    histories: Histories,
    starts: Int64[Array, " users"],
    lengths: Int64[Array, " users"],
    device: torch.device,
    width: int = 0,
) -> Sequences:
    times = None if histories.times is None else _rectangle(histories.times, starts, lengths, width)
    return Sequences(
        items=sent(_rectangle(histories.items, starts, lengths, width), device),
        lengths=sent(lengths, device),
        times=None if times is None else sent(times, device),
    )


def newest(histories: Histories, length: int, device: torch.device) -> Sequences:
    """The last `length` events of each user; no history may be empty."""
    lengths = np.minimum(histories.lengths, length)
    return _sequences(histories, histories.offsets[1:] - lengths, lengths, device)


def transitions(
    histories: Histories, length: int, device: torch.device, crop: torch.Generator | None = None, width: int = 0
) -> tuple[Sequences, Int[Tensor, " tokens"]]:
    """(last `length` events before the newest, item after each of them): the inputs and targets of a causal model.

    Each user needs at least two events. With `crop`, a random window of a longer history is taken instead of its end. The inputs
    are padded to a length of `width` at least.
    """
    lengths = np.minimum(histories.lengths - 1, length)
    starts = histories.offsets[1:] - 1 - lengths
    if crop is not None:
        room = starts - histories.offsets[:-1] + 1
        uniform = drawn(
            (len(histories),),
            crop,
            lambda shape: torch.rand(shape, generator=crop, device=crop.device, dtype=torch.float64),
        )
        shares = uniform.cpu().numpy()
        starts = histories.offsets[:-1] + (shares * room).astype(np.int64)
    given = _sequences(histories, starts, lengths, device, width)
    if on_device(given.items):  # found here, where the lengths are known
        true = np.arange(given.items.shape[1]) < lengths[:, None]
        given = replace(given, at=sent(np.flatnonzero(true), device))
    following = sent(_rectangle(histories.items, starts + 1, lengths, width), device)
    return given, following.view(-1)[given.positions()]


def batches_by_length(
    lengths: Int64[Array, " users"],
    tokens: int,
    rng: np.random.Generator,
    windows: Sequence[Int64[Array, " _window"]] | None = None,
) -> list[Int64[Array, " _batch"]]:
    """Batches of users with at least one event, similar lengths together, in random order.

    Args:
        tokens: largest number of events in a batch, padding included.
        windows: users in groups, one after another, of which batches are made; all users together if None.
    """
    found: list[Int64[Array, " _batch"]] = []
    for window in [np.arange(len(lengths))] if windows is None else windows:
        users = rng.permutation(window[lengths[window] > 0])
        users = users[np.argsort(lengths[users], kind="stable")]
        batches = [users[cut] for cut in cut_by_length(lengths[users], tokens)]
        found += [batches[at] for at in rng.permutation(len(batches))]
    return found


def batches_of_transitions(
    train: Histories, length: int, tokens: int, rng: np.random.Generator
) -> list[Int64[Array, " _batch"]]:
    """Batches of users for `transitions`, by the number of events that each is read with, at most `length`.

    Raises:
        FitError: no user has two events.
    """
    steps = np.minimum(train.lengths - 1, length)
    if not (steps > 0).any():
        raise FitError("no user has two events: there is no next event to learn from")
    return batches_by_length(steps, tokens, rng, train.windows(rng))


def encoder_bytes(width: int, blocks: int) -> float:
    """Memory of a transformer's matrices in single precision, in bytes: six of width × width for each block."""
    return 24.0 * blocks * width**2


def step_bytes(train: Histories, tokens: int, length: int, width: int, heads: int, blocks: int) -> float:
    """Approximate memory that a training step of a transformer keeps of its batch for the backward pass, in bytes.

    For each event and block, some twenty vectors of the transformer's width, and the attention to the events of the history, as
    logits, weights and gradients.
    """
    events = min(tokens, train.n_events)
    longest = min(length, int(train.lengths.max(initial=0)))
    return 4.0 * events * blocks * (20.0 * width + 3.0 * heads * longest)


def cut_by_length(lengths: Int64[Array, " users"], tokens: int) -> Iterator[slice]:
    """Slices of users, sorted by length, that hold at most `tokens` events with padding, and at least one user."""
    start = 0
    while start < len(lengths):
        # Lengths ascend, so the last history of a slice is its longest.
        sizes = lengths[start:] * np.arange(1, len(lengths) - start + 1)
        count = max(1, int(np.searchsorted(sizes, tokens, side="right")))
        yield slice(start, start + count)
        start += count
