"""Shared negatives: items against which all targets of a step are scored."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from foldin.kernels import Proposal
from foldin.tensors import Float, Int, Tensor
from foldin.training import Option, setting
from foldin.workers import gathered

__all__ = ["InBatchNegatives", "PopularNegatives", "SharedNegatives", "SmoothedNegatives", "UniformNegatives"]


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


@dataclass(frozen=True, kw_only=True)
class SmoothedNegatives(SharedNegatives):
    """Draws by the items' shares of the training events to a power, one from each of n equal strata.

    Source: mikolov2013, section 2.2 (unigram shares to the power 3/4).
    """

    name = "smoothed"
    n: int = setting(4096, "Negatives of a step.", low=1)
    power: float = setting(
        0.75, "Power of the items' shares: 0 for uniform draws, 1 for draws by the shares.", low=0, high=1
    )

    def proposal(self, log_share: Float[Tensor, " items"]) -> Proposal:
        """The distribution of the draws, which takes time proportional to the catalog to build, unlike the draws."""
        return Proposal((self.power * log_share.double()).exp())

    def draw(
        self, log_share: Float[Tensor, " items"], targets: Int[Tensor, " tokens"], generator: torch.Generator
    ) -> tuple[Int[Tensor, " negatives"], Float[Tensor, " negatives"]]:
        return self.proposal(log_share).draw(self.n, generator)

    def count(self, tokens: int) -> int:
        return self.n
