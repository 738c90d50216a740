"""The k best items of each user, with ties broken by item index, without sorting all scores."""

import torch
from torch.nn import functional as F

from foldin.tensors import Float, Int, Tensor

__all__ = ["top_k"]


def _first_at_boundary(scores: Float[Tensor, "rows items"], kept: Float[Tensor, "rows k"]) -> Int[Tensor, "rows k"]:
    """Indices of the k best items where several share the k-th score; of those, the lowest indices are taken."""
    k = kept.shape[1]
    last = kept[:, -1:]
    room = k - (kept > last).sum(dim=1, keepdim=True, dtype=torch.int32)
    tied = scores == last
    chosen = (scores > last) | (tied & (torch.cumsum(tied, dim=1, dtype=torch.int32) <= room))
    return chosen.nonzero()[:, 1].view(-1, k)


def top_k(scores: Float[Tensor, "users items"], k: int) -> tuple[Float[Tensor, "users k"], Int[Tensor, "users k"]]:
    """(scores, item indices) of the k best items of each user, best first; among equal scores the lower index first.

    A score of −inf means "not to be recommended": such an entry holds −inf and the index −1. Lists of fewer than k items are
    padded in the same way.
    """
    n = scores.shape[1]
    if n < k:
        scores = F.pad(scores, (0, k - n), value=-torch.inf)
    if len(scores) == 0:
        return scores[:, :k], torch.empty(0, k, dtype=torch.int64, device=scores.device)
    # One more item than requested shows whether the k-th score is shared with an item that is left out.
    values, items = scores.topk(min(k + 1, scores.shape[1]), dim=1)
    if values.shape[1] > k:
        rows = (values[:, k - 1] == values[:, k]) & (values[:, k] != -torch.inf)
        values, items = values[:, :k], items[:, :k]
        if rows.any():
            items = items.clone()
            items[rows] = _first_at_boundary(scores[rows], values[rows])
            values = scores.gather(1, items)
    unsorted = (values[:, 1:] >= values[:, :-1]).any(dim=1)  # equal neighbors, or a tie at the boundary in index order
    if unsorted.any():
        own = items[unsorted].sort(dim=1).values
        best, order = scores[unsorted].gather(1, own).sort(dim=1, descending=True, stable=True)
        values, items = values.clone(), items.clone()
        values[unsorted], items[unsorted] = best, own.gather(1, order)
    return values, items.masked_fill(values == -torch.inf, -1)
