"""TwoTower: a tower for the user's history and features, a tower for the item's features, and the product of what they give.

    u_x = φ(c + |x|^(−1/2) Σ_{i ∈ x} (p_i + Pᵀ f_i) + Uᵀ g),   v_j = ψ(q_j + Qᵀ f_j),   p(j | x) ∝ exp(⟨u_x, v_j⟩ / τ)

f are the features of an item and g those of the user; p and q are free rows, which `free_rows=false` leaves out. φ and ψ are the
identity, or with `hidden_dims` tanh and linear layers by turns; then u and v have length 1 unless `temperature` is none.

An epoch takes `n_targets` random events of each user; each is predicted, from the history under dropout, by a softmax over the
item and the other items of the batch, less log of their expected number ("log-Q correction"), so that the popular items of a
batch are not pushed down. The softmax of the scores over the catalog is a density. Items without training events have the part
from features alone and take no part in training.

Source: yi2019, section 3 (sampled softmax over the batch, normalized vectors, temperature).

Departures from the paper: targets are events of the history that is read, as in liang2018, not the events after it. The shares
of items are those of the training log, not an estimate from a stream; the expected number takes the other targets of the batch
as independent draws, which those of the same user are not. The reward of an example is 1. Users without events get the training
counts, unless features of users are read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError
from foldin.kernels import Buffers, at_least_float32, matmul_into, padded_bag, read_weights
from foldin.models.baselines._two_tower_trainer import TwoTowerTrainer
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.extends_items import ExtendsItems
from foldin.models.feature_map import FeatureMap, MapsFeatures, extended_by_map
from foldin.models.feature_vectors import FeatureVectors
from foldin.models.negatives import InBatchNegatives
from foldin.models.sequential.losses import FullSoftmax, SampledSoftmax
from foldin.models.start import PopularStart
from foldin.models.user_features import UserFeatures, UserMap
from foldin.nn import MLP
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, Range, Trainer, setting

__all__ = ["TwoTower", "TwoTowerConfig"]

_LEAST = 1e-3  # least length by which a vector is divided, which bounds its gradient


@dataclass(frozen=True, kw_only=True)
class TwoTowerConfig(Config):
    embedding_dim: int = setting(64, "Width of the vectors of users and items.", low=1, range=(32, 64, 128, 256))
    hidden_dims: tuple[int, ...] = setting(
        (), "Widths of the hidden layers of each tower; none for linear towers.", low=1, range=((), (128,))
    )
    free_rows: bool = setting(True, "Whether items have free rows besides the rows from their features.")
    features: FeatureVectors | None = setting(
        None, "How features of the items enter both towers; none to learn from events alone."
    )
    user_features: UserFeatures | None = setting(
        None, "How features of the users enter their tower; none to read events alone."
    )
    dropout: float = setting(0.5, "Dropout of the history's events.", low=0, below=1, range=Range(0.0, 0.8))
    n_targets: int = setting(8, "Events of a user that a step predicts, at most.", low=1)
    loss: FullSoftmax | SampledSoftmax = setting(
        SampledSoftmax(negatives=InBatchNegatives()), "Items against which each target is scored."
    )
    temperature: float | None = setting(
        0.1,
        "Temperature of the product of L2-normalized vectors; none for the plain product.",
        above=0,
        range=Range(0.03, 0.3, log=True),
    )
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, range=Range(1e-4, 1e-2, log=True))
    batch_size: int = setting(256, "Users in a batch.", low=1, range=Range(64, 1024, log=True))
    epochs: int = setting(100, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.free_rows and self.features is None:
            raise ConfigError(
                "TwoTower: free_rows = false leaves items without vectors unless features gives them some"
            )


class TwoTower(MapsFeatures, ExtendsItems, OnnxGraph, DotProduct, PopularStart, Recommender[TwoTowerConfig]):
    """Two-tower model of users and items."""

    Config = TwoTowerConfig
    has_likelihood = True
    summary = (
        "a tower of the history and one of the item, by sampled softmax (Yi et al. 2019), as a baseline with features"
    )

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        widths = (*config.hidden_dims, config.embedding_dim)
        self.first = widths[0]

        def initial(*shape: int) -> nn.Parameter:
            rows = torch.empty(*shape).normal_(0.0, self.first**-0.5, generator=generator)
            return nn.Parameter(rows.to(self.device))

        rows = (self.n_items, self.first)
        self.read_rows: nn.Parameter | None = initial(*rows) if config.free_rows else None
        self.scored_rows: nn.Parameter | None = initial(*rows) if config.free_rows else None
        self.start = initial(self.first)  # c
        self.towers = tuple(
            MLP(widths, generator=generator, device=self.device) if config.hidden_dims else None for _ in range(2)
        )
        self.side = (
            None
            if config.features is None
            else FeatureMap(
                self.n_items,
                2 * self.first,
                config.features.cold_factor,
                self.device,
                initial_sd=self.first**-0.5,
                seed=generator.initial_seed(),
            )
        )
        self.users = (
            None if config.user_features is None else UserMap(self.first, config.user_features, "TwoTower", self.device)
        )
        self.log_share = torch.zeros(self.n_items, device=self.device)
        self._kept: tuple[Tensor, Tensor] | None = None  # vectors of `rows` and `vectors`, until training changes them
        self._buffers = Buffers()

    def feature_columns(self) -> tuple[str, ...] | None:
        return None if self.config.features is None else self.config.features.columns

    def lacks(self, capability: type) -> str | None:
        if capability is OnnxGraph and self.users is not None:
            return "TwoTower: user_features: a graph takes plain histories of items and would lose the features of the users"
        return super().lacks(capability)

    def given_popularity(self, histories: Histories) -> Bool[Array, " users"]:
        """No user, if features of users are read: they decide the list of an empty history."""
        return super().given_popularity(histories) & (self.users is None)

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        super().make_room(state)
        if self.users is not None:
            self.users.make_room(state)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.make_room(state)
        super().load_state(state)
        self.forget()

    def learned(self) -> dict[str, nn.Parameter]:
        """Everything that gradient steps change, by name."""
        found: dict[str, nn.Parameter] = {"start": self.start}
        for name, rows in (("read_rows", self.read_rows), ("scored_rows", self.scored_rows)):
            found |= {} if rows is None else {name: rows}
        for name, tower in zip(("user", "item"), self.towers, strict=True):
            layers = {} if tower is None else dict(tower.named_parameters())
            found |= {f"{name}.{layer}": weights for layer, weights in layers.items()}
        found |= {} if self.side is None else {"features.map": self.side.map}
        return found | ({} if self.users is None else self.users.tensors())

    def tensors(self) -> dict[str, Tensor]:
        mapped: dict[str, Tensor] = {} if self.side is None else self.side.tensors()
        return {**self.learned(), **mapped, "log_share": self.log_share}

    def with_new_items(self, catalog: Catalog) -> "TwoTower":
        free = ("read_rows", "scored_rows") if self.config.free_rows else ()
        return extended_by_map(self, self.side, free, catalog)

    def trainer(self, train: Histories) -> Trainer[Histories]:
        if self.users is not None:
            self.users.take(train)
        return TwoTowerTrainer(self)

    def training_bytes(self, train: Histories) -> float:
        # The rows and vectors of all items in a step with their gradients, and the scores of its targets.
        targets = min(self.config.n_targets * self.config.batch_size, train.n_events)
        scored = self.config.loss.drawn(targets) or self.n_items
        rows = 16.0 * self.n_items * (2 * self.first + self.config.embedding_dim)
        return super().training_bytes(train) + rows + 12.0 * targets * scored

    def forget(self) -> None:
        """Compute the vectors of all items anew when they are next read."""
        self._kept = None

    def rows(self, kept: Float[Tensor, " items"] | None = None) -> tuple[Tensor, Tensor]:
        """(p_i + Pᵀ f_i, q_j + Qᵀ f_j) of all items.

        Args:
            kept: factor of each item's free rows; None for 1.
        """
        mapped = (None, None) if self.side is None else self.side.rows().split(self.first, dim=1)
        return _sum(self.read_rows, kept, mapped[0]), _sum(self.scored_rows, kept, mapped[1])

    def bag(
        self,
        rows: Float[Tensor, "items first"],
        items: Int[Tensor, " events"],
        offsets: Int[Tensor, " offsets"],
        values: Float[Tensor, " events"],
    ) -> Float[Tensor, "users first"]:
        """The sum of the rows of each user's items, times the values of the events."""
        if len(items) == 0:
            return torch.zeros(len(offsets) - 1, self.first, device=self.device)
        return F.embedding_bag(items, rows, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)

    def user_vectors(self, x: Float[Tensor, "users first"]) -> Float[Tensor, "users dim"]:
        """u, divided by the temperature, of the inputs of the user's tower."""
        u = x if self.towers[0] is None else at_least_float32(self.towers[0](torch.tanh(x)))
        return u if self.config.temperature is None else F.normalize(u, dim=1, eps=_LEAST) / self.config.temperature

    def vectors_of(self, x: Float[Tensor, "items first"]) -> Float[Tensor, "items dim"]:
        """v, of the inputs of the item's tower."""
        v = x if self.towers[1] is None else at_least_float32(self.towers[1](torch.tanh(x)))
        return v if self.config.temperature is None else F.normalize(v, dim=1, eps=_LEAST)

    @torch.no_grad()
    def _tables(self) -> tuple[Float[Tensor, "items first"], Float[Tensor, "items dim"]]:
        """(rows of the items of a history, vectors of the items that are scored)."""
        if self._kept is None:
            read, scored = self.rows()
            self._kept = read, self.vectors_of(scored)
        return self._kept

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users dim"]:
        items, offsets = histories.tensors(self.device)
        x = self.start + self.bag(self._tables()[0], items, offsets, read_weights(offsets, 1.0))
        return self.user_vectors(x if self.users is None else x + self.users.rows(histories))

    def item_vectors(self) -> tuple[Float[Tensor, "items dim"], Float[Tensor, " items"]]:
        bias = torch.zeros(self.n_items, device=self.device) if self.side is None else self.side.log_factor()
        return self._tables()[1], bias

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        vectors, bias = self.item_vectors()
        out = self._buffers.get("logits", (len(histories), self.n_items), vectors)
        matmul_into(out, self.queries(histories), vectors.t()).add_(bias)
        return out if self.users is not None else self._started(out, histories)

    def speaking(self) -> Bool[Array, " items"]:
        return np.ones(self.n_items, dtype=bool)

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        x = self.start + padded_bag(self._tables()[0], history, oldest=1.0)
        vectors, bias = self.item_vectors()
        some = (history >= 0).any(dim=1, keepdim=True)
        return torch.where(some, self.user_vectors(x) @ vectors.t() + bias, self.log_share)


def _sum(free: Tensor | None, kept: Tensor | None, mapped: Tensor | None) -> Tensor:
    """Free rows, of which some are left out, plus the rows from features."""
    parts = [] if free is None else [free if kept is None else free * kept.unsqueeze(1)]
    parts += [] if mapped is None else [mapped]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]
