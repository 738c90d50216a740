"""The k best of all items, by scoring every one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from foldin.data import Histories
from foldin.kernels import log_total, top_k
from foldin.models import Recommender
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.lists import RankedLists
from foldin.tensors import Float, Tensor

__all__ = ["Exact", "masked_logits", "scores"]


@torch.no_grad()
def scores(model: Recommender[Any], histories: Histories) -> Float[Tensor, "users items"]:
    """log p(next item | history) in nats, normalized over the catalog; of a model without a density, scores that only rank.

    Deterministic: no dropout, no noise.

    Raises:
        ShapeError: histories over another catalog.
    """
    if model.has_likelihood:
        return torch.log_softmax(model.logits(histories, reuse=True), dim=1)
    return model.logits(histories)


@torch.no_grad()
def masked_logits(model: Recommender[Any], histories: Histories, eligible: Eligibility) -> Float[Tensor, "users items"]:
    """Scores up to a constant for each user, −∞ for items that may not be listed; the next call may reuse the memory."""
    logits = model.logits(histories, reuse=True)
    eligible.hide(logits)
    return logits


@dataclass(frozen=True)
class Exact:
    """The k best items, ties broken by item index."""

    random: ClassVar[bool] = False

    def check(self, model: Recommender[Any]) -> None:
        """Accept every model."""

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users to score at once."""
        return model.block()

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int] = ()
    ) -> RankedLists:
        """The lists of a block of users."""
        return self.order(model, masked_logits(model, histories, eligible), k)

    def order(self, model: Recommender[Any], logits: Float[Tensor, "users items"], k: int) -> RankedLists:
        """The lists of the k best of the given scores, which are −∞ for items that may not be listed."""
        return self.order_and_total(model, logits, k)[0]

    def order_and_total(
        self, model: Recommender[Any], logits: Float[Tensor, "users items"], k: int
    ) -> tuple[RankedLists, Float[Tensor, "users 1"] | None]:
        """(lists, log Σ exp of each user's scores); the second is None for a model without a density."""
        top, items = top_k(logits, k)
        total = log_total(logits, top[:, :1], items[:, :1]) if model.has_likelihood else None
        values = (top if total is None else top - total).masked_fill(items < 0, -torch.inf)
        found = RankedLists(items.cpu().numpy(), values.float().cpu().numpy(), normalized=model.has_likelihood)
        return found, total
