"""XᵀX of a log: how many users took both of two items."""

import numpy as np
import torch

from foldin.data import Histories
from foldin.tensors import Array, Float, Float32, Tensor

__all__ = ["gram_bytes", "item_gram"]

# Ratio of multiply-adds per second, measured on two cores: about 8e10 of a dense product, about 2e8 of a sparse one.
_DENSE_ADVANTAGE = 400


def _pairs(histories: Histories) -> float:
    return float((histories.lengths.astype(np.float64) ** 2).sum())


def _sparse(histories: Histories) -> bool:
    return float(len(histories)) * histories.n_items**2 > _DENSE_ADVANTAGE * _pairs(histories)


def gram_bytes(histories: Histories) -> float:
    """Memory that `item_gram` needs at most, in bytes: the matrix, and the sparse product if it is used."""
    dense = 4.0 * histories.n_items**2
    return dense + (8.0 * min(_pairs(histories), histories.n_items**2) if _sparse(histories) else 0.0)


def item_gram(
    histories: Histories, device: torch.device | str = "cpu", values: Float32[Array, " events"] | None = None
) -> Float[Tensor, "items items"]:
    """Co-occurrence counts of all pairs of items; float32, exact up to 2²⁴ users per pair.

    With `values`, the entries of X at the events, the result has sums of their products instead.

    Computed by matrix products of dense blocks if the log is dense enough for that to be faster, otherwise by a sparse product.
    """
    rows, n_items = histories.csr(values), histories.n_items
    if _sparse(histories):
        return torch.from_numpy((rows.T @ rows).toarray()).to(device)
    gram = torch.zeros(n_items, n_items, device=device)
    step = max(1, (64 << 20) // (4 * n_items))
    for start in range(0, len(histories), step):
        block = torch.from_numpy(rows[start : start + step].toarray()).to(device)
        gram.addmm_(block.t(), block)
    return gram
