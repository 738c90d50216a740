"""Items that are similar to a given item."""

from typing import Any

import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.models import DotProduct, Recommender, capability
from foldin.ranking.ranker import rank

__all__ = ["similar_items"]


@torch.no_grad()
def similar_items(model: Recommender[Any], item: int, k: int) -> tuple[list[int], list[float] | None]:
    """(indices of the k most similar items, their similarities).

    The similarity is the cosine of the model's item vectors. For a model without item vectors the similarities are None, and the
    list is that for a history of this item alone.
    """
    vectored = capability(model, DotProduct)
    if vectored is None:
        alone = rank(model, Histories.from_lists([[item]], model.n_items), k)
        return [int(one) for one in alone.items[0] if one >= 0], None
    vectors = F.normalize(vectored.item_vectors()[0], dim=1)
    cosine = vectors @ vectors[item]
    cosine[item] = -torch.inf
    best = torch.sort(cosine, descending=True, stable=True).indices[: min(k, model.n_items - 1)]
    return best.tolist(), cosine[best].tolist()
