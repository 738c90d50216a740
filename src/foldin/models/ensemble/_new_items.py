"""New items in an ensemble: its experts over a larger catalog, and those that cannot take new items over their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from foldin.data import Catalog, Histories
from foldin.models.capability import capability
from foldin.models.contract import Recommender
from foldin.models.ensemble._experts import of_expert
from foldin.models.extends_items import ExtendsItems, KeepsForNewItems
from foldin.tensors import Bool, Float, Tensor

__all__ = ["EnsembleItems", "covered", "extended", "scores_of"]


class EnsembleItems(ExtendsItems, KeepsForNewItems):
    """An ensemble over a larger catalog, and what its experts keep for new items."""

    experts: tuple[Recommender[Any], ...]

    def columns_of_new(self) -> frozenset[str]:
        """Names of the columns that an expert reads of new items."""
        able = (capability(one, ExtendsItems) for one in self.experts)
        return frozenset(name for one in able if one is not None for name in one.columns_of_new())

    def kept_for_new_items(self) -> dict[str, Tensor]:
        """What the experts keep for new items, by names of the ensemble."""
        keeping = [(at, capability(one, KeepsForNewItems)) for at, one in enumerate(self.experts)]
        return {
            f"experts.{at}.{name}": tensor
            for at, one in keeping
            if one is not None
            for name, tensor in one.kept_for_new_items().items()
        }

    def take_kept(self, stored: Mapping[str, Tensor]) -> None:
        """Give the experts what `kept_for_new_items` returned."""
        for at, one in enumerate(self.experts):
            keeping, own = capability(one, KeepsForNewItems), of_expert(stored, at)
            if keeping is not None and own:
                keeping.take_kept(own)


def extended(experts: Sequence[Recommender[Any]], catalog: Catalog) -> tuple[Recommender[Any], ...]:
    """The experts over a larger catalog; those that cannot take new items as they are."""
    able = [(one, capability(one, ExtendsItems)) for one in experts]
    return tuple(one if larger is None else larger.with_new_items(catalog) for one, larger in able)


def scores_of(expert: Recommender[Any], histories: Histories) -> Float[Tensor, "users items"]:
    """The expert's scores, which the next call may overwrite; 0 for new items that it does not have, and reads no events of."""
    added = histories.n_items - expert.n_items
    if added == 0:
        return expert.logits(histories, reuse=True)
    places = np.arange(histories.n_items)
    places[expert.n_items :] = -1
    scores = expert.logits(histories.reindex(places, expert.n_items), reuse=True)
    return torch.cat((scores, scores.new_zeros(len(scores), added)), dim=1)


def covered(
    silent: Bool[Tensor, " items"] | None, expert: Recommender[Any], n_items: int
) -> Bool[Tensor, " items"] | None:
    """The items of which an expert says nothing, with the new ones that it does not have."""
    if expert.n_items == n_items:
        return silent
    missing = torch.arange(n_items, device=expert.device) >= expert.n_items
    return missing if silent is None else missing | silent
