"""Lists by beam search over the items' tokens, for catalogs that are too large to score every item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import ItemTokens, Recommender, required
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import Exact
from foldin.ranking.lists import RankedLists

__all__ = ["Beam"]

_ENTRIES = 1 << 23  # most entries (branches of all paths, and items) of a block of users


@dataclass(frozen=True)
class Beam:
    """Beam search with at least k paths for users with a history; for users without one, every item is scored.

    Items that may not be listed are excluded within the search. A beam may miss items of the exact list; the probability of
    each item that it finds is exact.

    Args:
        width: minimum number of paths kept at each level.

    Raises:
        ConfigError: a width below 1.
    """

    random: ClassVar[bool] = False

    width: int = 100

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"a beam has at least one path, not {self.width}")

    def check(self, model: Recommender[Any]) -> None:
        """Check that the model has item tokens and no temperature.

        Raises:
            ConfigError: it has no item tokens, or it has a temperature.
        """
        self._tokens(model)
        if model.temperature is not None:
            raise ConfigError(
                f"{type(model).__name__}: a beam has no sum over all items, which its temperature needs; rank it exactly"
            )

    @staticmethod
    def _tokens(model: Recommender[Any]) -> ItemTokens:
        return required(model, ItemTokens, "a beam searches items that have tokens")

    def _paths(self, model: Recommender[Any], k: int) -> int:
        return min(max(self.width, k), model.n_items)

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users to search for at once."""
        entries = self._paths(model, k) * self._tokens(model).branching() + model.n_items
        return int(min(1024, max(1, _ENTRIES // entries)))

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int] = ()
    ) -> RankedLists:
        """The lists of a block of users."""
        items = np.full((len(histories), k), -1, dtype=np.int64)
        scores = np.full((len(histories), k), -np.inf, dtype=np.float32)
        nobody, known = np.flatnonzero(histories.lengths == 0), np.flatnonzero(histories.lengths)
        if len(nobody):
            exact = Exact().rank(model, histories.select(nobody), eligible.select(nobody), k)
            items[nobody], scores[nobody] = exact.items, exact.scores
        if len(known):
            some = eligible.select(known)
            users, hidden = (torch.from_numpy(one).to(model.device) for one in some.pairs())
            allowed = torch.ones(model.n_items, dtype=torch.bool, device=model.device)
            if some.barred is not None:
                allowed[torch.from_numpy(some.barred).to(model.device)] = False
            logp, best = self._tokens(model).beam_search(
                histories.select(known), self._paths(model, k), allowed=allowed, seen=(users, hidden)
            )
            count = min(k, best.shape[1])
            items[known, :count] = best[:, :count].cpu().numpy()
            scores[known, :count] = logp[:, :count].cpu().numpy()
        return RankedLists(items, scores, normalized=True)
