"""Negatives: items that a target is scored against."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch

from foldin.data import Histories
from foldin.tensors import Float, Int, Tensor
from foldin.training import Option, setting
from foldin.workers import GroupGenerator, gathered, span_of

__all__ = ["InBatchNegatives", "PopularNegatives", "SharedNegatives", "UniformNegatives", "negatives_not_taken"]

_REDRAWS = 100


class SharedNegatives(Option, ABC):
    """Negatives that all tokens of a step share."""

    @abstractmethod
    def draw(
        self, log_share: Float[Tensor, " items"], targets: Int[Tensor, " tokens"], generator: torch.Generator
    ) -> tuple[Int[Tensor, " negatives"], Float[Tensor, " negatives"]]:
        """(negatives, log of the expected number of each among them, for a token that has another target).

        Args:
            log_share: log of the items' shares of all events.
            targets: targets of the step.
            generator: generator of the draws.
        """

    @abstractmethod
    def count(self, tokens: int) -> int:
        """Number of negatives in a step with `tokens` tokens."""


@dataclass(frozen=True, kw_only=True)
class UniformNegatives(SharedNegatives):
    """Uniform draws from the catalog, with replacement."""

    name = "uniform"
    n: int = setting(3000, "Negatives of a step.", low=1)

    def draw(
        self, log_share: Float[Tensor, " items"], targets: Int[Tensor, " tokens"], generator: torch.Generator
    ) -> tuple[Int[Tensor, " negatives"], Float[Tensor, " negatives"]]:
        drawn = torch.randint(len(log_share), (self.n,), generator=generator, device=log_share.device)
        return drawn, torch.full_like(drawn, math.log(self.n / len(log_share)), dtype=log_share.dtype)

    def count(self, tokens: int) -> int:
        return self.n


@dataclass(frozen=True, kw_only=True)
class PopularNegatives(SharedNegatives):
    """Draws by the items' shares of the training events, with replacement."""

    name = "popularity"
    n: int = setting(3000, "Negatives of a step.", low=1)

    def draw(
        self, log_share: Float[Tensor, " items"], targets: Int[Tensor, " tokens"], generator: torch.Generator
    ) -> tuple[Int[Tensor, " negatives"], Float[Tensor, " negatives"]]:
        drawn = torch.multinomial(log_share.exp(), self.n, replacement=True, generator=generator)
        return drawn, log_share[drawn] + math.log(self.n)

    def count(self, tokens: int) -> int:
        return self.n


@dataclass(frozen=True, kw_only=True)
class InBatchNegatives(SharedNegatives):
    """The targets of all tokens of the step.

    An item is expected among them as often as the n − 1 other tokens have it as their target: (n − 1) q_j if independent.
    """

    name = "batch"

    def draw(
        self, log_share: Float[Tensor, " items"], targets: Int[Tensor, " tokens"], generator: torch.Generator
    ) -> tuple[Int[Tensor, " negatives"], Float[Tensor, " negatives"]]:
        targets = gathered(targets, generator, "tokens")
        # For a single token, the only negative is its target, which is left out whatever its expected number.
        return targets, log_share[targets] + math.log(max(len(targets) - 1, 1))

    def count(self, tokens: int) -> int:
        return tokens


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
