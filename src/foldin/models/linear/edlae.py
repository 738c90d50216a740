"""EDLAE: EASE with a ridge penalty that grows with an item's count, as dropout of the input makes it grow.

    B = I − C diag(1 / diag C),   C = (XᵀX + Λ)⁻¹,   Λ = p / (1 − p) diag(XᵀX) + λ I,   scores = x B

A linear autoencoder predicts each item from the items that are left after each was dropped with probability p, where only dropped
items count in the loss (full emphasis), so that none is predicted from itself. Its expected squared error is that of regressing
each item on all others under the penalty Λ; no dropout needs to be drawn. With p = 0 it is EASE.

With `oldest` below 1, the entries of a row of X rise linearly from `oldest` to 1 for the newest event, both in training and in
the x that is scored, as in T-DiffRec (wang2023, section 3.6).

The weight of an event multiplies its entry in X and in the x that is scored; a dislike has a negative entry.

Source: steck2020, eqs. 8 and 9.

Departures from the paper: the model of full rank alone; a history for which all scores would be 0, since none of its items has
weights, gets the training counts. The inverse is computed in float64 up to 12,000 items and in float32 above.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from foldin.data import Histories
from foldin.models.capability import OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.evidence import SignedRows, signed_rows
from foldin.models.linear._gram import item_gram
from foldin.models.linear._zero_diagonal import (
    SMALLER,
    inverse_bytes,
    inverse_dtype,
    inverse_of,
    invertible,
    item_scores,
    no_weights,
    padded_item_scores,
    take_weights,
    weights_of_precision,
)
from foldin.models.recency import oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import group_of

__all__ = ["EDLAE", "EDLAEConfig"]


@dataclass(frozen=True, kw_only=True)
class EDLAEConfig(Config):
    dropout: float = setting(
        0.3, "Probability that an item of the input is dropped, p.", low=0, below=1, range=Range(0.0, 0.9)
    )
    regularization: float = setting(
        200.0, "Ridge penalty of every item, λ.", above=0, range=Range(1.0, 10_000.0, log=True)
    )
    oldest: float = oldest_setting()


class EDLAE(OnnxGraph, SignedRows, PopularStart, Recommender[EDLAEConfig]):
    """Emphasized denoising linear autoencoder of full rank."""

    Config = EDLAEConfig
    has_likelihood = False
    summary = "linear denoising autoencoder with full emphasis, in closed form (Steck 2020)"

    smaller = SMALLER

    def _build(self, generator: torch.Generator) -> None:
        self.weights = no_weights(self.n_items, self._called(), self.device)
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="solve", run=partial(_solve, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        return {"weights": self.weights, "log_share": self.log_share}

    def training_bytes(self, train: Histories) -> float:
        return inverse_bytes(train)

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self._spoken(item_scores(self.weights, histories, self.config.oldest))

    def speaking(self) -> Bool[Array, " items"]:
        return self.weights.any(dim=1).cpu().numpy()

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        scores = padded_item_scores(self.weights, history, self.config.oldest)
        return torch.where((scores != 0).any(dim=1, keepdim=True), scores, self._start())


def _solve(model: EDLAE, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    model.learn_shares(train, group_of(generator))
    config = model.config
    gram = item_gram(train, model.device, partial(signed_rows, oldest=config.oldest), group_of(generator))
    gram = gram.to(inverse_dtype(model.n_items))
    # On the diagonal of XᵀX + Λ, the count and p / (1 − p) of it are 1 / (1 − p) of it.
    gram.diagonal().div_(1.0 - config.dropout).add_(config.regularization)
    with invertible("EDLAE", config.regularization):
        precision = inverse_of(gram)
    take_weights(model.weights, weights_of_precision(precision))
    return {}
