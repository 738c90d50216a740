"""Lists by approximate search, for catalogs in which scoring every item for every user is too slow.

An index (`item_index.py`) finds candidates, twice as many as a list has places, whose scores are then computed exactly. What may
not be listed is left out inside the search: a mask for all users by FAISS' selectors, and what a single user may not see by as
many further candidates, or by a selector of that user if they are many. `recall_against` measures the share of the exact lists
that is found.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.kernels import top_k
from foldin.models import DotProduct, PopularStart, Recommender, capability, required
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import masked_logits
from foldin.ranking.item_index import DEFAULT_INDEX, ItemIndex, build_index, fingerprint
from foldin.ranking.lists import RankedLists
from foldin.tensors import Array, Bool, Float, Float64, Int64, Tensor

__all__ = ["Approximate", "recall_against"]

_MOST_FETCHED = 2048  # the smallest of FAISS' limits on the number of neighbors
_USERS = 4096  # users to search for at once
_SCORED = 1 << 16  # vectors that are gathered at once
_PRODUCTS = 1 << 24  # products that are kept at once
_FEW, _SHARE = 5000, 16  # few items are as many, or a share of one in so many of the catalog


class Approximate:
    """The k best items that an index over the items of one model finds, with scores that only rank: the model's products.

    Where a filter leaves few items, exactly these are scored, and none is missed; where it leaves more, the effort of a search is
    divided by their share of the catalog. For users without a history, every item is scored.

    Args:
        model: the model to rank, with the capability `DotProduct`; no other model can be ranked.
        index: an index of this model, such as a run's `index`; or FAISS' description of one that is built now: `Flat` (exact),
            `HNSW32,SQ8`, `IVF256,Flat`, `IVF256,PQ16`, …
        effort: effort of a search: `efSearch` of HNSW, `nprobe` of IVF; that of the index if None.
        exact_below: largest number of items that a filter leaves and that are all scored; a sixteenth of the catalog if None,
            and at least 5,000.

    Raises:
        ConfigError: the model has no inner product, FAISS does not know the description, or the index is that of another model.
        MissingExtraError: FAISS is not installed.
    """

    random: ClassVar[bool] = False

    def __init__(
        self,
        model: Recommender[Any],
        index: ItemIndex | str = DEFAULT_INDEX,
        *,
        effort: int | None = None,
        exact_below: int | None = None,
    ) -> None:
        self._searched = required(model, DotProduct, "an index searches dot products of queries and item vectors")
        if isinstance(index, str):
            index = build_index(model, index, effort=effort)
        elif index.n_items != model.n_items or index.fingerprint != fingerprint(model):
            raise ConfigError("the index was built from another model, or from this one before it was trained further")
        elif effort is not None and index.effort is None:
            raise ConfigError(f"index {index.description!r} has no setting of effort")
        self.model: Recommender[Any] = model
        self.index: ItemIndex = index
        self.effort: int | None = index.effort if effort is None else effort
        self._exact_below = max(_FEW, model.n_items // _SHARE) if exact_below is None else exact_below
        self._weight, self._bias = (one.detach() for one in self._searched.item_vectors())

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
        found = RankedLists(
            np.full((len(histories), k), -1, dtype=np.int64), np.full((len(histories), k), -np.inf, dtype=np.float32)
        )
        told = histories.lengths > 0
        fallback = capability(model, PopularStart)
        if fallback is not None:
            told &= ~fallback.given_popularity(histories)
        rest = np.flatnonzero(~told)
        for start in range(0, len(rest), model.block()):
            at = rest[start : start + model.block()]
            top, best = top_k(masked_logits(model, histories.select(at), eligible.select(at)), k)
            found.items[at], found.scores[at] = best.cpu().numpy(), top.cpu().numpy()
        at = np.flatnonzero(told)
        if len(at):
            queries = self._searched.queries(histories.select(at))
            found.items[at], products = self._lists(queries, eligible.select(at), k)
            found.scores[at] = products if model.temperature is None else products / model.temperature
        return found

    def _lists(
        self, queries: Float[Tensor, "users dim"], eligible: Eligibility, k: int
    ) -> tuple[Int64[Array, "users k"], Float64[Array, "users k"]]:
        """(items, scores) of the lists of users with a history; those of one user do not depend on the others."""
        allowed = None if eligible.barred is None else ~eligible.barred
        left = eligible.n_items if allowed is None else int(allowed.sum())
        others = replace(eligible, barred=None)
        if allowed is not None and left <= self._exact_below:
            return self._few(queries, np.flatnonzero(allowed), others, k)
        items = np.full((len(queries), k), -1, dtype=np.int64)
        scores = np.full((len(queries), k), -np.inf)
        # In powers of two, for few searches.
        needed = self.index.candidates * k
        fetched = 2 ** np.ceil(np.log2(needed + others.hidden())).astype(np.int64)
        alone = fetched > min(_MOST_FETCHED, left)
        for count in np.unique(fetched[~alone]):
            at = np.flatnonzero(~alone & (fetched == count))
            items[at], scores[at] = self._search(queries[at], others.select(at), k, int(count), allowed)
        for user in np.flatnonzero(alone):
            at = np.array([user])
            own = ~eligible.select(at).mask()[0].numpy()
            if int(own.sum()) <= self._exact_below or needed > _MOST_FETCHED:
                items[at], scores[at] = self._few(queries[at], np.flatnonzero(own), None, k)
            else:
                items[at], scores[at] = self._search(queries[at], None, k, needed, own)
        return items, scores

    def _few(
        self,
        queries: Float[Tensor, "users dim"],
        allowed: Int64[Array, " allowed"],
        eligible: Eligibility | None,
        k: int,
    ) -> tuple[Int64[Array, "users k"], Float64[Array, "users k"]]:
        """(items, scores) of the k best of the allowed items, all of which are scored, without what `eligible` excludes."""
        items, scores = np.full((len(queries), k), -1, dtype=np.int64), np.full((len(queries), k), -np.inf)
        at, step = torch.from_numpy(allowed).to(self._weight.device), max(1, _PRODUCTS // max(1, len(allowed)))
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            asked = queries[part].float()
            products = asked.new_empty(len(asked), len(allowed))
            for first in range(0, len(allowed), _SCORED):
                some = at[first : first + _SCORED]
                products[:, first : first + _SCORED] = asked @ self._weight[some].float().t() + self._bias[some].float()
            if eligible is not None:
                users, hidden = eligible.rows(start, start + step).pairs()
                here = np.isin(hidden, allowed)
                place = np.searchsorted(allowed, hidden[here])
                products[torch.from_numpy(users[here]), torch.from_numpy(place)] = -torch.inf
            top, best = top_k(products, k)
            items[part], scores[part] = np.append(allowed, -1)[best.cpu().numpy()], top.cpu().numpy()
        return items, scores

    def _search(
        self,
        queries: Float[Tensor, "users dim"],
        eligible: Eligibility | None,
        k: int,
        count: int,
        allowed: Bool[Array, " items"] | None,
    ) -> tuple[Int64[Array, "users k"], Float64[Array, "users k"]]:
        """(items, scores) of the k best of `count` allowed candidates of each user, without what `eligible` excludes."""
        effort, spare = self.effort, count - self.index.candidates * k
        if effort is not None and allowed is not None:  # of what a search meets, only this share counts
            effort = int(np.ceil(effort / float(allowed.mean())))
        found = self.index.search(queries, count, spare=spare, effort=effort, allowed=allowed)
        if eligible is not None:
            users, hidden = eligible.pairs()
            pairs = np.arange(len(queries))[:, None] * eligible.n_items + found
            found[np.isin(pairs, users * eligible.n_items + hidden)] = -1
        found.sort(axis=1)  # of equal scores, the lower item is listed first
        items, scores = np.empty((len(queries), k), dtype=np.int64), np.empty((len(queries), k))
        step = max(1, _SCORED // count)
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            candidates = torch.from_numpy(found[part]).to(self._weight.device)
            top, place = top_k(self._scores(queries[part], candidates), k)
            listed = candidates.gather(1, place.clamp(min=0)).masked_fill(place < 0, -1)
            items[part], scores[part] = listed.cpu().numpy(), top.cpu().numpy()
        return items, scores

    def _scores(
        self, queries: Float[Tensor, "users dim"], candidates: Int64[Tensor, "users candidates"]
    ) -> Float[Tensor, "users candidates"]:
        """The model's products for candidates of each user; −∞ for −1."""
        at = candidates.clamp(min=0)
        products = torch.einsum("ucd,ud->uc", self._weight[at].float(), queries.float()) + self._bias[at].float()
        return products.masked_fill(candidates < 0, -torch.inf)


def recall_against(found: RankedLists, exact: RankedLists) -> Float64[Array, " users"]:
    """Each user's share of the exact list that was found, in [0, 1]; 1 where the exact list is empty."""
    here = (exact.items[:, :, None] == found.items[:, None, :]).any(axis=2) & (exact.items >= 0)
    total = (exact.items >= 0).sum(axis=1)
    return np.where(total == 0, 1.0, here.sum(axis=1) / np.maximum(total, 1))
