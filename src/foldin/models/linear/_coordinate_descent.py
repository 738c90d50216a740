"""The elastic net of every item on all others, without negative weights, by coordinate descent on XᵀX.

With the residual R = XᵀX (I − W), the minimum over a weight with all others held is

    w_ij = max(0, (XᵀX)_ii w_ij + r_ij − λ) / ((XᵀX)_ii + β)

A sweep takes the items i in turn and updates w_ij for all columns j of a block at once. Within a tile of items the residual
follows every update; that of all other items follows in one matrix product at the end of the tile. Columns in which no weight of
the tile can change are left out, which are most of them for a sparse log.

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
    for sweep in range(MOST_SWEEPS + 1):
        moving = _moving(gram, found, residual, columns, ridge, lasso)
        if not moving.all():
            weights[:, columns[~moving]] = found[~moving].t()
            columns, found, residual = columns[moving], found[moving], residual[moving]
        if len(columns) == 0:
            return sweep
        if sweep < MOST_SWEEPS:
            _sweep(gram, found, residual, columns, ridge, lasso)
    return None


def _moving(
    gram: Float[Tensor, "items items"],
    found: Float[Tensor, "columns items"],
    residual: Float[Tensor, "columns items"],
    columns: Int[Tensor, " columns"],
    ridge: float,
    lasso: float,
) -> Bool[Tensor, " columns"]:
    """Whether an update would change a weight of the column by more than the tolerance."""
    own = gram.diagonal()
    best = torch.addcmul(residual, found, own).sub_(lasso).clamp_(min=0.0).div_(own + ridge)
    best[torch.arange(len(columns), device=columns.device), columns] = 0.0
    return best.sub_(found).abs_().amax(dim=1) > _TOLERANCE


def _sweep(
    gram: Float[Tensor, "items items"],
    found: Float[Tensor, "columns items"],
    residual: Float[Tensor, "columns items"],
    columns: Int[Tensor, " columns"],
    ridge: float,
    lasso: float,
) -> None:
    """Update each weight of the columns once, in place, item after item."""
    own = gram.diagonal().tolist()
    for start in range(0, len(gram), _TILE):
        items = slice(start, start + _TILE)
        # A weight of zero with a residual up to λ stays, and its residual can only rise where another weight falls.
        some = ((residual[:, items] > lasso) | (found[:, items] > 0)).any(dim=1).nonzero()[:, 0]
        before, local = found[some, items].t().contiguous(), residual[some, items].t().contiguous()
        tile, after = gram[items, items], before.clone()
        place = {item - start: at for at, item in enumerate(columns[some].tolist())}
        for at, row in enumerate(after):
            count = own[start + at]
            best = torch.add(local[at], row, alpha=count).sub_(lasso).clamp_(min=0.0).div_(count + ridge)
            if at in place:
                best[place[at]] = 0.0  # no item explains itself
            local[at + 1 :].addr_(tile[at, at + 1 :], best - row, alpha=-1.0)
            row.copy_(best)
        found[some, items] = after.t()
        residual.index_add_(0, some, (after - before).t() @ gram[items], alpha=-1.0)
