"""Lists by approximate search, for catalogs in which scoring every item for every user is too slow.

A model whose last layer is an inner product, s(u, i) = ⟨q_u, w_i⟩ + b_i, is searched by FAISS for the vectors [w_i, b_i] with
the query [q_u, 1]. `recall_against` measures the share of the exact lists that is found.
"""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError, MissingExtraError
from foldin.kernels import top_k
from foldin.models import DotProduct, PopularStart, Recommender, capability, required
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import masked_logits
from foldin.ranking.lists import RankedLists
from foldin.tensors import Array, Float64, Int64

__all__ = ["Approximate", "recall_against"]

_MOST_FETCHED = 2048  # the smallest of FAISS' limits on the number of neighbors
# Sizes at which FAISS ends the process instead of raising an error.
_ENDLESS = re.compile(r"[A-Za-z]0+(?!\d)|HNSW0*1(?!\d)")
_USERS = 4096  # users to search for at once


class Approximate:
    """The k best items that an index over the items of one model finds, with scores that only rank.

    More than k items are fetched, so that k remain without those that may not be listed. For users for whom that would be too
    many for an index (because of a long history or a short `allow`), and for users without a history, every item is scored.

    Args:
        model: the model to rank, with the capability `DotProduct`; no other model can be ranked.
        factory: FAISS' description of an index: `Flat` (exact), `HNSW32`, `IVF256,Flat`, `IVF256,PQ16`, …
        effort: effort of a search: `efSearch` of HNSW, `nprobe` of IVF; FAISS' default if None.

    Raises:
        ConfigError: the model has no inner product, or FAISS does not know the description.
        MissingExtraError: FAISS is not installed.
    """

    random: ClassVar[bool] = False

    def __init__(self, model: Recommender[Any], factory: str = "HNSW32", *, effort: int | None = None) -> None:
        self._searched = required(model, DotProduct, "an index searches dot products of queries and item vectors")
        try:
            import faiss
        except ImportError as error:
            raise MissingExtraError("faiss-cpu", "faiss", "approximate search") from error
        if _ENDLESS.search(factory):
            raise ConfigError(
                f"index {factory!r}: no part of an index has a size of 0, and HNSW has at least 2 neighbors"
            )
        self.model: Recommender[Any] = model
        weight, bias = self._searched.item_vectors()
        vectors = torch.cat((weight, bias.unsqueeze(1)), dim=1).detach().cpu().numpy().astype(np.float32)
        try:
            self._index: Any = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
            self._index.train(vectors)
            self._index.add(vectors)
        except RuntimeError as error:
            raise ConfigError(f"index {factory!r}: {str(error).splitlines()[-1]}") from error
        if effort is not None:
            parameter = "efSearch" if factory.startswith("HNSW") else "nprobe"
            try:
                faiss.ParameterSpace().set_index_parameter(self._index, parameter, effort)
            except RuntimeError as error:
                raise ConfigError(f"index {factory!r} has no setting of effort") from error

    def check(self, model: Recommender[Any]) -> None:
        """Check that the model is the one that the index was built from.

        Raises:
            ConfigError: it is another model.
        """
        if model is not self.model:
            raise ConfigError("an index can only rank the model that it was built from")

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users to search for at once."""
        return _USERS

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int] = ()
    ) -> RankedLists:
        """The lists of a block of users."""
        fetched = k + eligible.hidden()
        # In powers of two, for few searches; what is fetched for one user does not depend on the other users.
        fetched = np.minimum(2 ** np.ceil(np.log2(fetched)).astype(np.int64), max(model.n_items, k))
        told = histories.lengths > 0
        fallback = capability(model, PopularStart)
        if fallback is not None:
            told &= ~fallback.given_popularity(histories)
        searched = told & (fetched <= min(_MOST_FETCHED, model.n_items))
        items = np.full((len(histories), k), -1, dtype=np.int64)
        scores = np.full((len(histories), k), -np.inf, dtype=np.float32)
        for count in np.unique(fetched[searched]):
            at = np.flatnonzero(searched & (fetched == count))
            items[at], scores[at] = self._search(histories.select(at), eligible.select(at), k, int(count))
        rest = np.flatnonzero(~searched)
        for start in range(0, len(rest), model.block()):
            at = rest[start : start + model.block()]
            top, best = top_k(masked_logits(model, histories.select(at), eligible.select(at)), k)
            items[at], scores[at] = best.cpu().numpy(), top.cpu().numpy()
        return RankedLists(items, scores)

    def _search(
        self, histories: Histories, eligible: Eligibility, k: int, count: int
    ) -> tuple[Int64[Array, "users k"], Float64[Array, "users k"]]:
        """(items, scores) of the k best items that may be listed, among the `count` nearest neighbors of each user."""
        queries = self._searched.queries(histories)
        asked = torch.cat((queries, queries.new_ones(len(histories), 1)), dim=1).float().cpu().numpy()
        try:
            values, found = self._index.search(asked, count)
        except RuntimeError as error:
            raise ConfigError(f"the index cannot be searched: {str(error).splitlines()[-1]}") from error
        users, items = eligible.pairs()
        hidden = np.isin(
            np.arange(len(histories))[:, None] * eligible.n_items + found, users * eligible.n_items + items
        )
        keep = (found >= 0) & ~hidden  # −1 is FAISS' "none"
        if eligible.barred is not None:
            keep &= ~eligible.barred[found]
        first = np.argsort(~keep, axis=1, kind="stable")[:, :k]  # the first k that are kept, in their order
        kept = np.take_along_axis(keep, first, axis=1)
        listed = np.where(kept, np.take_along_axis(found, first, axis=1), -1)
        return listed, np.where(kept, np.take_along_axis(values, first, axis=1), -np.inf).astype(np.float64)


def recall_against(found: RankedLists, exact: RankedLists) -> Float64[Array, " users"]:
    """Each user's share of the exact list that was found, in [0, 1]; 1 where the exact list is empty."""
    here = (exact.items[:, :, None] == found.items[:, None, :]).any(axis=2) & (exact.items >= 0)
    total = (exact.items >= 0).sum(axis=1)
    return np.where(total == 0, 1.0, here.sum(axis=1) / np.maximum(total, 1))
