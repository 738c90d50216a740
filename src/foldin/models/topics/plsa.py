"""Probabilistic latent semantic analysis: LDA's mixture of topics, fitted at its mode instead of by a posterior.

    p(i | u) = Σ_k θ_uk β_ki,   E: φ_uik ∝ θ_uk β_ki,   M: θ_uk ∝ a + Σ_i φ_uik,   β_ki ∝ b + Σ_u φ_uik

EM on both at once raises Σ log p(i | u) + a Σ log θ + b Σ log β. A new user is folded in by EM on θ_u alone, with the topics
held fixed; without events, θ is uniform.

An event counts as often as its weight says.

Source: hofmann1999, eqs. 3–6; a = b = 0 is its maximum likelihood, above 0 the mode under Dirichlet(a + 1) and Dirichlet(b + 1).
Departures from the paper: users are updated to convergence in each pass, as new users are; pseudo-counts instead of tempering.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from foldin.data import Histories
from foldin.inference import Statistics
from foldin.models.capability import Components
from foldin.models.contract import LEAST_SHARE, Recommender
from foldin.models.evidence import WeightedCounts
from foldin.models.item_rows import ItemRows
from foldin.models.mergeable import MergeableStatistics
from foldin.models.topics._allocation import allocate, local_ascent, weighted_sum
from foldin.tensors import Array, Bool, Float, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import group_of

__all__ = ["PLSA", "PLSAConfig"]

_LEAST = 1e-30  # least share of an item in a topic, for models without pseudo-counts


@dataclass(frozen=True, kw_only=True)
class PLSAConfig(Config):
    n_components: int = setting(50, "Topics, K.", low=1, range=Range(10, 200, log=True))
    user_pseudo: float = setting(
        0.05, "Pseudo-count of each topic of a user, a.", low=0, range=Range(1e-3, 10.0, log=True)
    )
    item_pseudo: float = setting(
        0.05, "Pseudo-count of each item of a topic, b.", low=0, range=Range(1e-3, 10.0, log=True)
    )
    local_iterations: int = setting(100, "Updates of a user's own variables, at most.", low=1)
    local_tolerance: float = setting(3e-3, "Mean change of a user's own variables at which they are done.", above=0)
    epochs: int = setting(40, "Passes over the users, at most.", low=1)


class PLSA(Components, ItemRows, WeightedCounts, MergeableStatistics, Recommender[PLSAConfig]):
    """Probabilistic latent semantic analysis by EM."""

    Config = PLSAConfig
    has_likelihood = True
    summary = "probabilistic latent semantic analysis (Hofmann 1999), by EM"

    def _build(self, generator: torch.Generator) -> None:
        noise = 0.5 + torch.rand(self.n_items, self.config.n_components, generator=generator, dtype=torch.float64)
        self.topics = noise / noise.sum(dim=0)
        self.weights = torch.full((self.config.n_components,), 1.0 / self.config.n_components, dtype=torch.float64)

    def tensors(self) -> dict[str, Tensor]:
        return {"topics": self.topics, "weights": self.weights}

    def item_rows(self) -> frozenset[str]:
        return frozenset(("topics",))

    def training_bytes(self, train: Histories) -> float:
        # For users and for items: parameters, their logarithms or exponentials, and expected events.
        return 8.0 * self.config.n_components * 4.0 * (self.n_items + len(train))

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="em", run=partial(_iterate, self)), epochs=self.config.epochs)

    def tastes(self, histories: Histories) -> Float[Array, "users topics"]:
        """θ of each user, with the topics held fixed."""
        size = (len(histories), self.config.n_components)
        users = np.full(size, 1.0 / self.config.n_components)

        def update(shares: Array, chosen: Array) -> Array:
            own = np.maximum(shares + np.float32(self.config.user_pseudo), np.float32(_LEAST))
            users[chosen] = own / own.sum(axis=1, keepdims=True)
            return np.log(own)

        local_ascent(
            self.topics.numpy(),
            histories,
            np.zeros(size),
            update,
            iterations=self.config.local_iterations,
            tolerance=self.config.local_tolerance,
        )
        return users

    def summarize_new(self, users: Histories, new: Bool[Array, " events"]) -> Statistics:
        counted = users.where(new)
        found = allocate(self.tastes(users), self.topics.numpy(), counted)
        return Statistics({"items": found.items}, weighted_sum(np.log(found.rates), counted), _events(counted))

    def item_sums(self) -> frozenset[str]:
        return frozenset(("items",))

    def maximize(self, statistics: Statistics) -> None:
        expected = statistics.sums["items"]
        self.weights.copy_(torch.from_numpy(expected.sum(axis=0) / (statistics.weight or 1.0)))
        items = np.maximum(expected + self.config.item_pseudo, _LEAST)
        self.topics.copy_(torch.from_numpy(items / items.sum(axis=0)))

    def components(self) -> tuple[Float[Array, " components"], Float[Array, "components items"]]:
        return self.weights.numpy(), self.topics.numpy().T

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        rates = self.tastes(histories).astype(np.float32) @ self.topics.numpy().T.astype(np.float32)
        return torch.from_numpy(rates).clamp_(min=LEAST_SHARE).log_().to(self.device)


def _events(histories: Histories) -> float:
    """The sum of the weights of all events."""
    return float(histories.n_events if histories.weights is None else histories.weights.sum(dtype=np.float64))


def _iterate(model: PLSA, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    group = group_of(generator)
    own = group.rows(train)
    model.statistics = None
    users, topics = model.tastes(own), model.topics.numpy()
    found = allocate(users, topics, own)
    expected = found.items
    group.sum_(expected)
    prior = model.config.user_pseudo * group.total(np.log(np.maximum(users, _LEAST)).sum())
    prior += model.config.item_pseudo * np.log(topics).sum()
    model.update(Statistics({"items": expected}, 0.0, _events(train)))
    return {"log_posterior": (group.total(weighted_sum(np.log(found.rates), own)) + prior) / len(train)}
