"""The elastic net of every item on all others, without negative weights, by coordinate descent on XᵀX.

With the residual R = XᵀX (I − W), the minimum over a weight with all others held is

    w_ij = max(0, (XᵀX)_ii w_ij + r_ij − λ) / ((XᵀX)_ii + β)

A sweep takes the items i in turn and updates w_ij for all columns j of a block at once. Within a tile of items the residual
follows every update; that of all other items follows in one matrix product at the end of the tile. Columns in which no update of
the tile would change a weight by more than the tolerance are left out: most of them for a sparse log, or near the minimum.

Source: friedman2010, section 2.2 (updates by covariances).
"""

import torch

from foldin.tensors import Bool, Float, Int, Tensor

__all__ = ["MOST_SWEEPS", "descent_bytes", "elastic_net"]

MOST_SWEEPS = 1000
_TOLERANCE = 1e-5  # largest change of a weight by an update at the minimum
_TILE = 128  # items whose residual follows every update
_BLOCK_BYTES = 256 << 20  # of the residual of a block of columns


def _width(n_items: int) -> int:
    return min(n_items, max(1, _BLOCK_BYTES // (4 * n_items)))


def descent_bytes(n_items: int) -> float:
    """Memory that `elastic_net` needs besides its arguments, in bytes: residual, weights and updates of a block, and copies."""
    return 6.0 * 4.0 * n_items * _width(n_items)


def elastic_net(
    gram: Float[Tensor, "items items"], weights: Float[Tensor, "items items"], *, ridge: float, lasso: float
) -> int | None:
    """Minimize ½ ‖X − X W‖² + β/2 ‖W‖² + λ ‖W‖₁ under W ≥ 0 and diag W = 0, and write W to `weights`.

    Args:
        gram: XᵀX.
        weights: where the result is written.
        ridge: β, above 0.
        lasso: λ.

    Returns:
        The largest number of sweeps that a column took; None if a column has not converged after `MOST_SWEEPS`.
    """
    n_items, most = len(gram), 0
    for start in range(0, n_items, _width(n_items)):
        columns = torch.arange(start, min(start + _width(n_items), n_items), device=gram.device)
        sweeps = _descend(gram, weights, columns, ridge, lasso)
        if sweeps is None:
            return None
        most = max(most, sweeps)
    return most


def _descend(
    gram: Float[Tensor, "items items"],
    weights: Float[Tensor, "items items"],
    columns: Int[Tensor, " columns"],
    ridge: float,
    lasso: float,
) -> int | None:
    """Minimize some columns; a column that has converged is written and left out of further sweeps."""
    # Transposed, so that the numbers of a column lie side by side.
    residual = gram[columns]
    found = torch.zeros_like(residual)
    for sweep in range(1, MOST_SWEEPS + 1):
        moved = _sweep(gram, found, residual, columns, ridge, lasso)
        if not moved.all():
            weights[:, columns[~moved]] = found[~moved].t()
            columns, found, residual = columns[moved], found[moved], residual[moved]
        if len(columns) == 0:
            return sweep
    return None


def _sweep(
    gram: Float[Tensor, "items items"],
    found: Float[Tensor, "columns items"],
    residual: Float[Tensor, "columns items"],
    columns: Int[Tensor, " columns"],
    ridge: float,
    lasso: float,
) -> Bool[Tensor, " columns"]:
    """Update the weights of the columns once, in place, item after item; returns which columns have moved."""
    counts = gram.diagonal()
    moved = torch.zeros(len(columns), dtype=torch.bool, device=gram.device)
    for start in range(0, len(gram), _TILE):
        items = slice(start, min(start + _TILE, len(gram)))
        best = torch.addcmul(residual[:, items], found[:, items], counts[items])
        best.sub_(lasso).clamp_(min=0.0).div_(counts[items] + ridge)
        inside = ((columns >= items.start) & (columns < items.stop)).nonzero()[:, 0]
        best[inside, columns[inside] - start] = 0.0  # no item explains itself
        some = (best.sub_(found[:, items]).abs_().amax(dim=1) > _TOLERANCE).nonzero()[:, 0]
        if len(some) == 0:
            continue
        before = found[some, items].t().contiguous()
        after = _tile(
            gram[items, items], before, residual[some, items].t().contiguous(), columns[some] - start, ridge, lasso
        )
        found[some, items] = after.t()
        residual.index_add_(0, some, (after - before).t() @ gram[items], alpha=-1.0)
        moved[some] = True
    return moved


def _tile(
    gram: Float[Tensor, "tile tile"],
    before: Float[Tensor, "tile columns"],
    residual: Float[Tensor, "tile columns"],
    place: Int[Tensor, " columns"],
    ridge: float,
    lasso: float,
) -> Float[Tensor, "tile columns"]:
    """The weights of a tile of items after one update each.

    Args:
        place: the position of each column's item in the tile, where it is in it.
    """
    after, counts = before.clone(), gram.diagonal().tolist()
    own = {at: column for column, at in enumerate(place.tolist())}
    for at, row in enumerate(after):
        best = torch.add(residual[at], row, alpha=counts[at]).sub_(lasso).clamp_(min=0.0).div_(counts[at] + ridge)
        if at in own:
            best[own[at]] = 0.0
        residual[at + 1 :].addr_(gram[at, at + 1 :], best - row, alpha=-1.0)
        row.copy_(best)
    return after
