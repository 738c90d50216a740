"""Gradients of tables that have values for some rows only: PyTorch's sparse tensors with one sparse dimension."""

import functools
import warnings
from collections.abc import Sequence

import torch

from foldin.tensors import Float, Int, Tensor

__all__ = ["row_gradient", "rows_of"]


@functools.cache
def _choose_unchecked() -> None:
    """Switch PyTorch's checks of sparse tensors off where they are not on: while neither is chosen, PyTorch warns of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not torch.sparse.check_sparse_tensor_invariants.is_enabled():
            torch.sparse.check_sparse_tensor_invariants.disable()


def row_gradient(rows: Int[Tensor, " rows"], values: Float[Tensor, "rows *width"], shape: Sequence[int]) -> Tensor:
    """A sparse tensor of `shape` with these values, which share its memory, in these rows.

    Args:
        rows: indices in ascending order, each once.
    """
    _choose_unchecked()
    return torch.sparse_coo_tensor(rows.unsqueeze(0), values, tuple(shape), is_coalesced=True, check_invariants=False)


def rows_of(gradient: Tensor) -> tuple[Int[Tensor, " rows"], Float[Tensor, "rows *width"]]:
    """(rows of a sparse gradient in ascending order, each once, values of these rows).

    Values whose rows are in this order already are not copied. PyTorch often forgets that they are when it gives a gradient to
    its parameter (`is_coalesced` is then false), and `coalesce` would sort the rows and copy all values.
    """
    if not gradient.is_coalesced():
        rows = gradient._indices()[0]
        if not bool((rows[1:] > rows[:-1]).all()):
            gradient = gradient.coalesce()
    return gradient._indices()[0], gradient._values()
