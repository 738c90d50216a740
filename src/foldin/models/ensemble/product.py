"""Product of experts: the distributions of several models multiplied, each with a weight learned on held-out users.

    log p(i | x) = Σ_k a_k s_k(i | x) − log Σ_j exp Σ_k a_k s_k(j | x),   a_k ≥ 0

s_k(i | x) is what expert k gives item i after the history x: its log-probability, up to a constant of the history on which the
product does not depend, or the score of a model that only ranks, for which 1 / a_k is a temperature. An item is likely where the
experts agree, so that errors that only one of them makes are averaged out.

Each expert is trained alone. The weights are learned on held-out users, folded in from a part of their events: they maximize the
mean log-likelihood of the other part among the items that the user has not seen, a concave function of the weights
(`_weights.py`), or, from there, NDCG. If training has validation users, these are the held-out users. They have then chosen the
epoch of each expert too, so that only the test users measure the product. Otherwise (`fit_all`, `fit` without validation) a share
of the training users is held out, the same for every seed: the experts are trained on the others and stopped by NDCG@100 on them,
and after the weights they are trained again on all users, for as many epochs as were best (`refit`).

With `groups`, histories of different lengths have weights of their own, since the scale of many scores grows with the number of
events.

An expert without features says nothing of an item that had no event in training (`catalog.cold`). If another expert reads
features, such an item has the mean of the expert's scores of the items T that had,

    s_k(j | x) = Σ_{i ∈ T} s_k(i | x) / |T|   for j ∉ T and an expert k without features

both in lists and when the weights are learned, so that the experts with features decide among these items, and the others place
them as items of which nothing is known.

Source: heskes1998 (the weights of a logarithmic pool by held-out data); hinton2002 (products of experts).

Departures from the papers: the experts are not trained together, and the weights need not sum to 1. An item that an expert gives
−∞ has the lowest finite score of that expert, so that no expert alone excludes an item. A user without events gets the training
counts.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from foldin.data import Catalog, HeldOut, Histories
from foldin.errors import ConfigError
from foldin.models.autoencoders.recvae import RecVAEConfig
from foldin.models.baselines.popularity import PopularityConfig
from foldin.models.capability import Experts, ItemFeatures, OnnxGraph, capability, required
from foldin.models.contract import Recommender
from foldin.models.enlarged import extended_shares, number_added
from foldin.models.ensemble._ensemble import Ensemble, built
from foldin.models.ensemble._experts import ExpertNames
from foldin.models.ensemble._new_items import covered, extended, scores_of
from foldin.models.ensemble._product_trainer import ProductTrainer
from foldin.models.ensemble._scored import HeldOutScores, at_mean, centered, floored
from foldin.models.ensemble._weights import learned_weights
from foldin.models.ensemble.objectives import HeldOutLikelihood, HeldOutNDCG
from foldin.models.extends_items import ExtendsItems
from foldin.models.linear.ease import EASEConfig
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, Trainer, setting
from foldin.transfers import sent

__all__ = ["ProductOfExperts", "ProductOfExpertsConfig"]


_NAMES = ExpertNames("ProductOfExperts")


@dataclass(frozen=True, kw_only=True)
class ProductOfExpertsConfig(Config):
    experts: tuple[Config, ...] = setting(
        (RecVAEConfig(), EASEConfig()),
        "Configurations of the models that are multiplied; as text the names of the models, and settings of the first one as "
        "experts.0.FIELD.",
        names=_NAMES,
    )
    objective: HeldOutLikelihood | HeldOutNDCG = setting(
        HeldOutLikelihood(), "What the weights of the experts maximize on held-out users."
    )
    groups: tuple[int, ...] = setting(
        (),
        "Numbers of events from which on histories have weights of their own; none for the same weights for all.",
        low=1,
    )
    held_out: float = setting(
        0.1,
        "Share of the training users that the weights are learned on if there are no validation users.",
        above=0,
        below=1,
    )
    refit: bool = setting(
        True,
        "Whether the experts are trained again on all users after some training users were held out for the weights.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.experts:
            raise ConfigError("ProductOfExperts: experts = (): at least one model was expected")
        for one in self.experts:
            _NAMES.name_of(type(one))
        if list(self.groups) != sorted(set(self.groups)):
            raise ConfigError(f"ProductOfExperts: groups = {self.groups!r}: ascending numbers of events were expected")


def _equal_weights(config: ProductOfExpertsConfig) -> Float[Tensor, "groups experts"]:
    """Weights that sum to 1, for histories of each group of lengths."""
    shape = (len(config.groups) + 1, len(config.experts))
    return torch.full(shape, 1.0 / shape[1], dtype=torch.float64)


class ProductOfExperts(Experts, Ensemble, OnnxGraph, PopularStart, Recommender[ProductOfExpertsConfig]):
    """Weighted product of the distributions of several models."""

    Config = ProductOfExpertsConfig
    has_likelihood = True
    summary = "several models multiplied, with weights learned on held-out users (Heskes 1998)"

    def _build(self, generator: torch.Generator) -> None:
        self.experts = built(self.config.experts, self.n_items, generator, self.device)
        self.weights = _equal_weights(self.config)
        self.log_share = torch.zeros(self.n_items, device=self.device)
        self.cold: Bool[Tensor, " items"] | None = None  # items without training events, by the catalog

    @classmethod
    def of(cls, experts: Sequence[Recommender[Any]], train: Histories, **settings: Any) -> "ProductOfExperts":
        """A product of models that are trained already and that it shares; its weights are equal until `learn_weights`.

        Args:
            experts: trained models of registered names.
            train: the training users, whose counts are the list of users without events.
            settings: further settings of the product.

        Raises:
            ConfigError: no models, or a model that is not registered.
            ShapeError: models of different catalogs.
        """
        config = ProductOfExpertsConfig(experts=tuple(one.config for one in experts), **settings)
        for one in experts:
            one.check_histories(train)
        # Built with a small expert, so that no copies of the others are in memory.
        found = cls(train.n_items, ProductOfExpertsConfig(experts=(PopularityConfig(),)), device=experts[0].device)
        found.config, found.experts = config, tuple(experts)
        found.weights = _equal_weights(config)
        found.cold = torch.from_numpy(train.counts() == 0).to(found.device)
        found.learn_shares(train)
        return found

    def expert_names(self) -> tuple[str, ...]:
        names = [_NAMES.name_of(type(one)) for one in self.config.experts]
        return tuple(
            f"{name}-{names[: at + 1].count(name)}" if names.count(name) > 1 else name for at, name in enumerate(names)
        )

    def lacks(self, capability: type) -> str | None:
        if capability is OnnxGraph:
            for name, one in zip(self.expert_names(), self.experts, strict=True):
                if _graph(one) is None or one.n_items < self.n_items:
                    return f"ProductOfExperts cannot be exported, because its expert {name} cannot"
        if capability is ExtendsItems and all(_lacks(one, capability) for one in self.experts):
            return "ProductOfExperts takes no new items, because none of its experts does"
        return self.no_expert_reads(capability)

    def use_of_weights(self) -> str:
        return "each expert that reads weights of events reads them"

    def block(self) -> int:
        return min(super().block(), *(one.block() for one in self.experts))

    def describe(self, catalog: Catalog) -> None:
        super().describe(catalog)
        self.cold = torch.from_numpy(catalog.cold).to(self.device)

    def silent(self) -> list[Bool[Tensor, " items"] | None]:
        """The items of which each expert says nothing, while another has learned of their features; None for no items."""
        featured = [capability(one, ItemFeatures) is not None for one in self.experts]
        # If no item had an event, there is no mean either.
        some = self.cold is not None and bool(self.cold.any()) and not bool(self.cold.all()) and any(featured)
        found = [None if reads or not some else self.cold for reads in featured]
        return [covered(one, of, self.n_items) for one, of in zip(found, self.experts, strict=True)]

    def with_new_items(self, catalog: Catalog) -> "ProductOfExperts":
        number_added(self, catalog)
        larger = copy.copy(self)
        larger.n_items, larger.experts = len(catalog), extended(self.experts, catalog)
        larger.log_share = extended_shares(self.log_share, catalog)
        larger.cold = torch.from_numpy(catalog.cold).to(self.device)
        return larger

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return ProductTrainer(self, train)

    def tensors(self) -> dict[str, Tensor]:
        return {**self.tensors_of_experts(), "weights": self.weights, "log_share": self.log_share}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.make_room(state)
        super().load_state(state)  # which checks names and shapes
        self.load_experts(state)

    def learn_weights(self, held: HeldOut) -> dict[str, float]:
        """Learn the weights of the experts, which stay as they are, on held-out users.

        Returns:
            the number of these users, their mean log-likelihood of a held-out item in nats, and the weights, by name.

        Raises:
            FitError: no held-out user has both a history and a target.
        """
        scored = HeldOutScores(self.experts, held, groups=self.config.groups, block=self.block(), silent=self.silent())
        weights, log_likelihood = learned_weights(scored, self.config.objective)
        self.weights = torch.from_numpy(weights)
        found = {"users": float(len(scored.fold_in)), "log_likelihood": log_likelihood}
        starts = ["", *(f" from {start} events on" for start in self.config.groups)]
        for group, start in enumerate(starts):
            found |= {f"{name}{start}": float(w) for name, w in zip(self.expert_names(), weights[group], strict=True)}
        return found

    def without(self, expert: int, held: HeldOut) -> "ProductOfExperts":
        kept = [at for at in range(len(self.experts)) if at != expert]
        if not 0 <= expert < len(self.experts) or not kept:
            raise ConfigError(f"ProductOfExperts: no product of {len(self.experts)} experts without number {expert}")
        other = copy.copy(self)
        other.config = replace(self.config, experts=tuple(self.config.experts[at] for at in kept))
        other.experts = tuple(self.experts[at] for at in kept)
        other.temperature = None
        other.learn_weights(held)
        return other

    def _weights_of(self, lengths: Int[Tensor, " users"]) -> Float[Tensor, "_ experts"]:
        """The weights for histories of these lengths, in single precision: a single row if all have the same."""
        weights = self.weights.float().to(self.device)
        if not self.config.groups:
            return weights
        starts = torch.tensor(self.config.groups, device=lengths.device)
        return weights[(lengths.unsqueeze(1) >= starts).sum(dim=1)]

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        weights = self._weights_of(sent(histories.lengths, self.device))
        total = torch.zeros(len(histories), self.n_items, device=self.device)
        for at, (one, silent) in enumerate(zip(self.experts, self.silent(), strict=True)):
            if not bool(weights[:, at].any()):
                continue
            # Centered first: a large constant common to all items would cost the sum its precision.
            scores = centered(at_mean(scores_of(one, histories), silent))
            total.addcmul_(scores.to(total), weights[:, at : at + 1])
        return self._started(total, histories)

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        lengths = (history >= 0).sum(dim=1)
        weights = self._weights_of(lengths)
        total = torch.zeros(history.shape[0], self.n_items, device=self.device)
        for at, (one, silent) in enumerate(zip(self.experts, self.silent(), strict=True)):
            graph = required(one, OnnxGraph, "ProductOfExperts: each expert must be exportable")
            scores = at_mean(floored(graph.padded_logits(history)), silent)
            total = total + (scores - scores.amax(dim=1, keepdim=True)) * weights[:, at : at + 1]
        return torch.where(lengths.unsqueeze(1) > 0, total, self.log_share)

    def speaking(self) -> Bool[Array, " items"]:
        found = np.zeros(self.n_items, dtype=bool)
        for one in self.experts:
            start = capability(one, PopularStart)
            found[: one.n_items] |= np.ones(one.n_items, dtype=bool) if start is None else start.speaking()
        return found


def _lacks(expert: Recommender[Any], wanted: type[Any]) -> bool:
    return capability(expert, wanted) is None


def _graph(expert: Recommender[Any]) -> OnnxGraph | None:
    return capability(expert, OnnxGraph)
