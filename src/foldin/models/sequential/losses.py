"""Losses of models of the next item, with their negatives if they have any.

All are means over tokens, in nats. Scores are inner products s = ⟨h, w⟩ of a token's state and an item's vector.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from foldin.data import Histories
from foldin.kernels import softmax_cross_entropy
from foldin.models.negatives import InBatchNegatives, PopularNegatives, SmoothedNegatives, UniformNegatives
from foldin.models.sequential._losses import binary_loss, calibration, sampled_softmax_loss
from foldin.models.sequential.negatives import negatives_not_taken
from foldin.tensors import Float, Int, Tensor
from foldin.training import Loss, Option, setting
from foldin.workers import drawn

__all__ = ["BCE", "GBCE", "FullSoftmax", "NextItemLoss", "Predicted", "SampledSoftmax"]


@dataclass(frozen=True, eq=False)
class Predicted:
    """The tokens of a step, and the item that follows each of them.

    Args:
        hidden: state of each token, those of all users in one sequence.
        vectors: vectors of all items.
        targets: the item that follows each token.
        batch: histories of the tokens.
        lengths: number of tokens of each history of the batch.
        log_share: log of the items' shares of all training events.
    """

    hidden: Float[Tensor, "tokens dim"]
    vectors: Float[Tensor, "items dim"]
    targets: Int[Tensor, " tokens"]
    batch: Histories
    lengths: Int[Tensor, " users"]
    log_share: Float[Tensor, " items"]

    def among(self, items: Int[Tensor, " some"], place: Int[Tensor, " items"]) -> "Predicted":
        """The same tokens, scored against some of the items alone, among which are all items of the batch.

        Args:
            place: the place of each item among these; −1 for the others.
        """
        return Predicted(
            hidden=self.hidden,
            vectors=self.vectors.index_select(0, items),
            targets=place.index_select(0, self.targets),
            batch=self.batch.reindex(place.cpu().numpy(), len(items)),
            lengths=self.lengths,
            log_share=self.log_share.index_select(0, items),
        )


class NextItemLoss(Option, ABC):
    """A loss; a subclass states whether the softmax of scores trained by it is a density over the catalog."""

    density: ClassVar[bool]

    @abstractmethod
    def __call__(self, step: Predicted, generator: torch.Generator) -> Loss:
        """The loss of a step, and its terms."""

    @abstractmethod
    def drawn(self, tokens: int) -> int:
        """Number of items that each token is scored against besides its target; 0 if it is scored against all."""


@dataclass(frozen=True, kw_only=True)
class FullSoftmax(NextItemLoss):
    """−log softmax over the whole catalog."""

    name = "softmax"
    density = True

    def __call__(self, step: Predicted, generator: torch.Generator) -> Loss:
        value = softmax_cross_entropy(step.hidden, step.vectors, step.targets) / len(step.targets)
        return Loss(value, {"nats_per_event": value})

    def drawn(self, tokens: int) -> int:
        """0, since no negatives are drawn."""
        return 0


@dataclass(frozen=True, kw_only=True)
class SampledSoftmax(NextItemLoss):
    """−log softmax over the target and shared negatives, with log-Q correction.

    Source: bengio2008; khrylchenko2025 (the target takes no correction).
    """

    name = "sampled"
    density = True
    negatives: UniformNegatives | PopularNegatives | SmoothedNegatives | InBatchNegatives = setting(
        UniformNegatives(), "Where the negatives of a step come from."
    )

    def __call__(self, step: Predicted, generator: torch.Generator) -> Loss:
        negatives, log_expected = self.negatives.draw(step.log_share, step.targets, generator)
        value = sampled_softmax_loss(step.hidden, step.vectors, step.targets, negatives, log_expected)
        return Loss(value, {"nats_per_event": value})

    def drawn(self, tokens: int) -> int:
        """Number of negatives of the step."""
        return self.negatives.count(tokens)


@dataclass(frozen=True, kw_only=True)
class BCE(NextItemLoss):
    """Binary cross-entropy with negatives that the user does not have.

    Source: kang2018, eq. 8, with one negative.
    """

    name = "bce"
    density = False
    n_negatives: int = setting(1, "Negatives of each target.", low=1)

    def __call__(self, step: Predicted, generator: torch.Generator) -> Loss:
        users = torch.repeat_interleave(
            torch.arange(len(step.batch), device=step.targets.device), step.lengths, output_size=len(step.targets)
        )
        negatives = negatives_not_taken(self.n_negatives, step.batch, users, generator)
        return Loss(binary_loss(step.hidden, step.vectors, step.targets, negatives), {})

    def drawn(self, tokens: int) -> int:
        """The negatives of a token."""
        return self.n_negatives


@dataclass(frozen=True, kw_only=True)
class GBCE(NextItemLoss):
    """Binary cross-entropy with many uniform negatives, and the positive's probability calibrated by t.

    Source: petrov2023, eqs. 12 and 16.
    """

    name = "gbce"
    density = False
    n_negatives: int = setting(256, "Negatives of each target.", low=1)
    t: float = setting(
        0.75, "Calibration of the positive's probability: 0 for none, 1 for the sampling rate.", low=0, high=1
    )

    def __call__(self, step: Predicted, generator: torch.Generator) -> Loss:
        n_items, device = len(step.vectors), step.targets.device
        negatives = drawn(
            (len(step.targets), self.n_negatives),
            generator,
            lambda shape: torch.randint(n_items, shape, generator=generator, device=device),
            "tokens",
        )
        beta = calibration(self.t, self.n_negatives, n_items)
        return Loss(binary_loss(step.hidden, step.vectors, step.targets, negatives, beta), {})

    def drawn(self, tokens: int) -> int:
        """The negatives of a token."""
        return self.n_negatives
