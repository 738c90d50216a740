"""ALS: implicit-feedback matrix factorization by alternating least squares.

    min Σ_ui c_ui (p_ui − x_uᵀ y_i)² + λ (Σ‖x_u‖² + Σ‖y_i‖²),   p_ui = 1 and c_ui = α where u took i, else p = 0 and c = 1

The item factors are trained by the package `implicit`; a user is folded in by the same least-squares step that it
takes for known users, so known and new users are treated alike:

    x = (YᵀY + λ I + (α − 1) Y_uᵀ Y_u)⁻¹ α Y_uᵀ 1

An item with several events of a user has the sum of their weights instead of the weight 1 of a missing event.

With `oldest` below 1, an event has the weight α w, where w falls linearly from 1 for the newest event of a history to `oldest`
for the oldest, both in training and in folding in. The weight of an event multiplies its weight in the sum. A dislike has the
preference p = 0 with such a weight, instead of the weight 1 of a missing event.

With `features`, the factors of items without training events are predicted from the features of the items, by a ridge regression
of the learned factors on them (`models/feature_regression.py`). These items are unknown, not missing: where a user is folded in,
they count only if they are in the history.

Source: hu2008, eq. 4; wang2023, section 3.6 (the weights); gantner2010 (the regression on features).

Departures from the paper: c = α instead of 1 + α (as in the package), fixed for all events; a history without an item that the
model has learned, for which all scores would be 0, gets the training counts.
"""

import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse
import torch

from foldin.data import Catalog, Histories
from foldin.data.order import one_of_each
from foldin.errors import ConfigError, FitError, MissingExtraError
from foldin.models.capability import DotProduct
from foldin.models.contract import Recommender
from foldin.models.enlarged import enlarged, extended_shares
from foldin.models.evidence import Dislikes, WeightedEvents, summed_rows, with_dislikes
from foldin.models.extends_items import ExtendsItems
from foldin.models.feature_regression import RegressedItems, regression_weights
from foldin.models.item_features import FeatureReader
from foldin.models.recency import oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Float64, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting

__all__ = ["ALS", "ALSConfig"]

_BLOCK_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class ALSConfig(Config):
    embedding_dim: int = setting(64, "Width of the factors of users and items.", low=1, range=Range(16, 512, log=True))
    regularization: float = setting(0.01, "Ridge penalty, λ.", above=0, range=Range(1e-3, 1000.0, log=True))
    confidence: float = setting(
        10.0, "Weight of an event against a missing one, α.", above=0, range=Range(0.1, 100.0, log=True)
    )
    iterations: int = setting(15, "Alternations between users and items.", low=1)
    oldest: float = oldest_setting()
    features: RegressedItems | None = setting(
        None, "How items without training events are predicted from features; none to learn from events alone."
    )


