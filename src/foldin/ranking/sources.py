"""Where rules find the candidates of a list: in the scores of all items, or in the lists of a search."""

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.kernels import top_k
from foldin.models import Recommender
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import masked_logits
from foldin.ranking.lists import RankedLists
from foldin.ranking.ranker import Ranker
from foldin.tensors import Array, Float, Float64, Int64, Tensor

__all__ = ["Pools", "Scored", "Searched", "Source"]

# (items, keys, scores) of candidates, best key first: the key orders them, and the score is the model's. −1 and −∞ for none.
Pools = tuple[Int64[Array, "users pool"], Float64[Array, "users pool"], Float64[Array, "users pool"]]
Weights = Float64[Array, " items"] | None


@runtime_checkable
class Source(Protocol):
    """Candidates for the lists of a block of users."""

    normalized: bool  # whether scores are log-probabilities
    misses: ClassVar[bool]  # whether fewer candidates than requested may be returned though there are more

    def pools(self, users: Int64[Array, " chosen"] | None, weights: Weights, size: int) -> Pools:
        """The best candidates by score and log-weight, for some users of the block, or for all if None."""

    def scores_of(self, items: Int64[Array, " items"]) -> Float64[Array, "users items"]:
        """The model's scores of some items, −∞ where an item may not be listed."""


class Scored:
    """Candidates by the scores of all items: none is missed.

    Args:
        scores: scores up to a constant for each user, −∞ for items that may not be listed.
        total: this constant, the logarithm of the sum of exponentials; None for scores that only rank.
        temperature: divisor of the scores and log-weights in a key.
        noise: noise that is added to a key; None for none.
    """

    misses: ClassVar[bool] = False

    def __init__(
        self,
        scores: Float[Tensor, "users items"],
        total: Float[Tensor, "users 1"] | None,
        *,
        temperature: float = 1.0,
        noise: Float[Tensor, "users items"] | None = None,
    ) -> None:
        self._scores, self._total, self.normalized = scores, total, total is not None
        self._temperature, self._noise = temperature, noise

    def pools(self, users: Int64[Array, " chosen"] | None, weights: Weights, size: int) -> Pools:
        """The best candidates; see `Source`."""
        at = slice(None) if users is None else torch.from_numpy(users).to(self._scores.device)
        scores = self._scores[at]
        keys = scores
        if weights is not None:
            keys = keys + torch.from_numpy(weights).to(scores)
        if self._noise is not None:
            keys = keys / self._temperature + self._noise[at]
        best, items = top_k(keys, size)
        own = scores.gather(1, items.clamp(min=0))
        if self._total is not None:
            own = own - self._total[at]
        own = own.masked_fill(items < 0, -torch.inf).float()
        return _as_numpy(items), _as_numpy(best.double()), _as_numpy(own.double())

    def scores_of(self, items: Int64[Array, " items"]) -> Float64[Array, "users items"]:
        """The scores of some items; see `Source`."""
        found = self._scores[:, torch.from_numpy(items).to(self._scores.device)]
        return _as_numpy((found if self._total is None else found - self._total).float().double())


class Searched:
    """Candidates by the lists of a ranker that searches: log-weights reorder what the ranker finds and cannot add to it.

    Args:
        ranker: ranker without random draws.
        model, histories, eligible: what it ranks.
        k: length of the lists without rules.

    Raises:
        ConfigError: the lists of the ranker are made by rules already, and not in the order of their scores.
    """

    misses: ClassVar[bool] = True

    def __init__(
        self, ranker: Ranker, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int
    ) -> None:
        self._ranker, self._model, self._histories, self._eligible = ranker, model, histories, eligible
        self._of_all: dict[int, RankedLists] = {}
        first = self._found(None, k)
        if first.price is not None:
            raise ConfigError(
                f"rules cannot be applied to lists of {type(ranker).__name__}, which are made by rules; state all rules together"
            )
        self.normalized = first.normalized

    def _found(self, users: Int64[Array, " chosen"] | None, size: int) -> RankedLists:
        """The lists of some users; those of the whole block are kept, since all rules look at them."""
        if users is not None:
            histories, eligible = self._histories.select(users), self._eligible.select(users)
            return self._ranker.rank(self._model, histories, eligible, size, ())
        if size not in self._of_all:
            self._of_all[size] = self._ranker.rank(self._model, self._histories, self._eligible, size, ())
        return self._of_all[size]

    def pools(self, users: Int64[Array, " chosen"] | None, weights: Weights, size: int) -> Pools:
        """The best candidates; see `Source`."""
        found = self._found(users, size)
        items = found.items.astype(np.int64)
        scores = np.where(items < 0, -np.inf, found.scores).astype(np.float64)
        if weights is None:
            return items, scores, scores
        keys = scores + weights[np.maximum(items, 0)]
        order = np.argsort(-keys, axis=1, kind="stable")
        ordered = [np.take_along_axis(one, order, axis=1) for one in (items, keys, scores)]
        return ordered[0], ordered[1], ordered[2]

    def scores_of(self, items: Int64[Array, " items"]) -> Float64[Array, "users items"]:
        """The scores of some items, for which all items are scored; see `Source`."""
        found = np.empty((len(self._histories), len(items)))
        step, at = self._model.block(), torch.from_numpy(items).to(self._model.device)
        for start in range(0, len(found), step):
            part = self._histories.rows(start, min(start + step, len(found)))
            scores = masked_logits(self._model, part, self._eligible.rows(start, start + step))
            if self.normalized:
                scores = torch.log_softmax(scores, dim=1)
            found[start : start + step] = _as_numpy(scores[:, at].double())
        return found


def _as_numpy(values: Tensor) -> Array:
    return values.detach().cpu().numpy()
