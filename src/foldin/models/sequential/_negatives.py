"""Negatives for the losses of `next_item.py`."""

import math

import torch

from foldin.data import Histories
from foldin.tensors import Float, Int, Tensor

__all__ = ["negatives_not_taken", "shared_negatives"]

_REDRAWS = 100


def shared_negatives(
    sampling: str,
    k: int,
    log_share: Float[Tensor, " items"],
    targets: Int[Tensor, " tokens"],
    generator: torch.Generator,
) -> tuple[Int[Tensor, " negatives"], Float[Tensor, " negatives"]]:
    """(negatives for all tokens of a step, log of how often each is expected among them, by a token that has another target).

    Args:
        sampling: `uniform` and `popularity` draw k, with replacement; `batch` takes the targets themselves: an item is as
            often among them as the n − 1 other tokens have it for a target, (n − 1) q_j, were these drawn independently.
        log_share: log of the items' shares of all events.
        targets: of the step.
        generator: of the draws.
    """
    if sampling == "uniform":
        drawn = torch.randint(len(log_share), (k,), generator=generator, device=log_share.device)
        return drawn, torch.full_like(drawn, math.log(k / len(log_share)), dtype=log_share.dtype)
    if sampling == "popularity":
        drawn = torch.multinomial(log_share.exp(), k, replacement=True, generator=generator)
        return drawn, log_share[drawn] + math.log(k)
    # A token alone has no negative but its own target, which is left out whatever is expected of it.
    return targets, log_share[targets] + math.log(max(len(targets) - 1, 1))


def negatives_not_taken(
    k: int, batch: Histories, people: Int[Tensor, " tokens"], generator: torch.Generator
) -> Int[Tensor, "tokens k"]:
    """k uniform draws for each token among the items that its person does not have.

    An item that the person has is drawn again, a hundred times at most: somebody who has everything gets some of it.
    """
    device = people.device
    drawn = torch.randint(batch.n_items, (len(people), k), generator=generator, device=device)
    taken = torch.zeros(len(batch), batch.n_items, dtype=torch.bool, device=device)
    taken[torch.from_numpy(batch.users()).to(device), batch.tensors(device)[0]] = True
    for _ in range(_REDRAWS):
        again = taken[people.unsqueeze(1), drawn]
        count = int(again.sum())
        if count == 0:
            break
        drawn[again] = torch.randint(batch.n_items, (count,), generator=generator, device=device)
    return drawn
