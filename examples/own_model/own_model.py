"""A Markov chain over items: what is taken next depends on the last item alone.

    p(next = j | last = i) = (n_ij + s p_j) / (Σ_j n_ij + s)

n_ij counts how often j came right after i in training, p_j is the share of j among all events, and s the weight of p in events.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.models import Recommender, log_shares
from foldin.tensors import Float, Int, Tensor
from foldin.training import Config, FullPass, Trainer, setting

__all__ = ["MarkovChain", "MarkovChainConfig"]


@dataclass(frozen=True, kw_only=True)
class MarkovChainConfig(Config):
    smoothing: float = setting(5.0, "Weight of popularity beside what followed an item, in events.", above=0)


class MarkovChain(Recommender[MarkovChainConfig]):
    """What followed the last item, smoothed by popularity; popularity itself after no item."""

    Config = MarkovChainConfig
    has_likelihood = True
    summary = "Markov chain over items, smoothed by popularity"

    def _build(self, generator: torch.Generator) -> None:
        # One row more than there are items: what is taken first.
        self.log_next = torch.zeros(self.n_items + 1, self.n_items, device=self.device)

    def tensors(self) -> dict[str, Tensor]:
        return {"log_next": self.log_next}

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="count", run=self._count), closed_form=True)

    def _count(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        users, n = train.users(), self.n_items
        follows = np.flatnonzero(users[1:] == users[:-1])
        pairs = (train.items[follows], train.items[follows + 1])
        counts = scipy.sparse.coo_matrix((np.ones(len(follows), np.float32), pairs), (n + 1, n)).toarray()
        share = log_shares(train.counts()).exp().float().numpy()
        s = self.config.smoothing
        self.log_next.copy_(torch.from_numpy(np.log((counts + s * share) / (counts.sum(axis=1, keepdims=True) + s))))
        return {"transitions": float(len(follows))}

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        last = np.full(len(histories), self.n_items)
        some = histories.lengths > 0
        last[some] = histories.items[histories.offsets[1:][some] - 1]
        return self.log_next[torch.from_numpy(last).to(self.device)]

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        """The same for ONNX: with this method the model has the capability `OnnxGraph`."""
        last = (history >= 0).sum(dim=1, keepdim=True) - 1
        padded = F.pad(history, (0, 1), value=-1)  # a rectangle without a column has nothing to gather from
        items = padded.gather(1, last.clamp(min=0)).squeeze(1)
        return self.log_next[torch.where(last.squeeze(1) >= 0, items, self.n_items)]
