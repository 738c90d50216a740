"""EASE: the linear model of items on items, in closed form.

    B = I − P diag(1 / diag P),   P = (XᵀX + λ I)⁻¹,   scores = x B

Each item is regressed on all others under a ridge penalty with the diagonal held at zero, so that no item explains
itself. Source: steck2019, eq. 8.

With `oldest` below 1, the entries of a row of X rise linearly from `oldest` to 1 for the newest event, both in training and in
the x that is scored, as in T-DiffRec (wang2023, section 3.6).

The weight of an event multiplies its entry in X and in the x that is scored; a dislike has a negative entry.

With `features`, the features of the items are further rows of X, and items without training events are predicted from them
(`feature_rows.py`).

Departures from the paper: a history for which all scores would be 0, since none of its items has weights, gets the training
counts. The inverse is computed in float64 up to 12,000 items and in float32 above. With fewer users than half the items, a matrix
of users by users is inverted: P = (I − Xᵀ (XXᵀ + λ I)⁻¹ X) / λ, by Woodbury's identity.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import scipy.sparse
import torch

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError, RunError
from foldin.models.capability import OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.enlarged import extended_shares
from foldin.models.evidence import SignedRows, signed_rows
from foldin.models.extends_items import ExtendsItems, KeepsForNewItems
from foldin.models.item_features import FeatureReader
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
from foldin.models.linear.feature_rows import FeatureRows, weights_of_larger, weights_with_features
from foldin.models.recency import oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import ALONE, Group, group_of

__all__ = ["EASE", "EASEConfig"]


@dataclass(frozen=True, kw_only=True)
class EASEConfig(Config):
    regularization: float = setting(500.0, "Ridge penalty, λ.", above=0, range=Range(1.0, 10_000.0, log=True))
    oldest: float = oldest_setting()
    features: FeatureRows | None = setting(
        None, "How features of the items enter the regression; none to learn from events alone."
    )


class EASE(FeatureReader, ExtendsItems, KeepsForNewItems, OnnxGraph, SignedRows, PopularStart, Recommender[EASEConfig]):
    """Embarrassingly shallow autoencoder."""

    Config = EASEConfig
    has_likelihood = False
    summary = "linear item-to-item model in closed form (Steck 2019)"

    smaller = SMALLER

    def _build(self, generator: torch.Generator) -> None:
        self.weights = no_weights(self.n_items, self._called(), self.device)
        self.log_share = torch.zeros(self.n_items, device=self.device)
        # With features: whether an item had training events; the others are predicted from their features.
        self.trained_items = torch.ones(self.n_items, dtype=torch.bool, device=self.device)
        # With features, after training: the diagonal of P of the items with training events, by which new items are weighted.
        self.precision: Float[Tensor, " known"] | None = None

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="solve", run=partial(_solve, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        found = {"weights": self.weights, "log_share": self.log_share}
        return found if self.config.features is None else {**found, "trained_items": self.trained_items}

    def training_bytes(self, train: Histories) -> float:
        # With features, their products and the weights of the known items are there besides.
        return inverse_bytes(train) + (0.0 if self.config.features is None else 16.0 * self.n_items**2)

    def feature_columns(self) -> tuple[str, ...] | None:
        return None if self.config.features is None else self.config.features.columns

    def lacks(self, capability: type) -> str | None:
        if capability is ExtendsItems and self.config.features is not None and self.precision is None:
            return "EASE: the statistics of its training that new items need are not there: train it again"
        return super().lacks(capability)

    def kept_for_new_items(self) -> dict[str, Tensor]:
        return {} if self.precision is None else {"precision": self.precision}

    def take_kept(self, stored: Mapping[str, Tensor]) -> None:
        found, expected = stored.get("precision"), (int(self.trained_items.sum()),)
        if found is None or found.shape != expected:
            raise RunError(f"EASE: statistics for new items: 'precision' of the shape {expected} was expected")
        self.precision = found.to(self.device)

    def with_new_items(self, catalog: Catalog) -> "EASE":
        option = self.config.features
        if option is None or self.precision is None:
            raise ConfigError(self.lacks(ExtendsItems))
        new = self.described_larger(catalog)
        larger = EASE(len(catalog), self.config, device=self.device)
        weights_of_larger(
            larger.weights,
            self.weights,
            self.precision.double().cpu().numpy(),
            self.trained_items.cpu().numpy(),
            scipy.sparse.csr_array(scipy.sparse.vstack((self.described(), new))),
            option,
            self.config.regularization,
        )
        larger.trained_items.fill_(False)[: self.n_items] = self.trained_items
        larger.log_share.copy_(extended_shares(self.log_share, catalog))
        larger.features, larger.precision = self.features, self.precision
        larger.describe(catalog)
        if self.temperature is not None:
            larger.calibrate(self.temperature)
        return larger

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self._spoken(self._scaled(item_scores(self.weights, histories, self.config.oldest)))

    def _scaled(self, scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        """The scores, those of items without training events times their factor."""
        option = self.config.features
        return scores if option is None else scores * option.scale(self.trained_items)

    def speaking(self) -> Bool[Array, " items"]:
        return self.weights.any(dim=1).cpu().numpy()

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        scores = self._scaled(padded_item_scores(self.weights, history, self.config.oldest))
        return torch.where((scores != 0).any(dim=1, keepdim=True), scores, self._start())


def _solve(model: "EASE", train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    group = group_of(generator)
    model.learn_shares(train, group)
    if model.config.features is not None:
        gram = _gram(model, train, inverse_dtype(model.n_items), group)
        with invertible("EASE", model.config.regularization):
            found, model.precision = weights_with_features(
                gram, train, model.described(), model.config.features, model.config.regularization
            )
        model.weights.copy_(found)
        model.trained_items.copy_(torch.from_numpy(train.counts() > 0))
        return {}
    inverse = _inverse_by_users if 2 * len(train) < model.n_items else _inverse_by_items
    with invertible("EASE", model.config.regularization):
        precision = inverse(model, train, inverse_dtype(model.n_items), group)
    take_weights(model.weights, weights_of_precision(precision))
    return {}


def _gram(model: "EASE", train: Histories, dtype: torch.dtype, group: Group) -> Float[Tensor, "items items"]:
    """XᵀX, with the weights of the events."""
    return item_gram(train, model.device, partial(signed_rows, oldest=model.config.oldest), group).to(dtype)


def _inverse_by_items(
    model: "EASE", train: Histories, dtype: torch.dtype, group: Group = ALONE
) -> Float[Tensor, "items items"]:
    """P from the Cholesky factor of XᵀX + λ I."""
    gram = _gram(model, train, dtype, group)
    gram.diagonal().add_(model.config.regularization)
    return inverse_of(gram)


def _inverse_by_users(
    model: "EASE", train: Histories, dtype: torch.dtype, group: Group = ALONE
) -> Float[Tensor, "items items"]:
    """P up to a factor, which no weight depends on: I − YᵀY, where Y = L⁻¹ X and L is the Cholesky factor of XXᵀ + λ I.

    Every worker computes all of it: there are few users.
    """
    rows = torch.from_numpy(signed_rows(train, model.config.oldest).toarray()).to(model.device, dtype)
    gram = rows @ rows.t()
    gram.diagonal().add_(model.config.regularization)
    solved = torch.linalg.solve_triangular(torch.linalg.cholesky(gram), rows, upper=False)
    del rows
    precision = solved.t() @ solved
    precision.neg_().diagonal().add_(1.0)
    return precision
