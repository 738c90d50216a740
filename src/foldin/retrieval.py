"""Lists by approximate search: for catalogues where scoring every item for everybody is too slow.

A model whose last layer is an inner product, s(u, i) = ⟨q_u, w_i⟩ + b_i, is searched by FAISS for the vectors [w_i, b_i] with
the query [q_u, 1]. What is lost against the exact list is measured, not assumed: `recall_against`.
"""

import re
from typing import Any

import numpy as np
import torch

from foldin.blocks import top_k
from foldin.data import Histories, Indices
from foldin.errors import ConfigError, MissingExtraError
from foldin.models import InnerProduct, PopularStart, Recommender, TopK
from foldin.tensors import Array, Float64

__all__ = ["Index", "recall_against"]

_MOST_FETCHED = 2048  # of FAISS' own limits on the number of neighbours, the smallest
# Sizes of which FAISS ends the process instead of raising an error.
_ENDLESS = re.compile(r"[A-Za-z]0+(?!\d)|HNSW0*1(?!\d)")
_PEOPLE = 4096  # searched for at once


class Index:
    """A model with a FAISS index over its items.

    Args:
        model: one that is an `InnerProduct`.
        factory: FAISS' own description of an index: `Flat` (exact), `HNSW32`, `IVF256,Flat`, `IVF256,PQ16`, …
        effort: how far a search goes: `efSearch` of HNSW, `nprobe` of IVF; FAISS' default when None.

    Raises:
        ConfigError: a model without an inner product, or a description that FAISS does not know.
        MissingExtraError: FAISS is not installed.
    """

    def __init__(self, model: Recommender, factory: str = "HNSW32", *, effort: int | None = None) -> None:
        if not isinstance(model, InnerProduct):
            raise ConfigError(f"{type(model).__name__} has no inner product to search; see foldin.models.InnerProduct")
        try:
            import faiss
        except ImportError as error:
            raise MissingExtraError("faiss-cpu", "faiss", "approximate search") from error
        if _ENDLESS.search(factory):
            raise ConfigError(
                f"index {factory!r}: no part of an index has a size of 0, and HNSW has at least 2 neighbors"
            )
        self.model: Recommender = model
        weight, bias = model.item_vectors()
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

    def recommend(
        self,
        histories: Histories,
        k: int,
        *,
        exclude_seen: bool = True,
        allow: Indices | None = None,
        deny: Indices | None = None,
    ) -> TopK:
        """The k best items that the index finds; scores up to a constant a person, which only rank.

        More than k are fetched, so that k are left without those seen and denied. For people for whom that is more than
        an index is good for (a long history, a short `allow`), and for those with no history, every item is scored.
        """
        model = self.model
        assert isinstance(model, InnerProduct)
        model._check(histories)
        k, banned = model._places(k), model._banned(allow, deny)
        fetched = k + len(banned) + (histories.lengths if exclude_seen else np.zeros(len(histories), np.int64))
        told = histories.lengths > 0
        if isinstance(model, PopularStart):
            told &= ~model.given_popularity(histories)
        searched = told & (fetched <= min(_MOST_FETCHED, model.n_items))
        lists = np.full((len(histories), k), -1, dtype=np.int64)
        scores = np.full((len(histories), k), -np.inf, dtype=np.float32)
        people = np.flatnonzero(searched)
        for start in range(0, len(people), _PEOPLE):
            at = people[start : start + _PEOPLE]
            part = histories.select(at)
            queries = model.queries(part)
            asked = torch.cat((queries, queries.new_ones(len(part), 1)), dim=1).float().cpu().numpy()
            try:
                found_scores, found = self._index.search(asked, int(fetched[at].max()))
            except RuntimeError as error:
                raise ConfigError(f"the index cannot be searched: {str(error).splitlines()[-1]}") from error
            barred = np.zeros((len(part), model.n_items + 1), dtype=bool)  # the last column is FAISS' "none", −1
            barred[:, banned] = True
            barred[:, -1] = True
            if exclude_seen:
                barred[part.users(), part.items] = True
            keep = ~np.take_along_axis(barred, found, axis=1)
            # The first k that are kept, in their order.
            first = np.argsort(~keep, axis=1, kind="stable")[:, :k]
            kept = np.take_along_axis(keep, first, axis=1)
            lists[at] = np.where(kept, np.take_along_axis(found, first, axis=1), -1)
            scores[at] = np.where(kept, np.take_along_axis(found_scores, first, axis=1), -np.inf)
        rest = np.flatnonzero(~searched)
        for start in range(0, len(rest), model.block()):
            at = rest[start : start + model.block()]
            part = histories.select(at)
            top, items = top_k(model.masked_scores(part, seen=part if exclude_seen else None, banned=banned), k)
            lists[at], scores[at] = items.cpu().numpy(), top.cpu().numpy()
        return TopK(lists, scores)


def recall_against(found: TopK, exact: TopK) -> Float64[Array, " users"]:
    """Each person's share of the exact list that was found, in [0, 1]; 1 where the exact list is empty."""
    here = (exact.items[:, :, None] == found.items[:, None, :]).any(axis=2) & (exact.items >= 0)
    total = (exact.items >= 0).sum(axis=1)
    return np.where(total == 0, 1.0, here.sum(axis=1) / np.maximum(total, 1))