class ALS(FeatureReader, ExtendsItems, DotProduct, WeightedEvents, Dislikes, PopularStart, Recommender[ALSConfig]):
    """Implicit alternating least squares."""

    Config = ALSConfig
    has_likelihood = False
    summary = "implicit matrix factorization (Hu et al. 2008), through the package implicit"

    def _build(self, generator: torch.Generator) -> None:
        self.item_factors = torch.zeros(self.n_items, self.config.embedding_dim, device=self.device)
        self.log_share = torch.zeros(self.n_items, device=self.device)
        # With features: whether an item had training events; the others have factors from their features.
        self.trained_items = torch.ones(self.n_items, dtype=torch.bool, device=self.device)

    def training_bytes(self, train: Histories) -> float:
        # The factors of users and items, both initial and solved ones, and the products of factors with factors.
        factors = self.config.embedding_dim
        return 8.0 * factors * (len(train) + self.n_items) + 16.0 * factors**2

    def block(self) -> int:
        # Each user's least-squares problem has a separate matrix.
        return min(super().block(), max(1, _BLOCK_BYTES // (4 * self.config.embedding_dim**2)))

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="alternate", run=partial(_alternate, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        found = {"item_factors": self.item_factors, "log_share": self.log_share}
        return found if self.config.features is None else {**found, "trained_items": self.trained_items}

    def feature_columns(self) -> tuple[str, ...] | None:
        return None if self.config.features is None else self.config.features.columns

    def with_new_items(self, catalog: Catalog) -> "ALS":
        if self.config.features is None:
            raise ConfigError(self.lacks(ExtendsItems))
        known = self.trained_items.cpu().numpy()
        new, described = self.described_larger(catalog), self.described()[np.flatnonzero(known)]
        added = new.shape[0]
        trained = np.arange(described.shape[0] + added) < described.shape[0]
        rows = scipy.sparse.csr_array(scipy.sparse.vstack((described, new)))
        predicted = self._predicted(regression_weights(rows, trained, self.config.features.regularization))
        state = {
            "item_factors": torch.cat((self.item_factors, predicted)),
            "log_share": extended_shares(self.log_share, catalog),
            "trained_items": torch.cat((self.trained_items, self.trained_items.new_zeros(added))),
        }
        return enlarged(self, catalog, state)

    def _predicted(self, weights: Float64[Array, "known others"]) -> Float[Tensor, "others factors"]:
        """The factors that a regression predicts from those of the items with training events."""
        factors = self.item_factors[self.trained_items].cpu().numpy().astype(np.float64)
        return torch.from_numpy(weights.T @ factors).to(self.item_factors)

    def fold_in(self, histories: Histories) -> Float[Tensor, "users factors"]:
        """The factors of users, by one least-squares problem each."""
        alpha, factors = self.config.confidence, self.item_factors
        shared = self._shared()
        shared.diagonal().add_(self.config.regularization)
        left = shared.repeat(len(histories), 1, 1)
        right = torch.zeros(len(histories), factors.shape[1], device=self.device)
        events, weights = with_dislikes(histories, self.config.oldest)
        items, _ = events.tensors(self.device)
        preference = alpha * (torch.ones(len(items)) if weights is None else torch.from_numpy(weights)).to(self.device)
        confidence = preference.abs()
        # `shared` counts each item once as missing: that weight of 1 is subtracted once for each item of the user.
        missing = torch.from_numpy(one_of_each(events.pair_keys())).to(confidence)
        if self.config.features is not None:
            missing = missing * self.trained_items[items]
        preference = preference.clamp(min=0.0)
        for user, (start, stop) in enumerate(itertools.pairwise(events.offsets.tolist())):
            own, c = factors[items[start:stop]], confidence[start:stop]
            left[user].addmm_(own.t() * (c - missing[start:stop]), own)
            right[user] = preference[start:stop] @ own
        return torch.linalg.solve(left, right)

    def _shared(self) -> Float[Tensor, "factors factors"]:
        """YᵀY of the items with training events."""
        if self.config.features is None:
            return self.item_factors.t() @ self.item_factors
        factors = self.item_factors * self.trained_items.unsqueeze(1)
        return factors.t() @ factors

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users factors"]:
        return self.fold_in(histories)

    def item_vectors(self) -> tuple[Float[Tensor, "items factors"], Float[Tensor, " items"]]:
        return self._scaled(), torch.zeros(self.n_items, device=self.device)

    def _scaled(self) -> Float[Tensor, "items factors"]:
        """The factors by which items are scored; those from features have their factor of the scores."""
        if self.config.features is None:
            return self.item_factors
        return self.item_factors * self.config.features.scale(self.trained_items).unsqueeze(1)

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self._spoken(self.fold_in(histories) @ self._scaled().t())

    def use_of_weights(self) -> str:
        return "the weight of an event multiplies its confidence α"

    def use_of_dislikes(self) -> str:
        return "a dislike is a preference of 0 with the confidence α, instead of the 1 of a missing event"

    def speaking(self) -> Bool[Array, " items"]:
        return self.item_factors.any(dim=1).cpu().numpy()


def _weights(train: Histories, oldest: float) -> scipy.sparse.csr_matrix:
    """The users × items matrix of weights, with one entry for each item of a user, as the package expects.

    An entry below 0 is a preference of 0 with the absolute value as its weight.
    """
    return summed_rows(train, oldest)


def _alternate(model: "ALS", train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    model.learn_shares(train)
    try:
        from implicit.cpu.als import AlternatingLeastSquares
        from implicit.recommender_base import ModelFitError
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtraError("implicit", "als", "ALS") from error
    seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
    with threadpool_limits(1, "blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns unless it sees the thread limit that is set here
        solver = AlternatingLeastSquares(
            factors=model.config.embedding_dim,
            regularization=model.config.regularization,
            alpha=model.config.confidence,
            iterations=model.config.iterations,
            random_state=seed,
        )
        try:
            solver.fit(_weights(train, model.config.oldest), show_progress=False)
        except ModelFitError as error:
            raise FitError(f"ALS: {error}; a smaller confidence or a larger regularization may help") from error
    model.item_factors.copy_(torch.from_numpy(np.asarray(solver.item_factors)))
    if model.config.features is not None:
        _predict_factors(model, train, model.config.features)
    return {}


def _predict_factors(model: "ALS", train: Histories, option: RegressedItems) -> None:
    """Set the factors of the items without training events to their regression on the features."""
    known = train.counts() > 0
    model.trained_items.copy_(torch.from_numpy(known))
    if known.all():
        return
    weights = regression_weights(model.described(), known, option.regularization)
    model.item_factors[~model.trained_items] = model._predicted(weights)
