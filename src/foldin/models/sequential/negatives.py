"""Negatives of single tokens: items that the token's user does not have."""

import numpy as np
import torch

from foldin.data import Histories
from foldin.tensors import Int, Tensor
from foldin.workers import GroupGenerator, span_of

__all__ = ["negatives_not_taken"]

_REDRAWS = 100


def negatives_not_taken(
    k: int, batch: Histories, users: Int[Tensor, " tokens"], generator: torch.Generator
) -> Int[Tensor, "tokens k"]:
    """k uniform draws for each token among the items that its user does not have.

    Items that the user has are drawn again, at most a hundred times, so that a user with all items gets some of these.
    """
    span = span_of(generator, "tokens")
    if span is None:
        return _not_taken(k, batch, users, generator)
    # How many items are drawn again depends on the whole batch.
    assert isinstance(generator, GroupGenerator)
    of_all = torch.from_numpy(np.repeat(np.arange(len(span.counts)), span.counts)).to(users.device)
    return _not_taken(k, generator.batch, of_all, generator)[span.start : span.stop]


def _not_taken(
    k: int, batch: Histories, users: Int[Tensor, " tokens"], generator: torch.Generator
) -> Int[Tensor, "tokens k"]:
    """`negatives_not_taken` of a whole batch."""
    device = users.device
    drawn = torch.randint(batch.n_items, (len(users), k), generator=generator, device=device)
    taken = torch.zeros(len(batch), batch.n_items, dtype=torch.bool, device=device)
    taken[torch.from_numpy(batch.users()).to(device), batch.tensors(device)[0]] = True
    for _ in range(_REDRAWS):
        again = taken[users.unsqueeze(1), drawn]
        count = int(again.sum())
        if count == 0:
            break
        drawn[again] = torch.randint(batch.n_items, (count,), generator=generator, device=device)
    return drawn
