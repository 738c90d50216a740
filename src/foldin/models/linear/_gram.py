"""XᵀX of a log: how many users took both of two items."""

from collections.abc import Callable

import numpy as np
import scipy.sparse
import torch

from foldin.data import Histories
from foldin.tensors import Float, Tensor
from foldin.workers import ALONE, Group

__all__ = ["gram_bytes", "item_gram"]

# Ratio of multiply-adds per second, measured on two cores: about 8e10 of a dense product, about 2e8 of a sparse one.
_DENSE_ADVANTAGE = 400


def _pairs(histories: Histories) -> float:
    return float((histories.lengths.astype(np.float64) ** 2).sum())


def _sparse(histories: Histories, n_items: int) -> bool:
    return float(len(histories)) * n_items**2 > _DENSE_ADVANTAGE * _pairs(histories)


def gram_bytes(histories: Histories, n_items: int | None = None) -> float:
    """Memory that `item_gram` needs at most, in bytes: the matrix, and the sparse product if it is used."""
    n_items = histories.n_items if n_items is None else n_items
    dense = 4.0 * n_items**2
    return dense + (8.0 * min(_pairs(histories), n_items**2) if _sparse(histories, n_items) else 0.0)


def item_gram(
    histories: Histories,
    device: torch.device | str = "cpu",
    rows_of: Callable[[Histories], scipy.sparse.csr_matrix] = Histories.csr,
    group: Group = ALONE,
    n_items: int | None = None,
) -> Float[Tensor, "items items"]:
    """Co-occurrence counts of all pairs of items; float32, exact up to 2²⁴ users per pair.

    Computed by matrix products of dense blocks if the log is dense enough for that to be faster, otherwise by a sparse product.

    Args:
        rows_of: gives X of some users, if its entries are not ones; the result is then the sum of their products.
        group: workers that compute the result together, each from its part of the users.
        n_items: number of columns of X; that of the histories' catalog when None.
    """
    n_items = histories.n_items if n_items is None else n_items
    sparse = _sparse(histories, n_items)
    products: scipy.sparse.csr_matrix | None = None
    gram = torch.zeros(0 if sparse else n_items, n_items, device=device)
    step = max(1, (64 << 20) // (4 * n_items))
    for part in group.rows(histories).parts():
        rows = rows_of(part)
        if sparse:
            product = rows.T @ rows
            products = product if products is None else products + product
            continue
        for start in range(0, len(part), step):
            block = torch.from_numpy(rows[start : start + step].toarray()).to(device)
            gram.addmm_(block.t(), block)
    if sparse:
        # A worker without a user has no product.
        gram = torch.zeros(n_items, n_items) if products is None else torch.from_numpy(products.toarray())
        gram = gram.to(device)
    group.sum_(gram)
    return gram
