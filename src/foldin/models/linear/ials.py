"""iALS: implicit alternating least squares over all pairs, with a penalty that grows with the events of a user or an item.

    min Σ_{(u,i) ∈ S} (x_uᵀ y_i − 1)² + α₀ Σ_u Σ_i (x_uᵀ y_i)² + λ (Σ_u (n_u + α₀ N)^ν ‖x_u‖² + Σ_i (n_i + α₀ M)^ν ‖y_i‖²)

S are the events, n_u and n_i the numbers of those of a user and of an item, M and N the numbers of users and items. Each epoch
solves the least squares of all users with the items fixed, then those of all items with the users fixed. A user is folded in by
the same step that known users take, so that known and new users are treated alike:

    x = (Y_uᵀ Y_u + α₀ YᵀY + λ (n_u + α₀ N)^ν I)⁻¹ Y_uᵀ 1

With `oldest` below 1, the weights of a history's events rise linearly from `oldest` to 1 for the newest; the first sum, n_u and
n_i are then sums of weights, both in training and in folding in (wang2023, section 3.6). The weight w of an event multiplies
them. A dislike adds w (x_uᵀ y_i)² to the first sum, and w to n_u and n_i.

Source: rendle2022, section 2, and the start of the factors as in the authors' code; hu2008 (the alternation).

Departures from the paper: none in the model; the best epoch is chosen on the validation users. A history without an item that the
model has learned, for which all scores would be 0, gets the training counts.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import scipy.sparse
import torch

from foldin.data import Histories
from foldin.models.capability import DotProduct
from foldin.models.contract import Recommender
from foldin.models.evidence import Dislikes, WeightedEvents, read_events, signed_rows
from foldin.models.recency import oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import Group, group_of

__all__ = ["IALS", "IALSConfig"]

_BLOCK_BYTES = 64 << 20
_START = 0.1  # expected length of a vector before training


@dataclass(frozen=True, kw_only=True)
class IALSConfig(Config):
    embedding_dim: int = setting(64, "Width of the factors of users and items.", low=1, range=Range(16, 512, log=True))
    regularization: float = setting(3e-3, "Scale of the penalty, λ.", above=0, range=Range(1e-4, 1.0, log=True))
    exponent: float = setting(
        1.0, "Exponent of the counts in the penalty, ν; 0 for the same penalty of all.", low=0, range=Range(0.5, 1.0)
    )
    unobserved_weight: float = setting(
        0.1,
        "Weight of every pair of a user and an item, α₀; an event has the weight 1.",
        above=0,
        range=Range(1e-3, 1.0, log=True),
    )
    oldest: float = oldest_setting()
    epochs: int = setting(16, "Alternations between users and items, at most.", low=1)


class IALS(DotProduct, WeightedEvents, Dislikes, PopularStart, Recommender[IALSConfig]):
    """Implicit alternating least squares with frequency-scaled regularization."""

    Config = IALSConfig
    has_likelihood = False
    summary = "implicit matrix factorization with frequency-scaled regularization (Rendle et al. 2022)"

    def _build(self, generator: torch.Generator) -> None:
        dim = self.config.embedding_dim
        factors = torch.randn(self.n_items, dim, generator=generator).mul_(_START / dim**0.5)
        self.item_factors = factors.to(self.device)
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def training_bytes(self, train: Histories) -> float:
        # Factors of both sides before and after a step, the events by item, and a block of matrices with its solutions.
        dim = self.config.embedding_dim
        return 8.0 * dim * (len(train) + self.n_items) + 24.0 * train.n_events + 12.0 * self.block() * dim**2

    def block(self) -> int:
        # Each user's least-squares problem has a separate matrix.
        return min(super().block(), _rows(self.config.embedding_dim))

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="alternate", run=partial(_alternate, self)), epochs=self.config.epochs)

    def tensors(self) -> dict[str, Tensor]:
        return {"item_factors": self.item_factors, "log_share": self.log_share}

    def fold_in(self, histories: Histories) -> Float[Tensor, "users dim"]:
        """The factors of users, by one least-squares problem each."""
        items, offsets, weights = read_events(histories, self.config.oldest, self.device)
        weights = torch.ones(len(items), device=self.device) if weights is None else weights
        return _solved(
            self.item_factors, _shared(self.item_factors, self.config), items, offsets, weights, self.config
        )[0]

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users dim"]:
        return self.fold_in(histories)

    def item_vectors(self) -> tuple[Float[Tensor, "items dim"], Float[Tensor, " items"]]:
        return self.item_factors, torch.zeros(self.n_items, device=self.device)

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self._spoken(self.fold_in(histories) @ self.item_factors.t())

    def use_of_weights(self) -> str:
        return "the weight of an event is its weight in the first sum, and its share of n_u and n_i"

    def use_of_dislikes(self) -> str:
        return "a dislike has the target 0 instead of 1 in the first sum"

    def speaking(self) -> Bool[Array, " items"]:
        return self.item_factors.any(dim=1).cpu().numpy()


def _rows(dim: int) -> int:
    """Least-squares problems to solve at once, so that their matrices take about 64 MB."""
    return max(1, _BLOCK_BYTES // (4 * dim**2))


def _shared(fixed: Float[Tensor, "rows dim"], config: IALSConfig) -> Float[Tensor, "dim dim"]:
    """The part of all problems that no event changes: α₀ times the sum of outer products of the fixed vectors."""
    return config.unobserved_weight * (fixed.t() @ fixed)


def _solved(
    fixed: Float[Tensor, "rows dim"],
    shared: Float[Tensor, "dim dim"],
    others: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    weights: Float[Tensor, " events"],
    config: IALSConfig,
) -> tuple[Float[Tensor, "users dim"], Float[Tensor, " users"], Float[Tensor, " users"]]:
    """(vectors of users, the objective that each leaves, its penalty among it); the same for items if users are fixed.

    Args:
        fixed: vectors of all items.
        shared: the result of `_shared`.
        others: item of each event, one user after another.
        offsets: where each user's events begin, and the end of the last user.
        weights: weight of each event; negative for a dislike.
    """
    users = len(offsets) - 1
    of = torch.repeat_interleave(torch.arange(users, device=fixed.device), offsets.diff())
    strength, weights = weights.abs(), weights.clamp(min=0.0)
    totals = weights.new_zeros(users).index_add_(0, of, strength)
    penalty = config.regularization * (totals + config.unobserved_weight * len(fixed)) ** config.exponent
    left = shared.repeat(users, 1, 1)
    left.diagonal(dim1=1, dim2=2).add_(penalty.unsqueeze(1))
    right = fixed.new_zeros(users, fixed.shape[1])
    for user, (start, stop) in enumerate(itertools.pairwise(offsets.tolist())):
        own = fixed[others[start:stop]]
        left[user].addmm_(own.t() * strength[start:stop], own)
        right[user] = weights[start:stop] @ own
    vectors = torch.linalg.solve(left, right)
    # At the minimum, Σ w (xᵀy − 1)² + α₀ Σ (xᵀy)² + penalty ‖x‖² is Σ w − xᵀ (right side), with the w of the events in favor.
    totals = weights.new_zeros(users).index_add_(0, of, weights)
    return vectors, totals - (right * vectors).sum(dim=1), penalty * vectors.square().sum(dim=1)


def _side(
    fixed: Float[Tensor, "rows dim"], events: scipy.sparse.csr_matrix, config: IALSConfig, group: Group
) -> tuple[Float[Tensor, "users dim"], float, float]:
    """(vectors of all users, the objective, its penalty on them), with the items fixed; the same for items with users fixed.

    Each worker solves the least squares of its part.
    """
    shared, step = _shared(fixed, config), _rows(config.embedding_dim)
    vectors = fixed.new_empty(events.shape[0], config.embedding_dim)
    objective = penalty = 0.0
    own = group.part(events.shape[0])
    for start in range(own.start, own.stop, step):
        stop = min(start + step, own.stop)
        part = events[start:stop]
        others, offsets, weights = (
            torch.from_numpy(one).to(fixed.device) for one in (part.indices, part.indptr, part.data)
        )
        found, left, lengths = _solved(fixed, shared, others.long(), offsets.long(), weights, config)
        vectors[start:stop] = found
        objective += float(left.double().sum())
        penalty += float(lengths.double().sum())
    return group.gather(vectors[own], len(vectors)), group.total(objective), group.total(penalty)


def _alternate(model: IALS, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    group = group_of(generator)
    model.learn_shares(train, group)
    events = signed_rows(train, model.config.oldest)
    users, _, penalty = _side(model.item_factors, events, model.config, group)
    items, objective, _ = _side(users, events.T.tocsr(), model.config, group)
    model.item_factors.copy_(items)
    return {"loss": (objective + penalty) / len(train)}
