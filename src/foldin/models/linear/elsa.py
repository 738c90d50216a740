"""ELSA: a linear autoencoder of low rank with a diagonal of zeros, by unit vectors of the items.

    x̂ = x (A Aᵀ − I),   ‖A_i‖ = 1,   L = ‖x / ‖x‖ − x̂ / ‖x̂‖‖² = 2 − 2 cos(x, x̂)

The rows of A have unit length, so that the diagonal of A Aᵀ − I is zero and no item explains itself. Training builds no dense
matrix of users by items: with x of unit length and z = x A,

    ⟨x, x̂⟩ = ‖z‖² − 1,   ‖x̂‖² = zᵀ (Aᵀ A) z − 2 ‖z‖² + 1

With `oldest` below 1, the weights of a history's events rise linearly from `oldest` to 1 for the newest, both in training and in
the x that is scored, as in T-DiffRec (wang2023, section 3.6).

The weight of an event multiplies its entry in x; a dislike has a negative entry.

Source: vancura2022, section 3; NAdam as in the authors' code.

Departures from the paper: scores are x A Aᵀ, a dot product of z and an item's vector; they differ from x̂ on the items of the
history alone. The vector of an item that no user has with another is zero; a history of such items, for which all scores would
be 0, gets the training counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.kernels import bag_of_items, padded_bag, unit_rows
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.divided import BY_USERS
from foldin.models.evidence import SignedRows, read_events, summed_rows
from foldin.models.recency import oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, FullPass, GradientPhase, Loss, Range, Step, Trainer, setting, shuffled
from foldin.workers import group_of

__all__ = ["ELSA", "ELSAConfig"]


@dataclass(frozen=True, kw_only=True)
class ELSAConfig(Config):
    embedding_dim: int = setting(256, "Width of the items' vectors.", low=1, range=Range(32, 1024, log=True))
    oldest: float = oldest_setting()
    learning_rate: float = setting(0.1, "Learning rate of NAdam.", above=0, range=Range(1e-3, 0.3, log=True))
    batch_size: int = setting(256, "Users in a batch.", low=1, range=Range(50, 1000, log=True))
    epochs: int = setting(20, "Epochs, at most.", low=1)


class ELSA(OnnxGraph, DotProduct, SignedRows, PopularStart, Recommender[ELSAConfig]):
    """Scalable linear shallow autoencoder."""

    Config = ELSAConfig
    has_likelihood = False
    summary = "linear autoencoder of low rank with a diagonal of zeros (Vančura et al. 2022)"

    def _build(self, generator: torch.Generator) -> None:
        vectors = torch.randn(self.n_items, self.config.embedding_dim, generator=generator)
        self.vectors = torch.nn.Parameter(F.normalize(vectors, dim=1).to(self.device))
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return _Training(self)

    def training_bytes(self, train: Histories) -> float:
        # Besides the parameters: the unit vectors, their gradients from both uses, and z with its products.
        rows = 3 * self.n_items + 4 * min(self.config.batch_size, len(train))
        return super().training_bytes(train) + 4.0 * rows * self.config.embedding_dim

    def tensors(self) -> dict[str, Tensor]:
        return {"vectors": self.vectors, "log_share": self.log_share}

    def unit_vectors(self) -> Float[Tensor, "items dim"]:
        """A: the vector of each item, of unit length; zeros for an item that no training user has with another."""
        return F.normalize(self.vectors, dim=1)

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users dim"]:
        return self._encoded(self.unit_vectors(), histories)

    @torch.no_grad()
    def item_vectors(self) -> tuple[Float[Tensor, "items dim"], Float[Tensor, " items"]]:
        return self.unit_vectors(), torch.zeros(self.n_items, device=self.device)

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        vectors = self.unit_vectors()
        return self._spoken(self._encoded(vectors, histories) @ vectors.t())

    def _encoded(self, vectors: Float[Tensor, "items dim"], histories: Histories) -> Float[Tensor, "users dim"]:
        items, offsets, weights = read_events(histories, self.config.oldest, self.device)
        weights = torch.ones(len(items), device=self.device) if weights is None else weights
        return bag_of_items(vectors, items, offsets, weights)

    def speaking(self) -> Bool[Array, " items"]:
        return self.vectors.detach().any(dim=1).cpu().numpy()

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        vectors = self.unit_vectors()
        scores = padded_bag(vectors, history, oldest=self.config.oldest, normalized=False) @ vectors.t()
        return torch.where((scores != 0).any(dim=1, keepdim=True), scores, self._start())


def _merged(histories: Histories, oldest: float) -> tuple[Histories, Array]:
    """Histories with each item of a user once, and the entries of X at them: the sums of the weights of the item's events."""
    rows = summed_rows(histories, oldest)
    merged = Histories(
        items=rows.indices.astype(np.int32, copy=False),
        offsets=rows.indptr.astype(np.int64, copy=False),
        n_items=histories.n_items,
    )
    return merged, rows.data


class _Training(Trainer[Histories]):
    def __init__(self, model: ELSA) -> None:
        self.model, config = model, model.config
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters={"vectors": model.vectors},
            loss=self.loss,
            optimizer=self._optimizer,
            batches=shuffled(config.batch_size),
            divided=BY_USERS,
            needs_float32="the norms in its loss are small differences of large sums",
        )
        first: FullPass[Histories] = FullPass(name="items", run=partial(_prepare, model))
        super().__init__(phase, epochs=config.epochs, first=(first,))

    def _optimizer(self, parameters: Mapping[str, torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.NAdam(parameters.values(), lr=self.model.config.learning_rate)

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        rows, values = _merged(batch, model.config.oldest)
        items, offsets = rows.tensors(model.device)
        x, vectors = unit_rows(offsets, torch.from_numpy(values).to(model.device)), model.unit_vectors()
        z = bag_of_items(vectors, items, offsets, x)
        own = z.square().sum(dim=1)
        # A history of one item teaches nothing, as ⟨x, x̂⟩ is then a constant: rounding must not give it a gradient.
        product = torch.where(offsets.diff() > 1, own - 1.0, 0.0)
        squared = ((z @ (vectors.t() @ vectors)) * z).sum(dim=1) - 2.0 * own + 1.0
        cosine = (product * squared.clamp(min=1e-12).rsqrt()).mean()
        return Loss(2.0 - 2.0 * cosine, {"cosine": cosine})


@torch.no_grad()
def _prepare(model: ELSA, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    """Learn the training counts, and set the vectors of items that no user has with another to zero, where they stay."""
    model.learn_shares(train, group_of(generator))
    together = np.zeros(model.n_items, dtype=bool)
    for part in train.parts():
        rows, _ = _merged(part, 1.0)
        together[rows.items[np.repeat(rows.lengths > 1, rows.lengths)]] = True
    model.vectors[torch.from_numpy(~together).to(model.device)] = 0.0
    return {}
