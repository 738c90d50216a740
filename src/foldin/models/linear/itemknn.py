"""ItemKNN: items that are similar to those of a user.

    sim(i, j) = c_ij / (√(c_i c_j) + h),   score(u, j) = Σ_{i ∈ u ∩ N(j)} sim(i, j)

with c_ij the users who took both, h the shrinkage that distrusts small counts, and N(j) the k items most similar to j.
Items that are not neighbors of any item of the history follow those that are, in the order of their training counts; if there
are no neighbors, as for an empty history, the scores are shares of the training counts.

With `oldest` below 1, the weights of a history's events rise linearly from `oldest` to 1 for the newest; c_ij, c_i and the sum of
a score then use these weights and their products (wang2023, section 3.6). The weights of events multiply them. A dislike has a
negative weight in the sum of a score; similarities are those of the other events.

Source: sarwar2001; the shrinkage as in the evaluation of dacrema2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse
import torch

from foldin.data import Histories
from foldin.kernels import top_k
from foldin.memory import require_memory
from foldin.models.contract import Recommender
from foldin.models.evidence import Dislikes, WeightedEvents, signed_rows
from foldin.models.recency import event_weights, oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import group_of

__all__ = ["ItemKNN", "ItemKNNConfig"]


@dataclass(frozen=True, kw_only=True)
class ItemKNNConfig(Config):
    n_neighbors: int = setting(
        200, "Similar items that are kept for each item, k.", low=1, range=Range(10, 1000, log=True)
    )
    shrinkage: float = setting(
        20.0, "Number that is added to the denominator of the similarity, h.", low=0, range=Range(0.1, 1000.0, log=True)
    )
    oldest: float = oldest_setting()


class ItemKNN(WeightedEvents, Dislikes, PopularStart, Recommender[ItemKNNConfig]):
    """Cosine neighbors of items."""

    Config = ItemKNNConfig
    has_likelihood = False
    summary = "cosine neighbors of items, with shrinkage"

    def _build(self, generator: torch.Generator) -> None:
        # Row j holds the neighbors of item j; if there are fewer than k, the rest is item j itself with similarity 0.
        width = min(self.config.n_neighbors, max(1, self.n_items - 1))
        require_memory(12.0 * self.n_items * width, f"{self._called()} with {width:,} neighbors each", self.smaller)
        self.log_share = torch.zeros(self.n_items)
        self.neighbors = torch.arange(self.n_items).unsqueeze(1).repeat(1, width)
        self.similarities = torch.zeros(self.n_items, width)

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="similarities", run=partial(_similarities, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        return {"neighbors": self.neighbors, "similarities": self.similarities, "log_share": self.log_share}

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        offsets = np.arange(self.n_items + 1) * self.neighbors.shape[1]
        weights = scipy.sparse.csr_matrix(
            (self.similarities.numpy().reshape(-1), self.neighbors.numpy().reshape(-1), offsets),
            shape=(self.n_items, self.n_items),
        )
        scores = (signed_rows(histories, self.config.oldest) @ weights.T.tocsr()).toarray()
        return self._filled(torch.from_numpy(np.ascontiguousarray(scores))).to(self.device)

    def use_of_weights(self) -> str:
        return "the weight of an event is its entry in the columns whose cosine is the similarity, and in the sum of a score"

    dislikes_speak = True

    def use_of_dislikes(self) -> str:
        return "a dislike takes its similarities from the scores; similarities are those of the other events"

    def speaking(self) -> Bool[Array, " items"]:
        similar = self.similarities.numpy() > 0.0
        return np.bincount(self.neighbors.numpy()[similar], minlength=self.n_items) > 0


def _similarities(model: "ItemKNN", train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    model.learn_shares(train, group_of(generator))
    rows = train.csr(event_weights(train, model.config.oldest))
    if train.distinct() is not train:  # a user's events with one item are one entry of its column
        rows = rows.copy()  # the matrix shares memory with the events
        rows.sum_duplicates()
    norms = np.sqrt(np.bincount(rows.indices, weights=rows.data**2, minlength=model.n_items)).astype(np.float32)
    columns, width = rows.tocsc(), model.neighbors.shape[1]
    step, group = max(1, (64 << 20) // (4 * model.n_items)), group_of(generator)
    items_of_worker = group.part(model.n_items)
    for start in range(items_of_worker.start, items_of_worker.stop, step):
        stop = min(start + step, items_of_worker.stop)
        together = torch.from_numpy((columns[:, start:stop].T @ rows).toarray())
        bottom = torch.from_numpy(np.outer(norms[start:stop], norms) + np.float32(model.config.shrinkage))
        similar = together / bottom.clamp(min=1e-12)
        similar[torch.arange(stop - start), torch.arange(start, stop)] = -torch.inf
        similar.masked_fill_(similar == 0, -torch.inf)
        values, items = top_k(similar, width)
        own = torch.arange(start, stop).unsqueeze(1).expand_as(items)
        model.neighbors[start:stop] = torch.where(items < 0, own, items)
        model.similarities[start:stop] = torch.where(items < 0, 0.0, values)
    for rows_of_items in (model.neighbors, model.similarities):
        rows_of_items.copy_(group.gather(rows_of_items[items_of_worker], model.n_items))
    return {}
