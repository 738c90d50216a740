"""SLIM: sparse, non-negative weights of items on items, an elastic net of each item on all others.

    min ½ ‖X − X W‖² + β/2 ‖W‖² + λ ‖W‖₁   where W ≥ 0 and diag W = 0,   scores = x W

Each column of W is a problem of its own, and all of them depend on the log by XᵀX alone. The penalty λ sets most weights to zero.
Weights are updated in turn, all columns of a block at once (`_coordinate_descent.py`), until no update would change one by more
than 10⁻⁵: the conditions of Karush, Kuhn and Tucker hold up to that.

With `oldest` below 1, the entries of a row of X rise linearly from `oldest` to 1 for the newest event, both in training and in
the x that is scored, as in T-DiffRec (wang2023, section 3.6).

The weight of an event multiplies its entry in X and in the x that is scored; a dislike has a negative entry.

Source: ning2011, eq. 4 (the problem); friedman2010, section 2.2 (descent by covariances).

Departures from the paper: no preselection of neighbors; weights are stored with their zeros; a history for which all scores would
be 0, since none of its items has weights, gets the training counts, and other items without a score follow in their order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.models.capability import OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.evidence import SignedRows, signed_rows
from foldin.models.linear._coordinate_descent import MOST_SWEEPS, descent_bytes, elastic_net
from foldin.models.linear._gram import gram_bytes, item_gram
from foldin.models.linear._zero_diagonal import SMALLER, item_scores, no_weights, padded_item_scores
from foldin.models.recency import oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Int, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import group_of

__all__ = ["SLIM", "SLIMConfig"]

# Scale of the scores of items without a weight to any item of an informative history: below all others, in order of popularity.
_LAST = 1e-25


@dataclass(frozen=True, kw_only=True)
class SLIMConfig(Config):
    regularization: float = setting(200.0, "Ridge penalty, β.", above=0, range=Range(1.0, 10_000.0, log=True))
    sparsity: float = setting(
        10.0,
        "Penalty on the sum of the weights, λ, which makes them sparse.",
        low=0,
        range=Range(0.1, 1000.0, log=True),
    )
    oldest: float = oldest_setting()


class SLIM(OnnxGraph, SignedRows, PopularStart, Recommender[SLIMConfig]):
    """Sparse linear method."""

    Config = SLIMConfig
    has_likelihood = False
    summary = "sparse non-negative weights of items on items, by coordinate descent (Ning & Karypis 2011)"

    smaller = SMALLER

    def _build(self, generator: torch.Generator) -> None:
        self.weights = no_weights(self.n_items, self._called(), self.device)
        self.log_share = torch.zeros(self.n_items, device=self.device)

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="descend", run=partial(_descend, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        return {"weights": self.weights, "log_share": self.log_share}

    def training_bytes(self, train: Histories) -> float:
        return max(4.0 * self.n_items**2 + descent_bytes(self.n_items), gram_bytes(train))

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self._in_order(item_scores(self.weights, histories, self.config.oldest))

    def speaking(self) -> Bool[Array, " items"]:
        return self.weights.any(dim=1).cpu().numpy()

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        return self._in_order(padded_item_scores(self.weights, history, self.config.oldest))

    def _in_order(self, scores: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        """The scores, with the order of popularity among those that are zero."""
        informative = (scores != 0).any(dim=1, keepdim=True)
        return torch.where(informative, scores + _LAST * self.log_share.exp(), self._start())


def _descend(model: SLIM, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    model.learn_shares(train, group_of(generator))
    config = model.config
    gram = item_gram(train, model.device, partial(signed_rows, oldest=config.oldest), group_of(generator))
    sweeps = elastic_net(gram, model.weights, ridge=config.regularization, lasso=config.sparsity)
    if sweeps is None:
        raise FitError(
            f"SLIM: {MOST_SWEEPS:,} sweeps of coordinate descent do not reach the minimum; "
            f"regularization = {config.regularization:g} or sparsity = {config.sparsity:g} is too small for this log"
        )
    return {"sweeps": float(sweeps)}
