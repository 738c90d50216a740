"""SANSA: EASE for large catalogs, by a sparse factor of the inverse.

    B = I − P diag(1 / diag P),   P = WᵀW ≈ (XᵀX + λ I)⁻¹,   scores = x B

W is triangular in the order of popularity, with at most k entries besides the diagonal for each item: its neighbors among the
more popular items. B is never made, since few of its entries may be 0: scores are two sparse products, x − ((x Wᵀ) W) diag(1 /
diag P). No matrix of items by items exists in training either (`_sparse_gram.py`).

With `oldest` below 1, the entries of a row of X rise linearly from `oldest` to 1 for the newest event, both in training and in
the x that is scored, as in T-DiffRec (wang2023, section 3.6).

The weight of an event multiplies its entry in X and in the x that is scored; a dislike has a negative entry.

Source: spisak2023 (the model); schafer2021, theorem 2.1 (the factor).

Departures from the paper: the factor. The authors factorize XᵀX + λ I incompletely and invert the factor L approximately, by
residual iterations; both steps drop small entries. Here each row of W is the best for its entries, without L
(`_sparse_factor.py`). The regressions of items on their neighbors of steck2019b have such entries in B itself. On MovieLens-1M
(`ml-1m-strong`, 3,416 items) with 50 and 100 entries an item, NDCG@100 of the validation users is .458 and .461 by this W, .456
and .459 by the exact inverse of L without all but its largest entries, which is what the authors' steps approximate, .417 and
.435 by regressions on neighbors, and .461 by EASE: the best of five λ, of two for those that are not built here. A history for
which all scores would be 0, since none of its items has weights, gets the training counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse
import torch

from foldin.data import Histories
from foldin.errors import FitError
from foldin.memory import require_memory
from foldin.models.contract import Recommender
from foldin.models.evidence import SignedRows, summed_rows
from foldin.models.linear._sparse_factor import CANDIDATES, factor_bytes, factor_rows
from foldin.models.linear._sparse_gram import sparse_gram, sparse_gram_bytes
from foldin.models.recency import oldest_setting
from foldin.models.start import PopularStart
from foldin.tensors import Array, Bool, Float, Float32, Tensor
from foldin.training import Config, FullPass, Range, Trainer, setting
from foldin.workers import group_of

__all__ = ["SANSA", "SANSAConfig"]

_KEPT = 4  # entries of XᵀX that are kept for an item outside of the head, for each neighbor that is tried
_SPARSE = (
    0.1  # share of entries below which a product of a sparse matrix with a sparse one is faster than with a dense one
)


@dataclass(frozen=True, kw_only=True)
class SANSAConfig(Config):
    regularization: float = setting(500.0, "Ridge penalty, λ.", above=0, range=Range(1.0, 10_000.0, log=True))
    n_neighbors: int = setting(
        50,
        "Entries that the factor of the inverse has for each item besides the diagonal, k.",
        low=1,
        range=Range(10, 400, log=True),
    )
    oldest: float = oldest_setting()


class SANSA(SignedRows, PopularStart, Recommender[SANSAConfig]):
    """Scalable approximate nonsymmetric autoencoder."""

    Config = SANSAConfig
    has_likelihood = False
    summary = "EASE for large catalogs, by a sparse factor of the inverse (after Spišák et al. 2023)"

    smaller = (
        "try fewer neighbors (--set n_neighbors), leave out rare items (--item-events), or try elsa, als or multvae"
    )

    def _build(self, generator: torch.Generator) -> None:
        # Row i holds the entries of row i of W besides the diagonal; if there are fewer than k, the rest is item i itself with 0.
        width = min(self.config.n_neighbors, max(1, self.n_items - 1))
        # Besides the tensors, the matrices by which users are folded in have two copies of W.
        require_memory(24.0 * self.n_items * width, f"{self._called()} with {width:,} neighbors each", self.smaller)
        self.log_share = torch.zeros(self.n_items)
        self.neighbors = torch.arange(self.n_items, dtype=torch.int32).unsqueeze(1).repeat(1, width)
        self.weights = torch.zeros(self.n_items, width)
        self.diagonal = torch.ones(self.n_items)
        self._matrices: _Matrices | None = None

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return Trainer(FullPass(name="factorize", run=partial(_factorize, self)), closed_form=True)

    def tensors(self) -> dict[str, Tensor]:
        return {
            "neighbors": self.neighbors,
            "weights": self.weights,
            "diagonal": self.diagonal,
            "log_share": self.log_share,
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        super().load_state(state)
        self._matrices = None

    def training_bytes(self, train: Histories) -> float:
        width = self.weights.shape[1]
        solving = 24.0 * self.n_items * width + factor_bytes(self.n_items, width)
        return sparse_gram_bytes(train, _KEPT * CANDIDATES * width) + solving

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        if self._matrices is None:
            self._matrices = _Matrices.of(self)
        return self._spoken(torch.from_numpy(self._matrices.scores(summed_rows(histories, self.config.oldest)))).to(
            self.device
        )

    def speaking(self) -> Bool[Array, " items"]:
        has = self.weights.numpy() != 0.0
        found: Bool[Array, " items"] = np.bincount(self.neighbors.numpy()[has], minlength=self.n_items) > 0
        return found | has.any(axis=1)


@dataclass(frozen=True, eq=False)
class _Matrices:
    """What scores are computed with.

    Args:
        factor: W, by rows.
        transposed: Wᵀ, by rows.
        scale: 1 / diag P.
        speaking: 1 for an item with entries in W besides the diagonal, 0 for others.
    """

    factor: scipy.sparse.csr_array
    transposed: scipy.sparse.csr_array
    scale: Float32[Array, " items"]
    speaking: Float32[Array, " items"]

    @classmethod
    def of(cls, model: SANSA) -> "_Matrices":
        n_items, width = model.weights.shape
        offsets = np.arange(n_items + 1, dtype=np.int64) * width
        diagonal = scipy.sparse.diags_array(model.diagonal.numpy(), format="csr")
        off = scipy.sparse.csr_array(
            (model.weights.numpy().reshape(-1), model.neighbors.numpy().reshape(-1), offsets), shape=(n_items, n_items)
        )
        factor = off + diagonal
        squares = np.bincount(factor.indices, factor.data.astype(np.float64) ** 2, minlength=n_items)
        return cls(
            factor=factor,
            transposed=factor.T.tocsr(),
            scale=(1.0 / squares).astype(np.float32),
            speaking=model.speaking().astype(np.float32),
        )

    def scores(self, rows: scipy.sparse.csr_matrix) -> Float32[Array, "users items"]:
        """x B of each user."""
        # An item without weights has B = 0; its x would only add what rounding leaves of its entry of the diagonal.
        x = scipy.sparse.csr_array((rows.data * self.speaking[rows.indices], rows.indices, rows.indptr), rows.shape)
        z = x @ self.transposed
        if z.nnz < _SPARSE * z.shape[0] * z.shape[1]:
            predicted = (z @ self.factor).toarray()
        else:
            predicted = np.ascontiguousarray((self.transposed @ z.T.toarray()).T)
        predicted *= -self.scale
        predicted += x.toarray()
        return predicted


def _factorize(model: SANSA, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
    group, config, width = group_of(generator), model.config, model.weights.shape[1]
    model.learn_shares(train, group)
    gram = sparse_gram(
        train,
        partial(summed_rows, oldest=config.oldest),
        regularization=config.regularization,
        n_kept=_KEPT * CANDIDATES * width,
        group=group,
    )
    part = group.part(model.n_items)
    neighbors, weights, diagonal = factor_rows(gram, part.start, part.stop, width)
    if not (np.isfinite(weights).all() and np.isfinite(diagonal).all()):
        raise FitError(
            f"SANSA: regularization = {config.regularization:g} is too small for this log: its matrix is singular"
        )
    order = torch.from_numpy(gram.order)
    own = gram.order[part, None]
    items = np.where(neighbors < 0, own, gram.order[neighbors]).astype(np.int32)
    for tensor, rows in ((model.neighbors, items), (model.weights, weights), (model.diagonal, diagonal)):
        tensor[order] = group.gather(torch.from_numpy(rows), model.n_items)
    model._matrices = None
    return {"entries": float(np.count_nonzero(model.weights.numpy()) / model.n_items)}
