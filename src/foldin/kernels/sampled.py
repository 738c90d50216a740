"""Softmax over the items of a batch and some negatives, and rows of tables with row-sparse gradients.

The partition function of a user, Z = Σ_j e^{s_j} over the catalog, is split at the items B that occur in the batch. These are
all scored; the rest is estimated by the draws j_1 … j_n of a proposal, of which those in B are left out,

    Ẑ = Σ_{j∈B} e^{s_j} + Σ_{k: j_k∉B} e^{s_{j_k}} / E_{j_k},   E_j the expected number of item j among the draws,

so that E[Ẑ] = Z given the batch ("log-Q correction": log E is subtracted from a score). As log is concave, E[log Ẑ] ≤ log Z: the
estimated log-likelihood of an event, s − log Ẑ, is too large on average, by about Var[Ẑ] / 2Z², which falls with the number of
draws.

Source: bengio2008 (importance sampling of the partition function); jean2015, section 3.1 (one set of items for a batch).
"""

from dataclasses import dataclass
from typing import Any

import torch

from foldin.kernels.bag import bag_of_items
from foldin.kernels.products import matmul_into
from foldin.kernels.sparse_rows import row_gradient
from foldin.tensors import Float, Int, Tensor

__all__ = ["ScoredItems", "bag_of_rows", "scored_items", "scores_into", "take_rows"]

_ROWS = 1 << 13  # of a table in bfloat16 that are converted at once, few enough to stay in the cache


class _TakeRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.shape, ctx.dtype = table.shape, table.dtype
        taken = table.index_select(0, rows)
        return taken.float() if table.dtype == torch.bfloat16 else taken

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        return row_gradient(rows, grads[0].to(ctx.dtype), ctx.shape), None


def take_rows(table: Float[Tensor, "items *width"], rows: Int[Tensor, " rows"]) -> Float[Tensor, "rows *width"]:
    """Rows of a table, in float32 if it is in bfloat16; the gradient of the table is a sparse tensor of these rows.

    Args:
        rows: indices in ascending order, each once.
    """
    apply: Any = _TakeRows.apply  # untyped in PyTorch
    result: Tensor = apply(table, rows)
    return result


def bag_of_rows(
    table: Float[Tensor, "items hidden"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    values: Float[Tensor, " events"],
) -> Float[Tensor, "users hidden"]:
    """As `bag_of_items`, with a row-sparse gradient and in float32 if the table is in bfloat16."""
    rows, at = torch.unique(items, return_inverse=True)
    return bag_of_items(take_rows(table, rows), at, offsets, values)


@dataclass(frozen=True, eq=False)
class ScoredItems:
    """The items over which the softmax of a step is taken, in place of the catalog.

    Args:
        rows: the items, in ascending order.
        targets: position of each event's item among them.
        log_weight: log of the weight of e^s of each item in the estimated partition function; 0 for items of the batch.
    """

    rows: Int[Tensor, " rows"]
    targets: Int[Tensor, " events"]
    log_weight: Float[Tensor, " rows"]

    def vectors(self, table: Float[Tensor, "items width"]) -> Float[Tensor, "rows width"]:
        """The items' vectors, with a row-sparse gradient."""
        return take_rows(table, self.rows)

    def biases(self, table: Float[Tensor, " items"]) -> Float[Tensor, " rows"]:
        """The items' biases plus their corrections, with a row-sparse gradient."""
        return take_rows(table, self.rows) + self.log_weight


def scored_items(
    items: Int[Tensor, " events"], negatives: Int[Tensor, " draws"], log_expected: Float[Tensor, " draws"]
) -> ScoredItems:
    """The items of a batch, each with weight 1, and the negatives among the others.

    Args:
        items: item of each event of the batch.
        negatives: drawn items, which may repeat and may be items of the batch.
        log_expected: log of the expected number of each among the draws.
    """
    rows, at = torch.unique(torch.cat((items, negatives)), return_inverse=True)
    targets, drawn = at[: len(items)], at[len(items) :]
    log_weight = torch.bincount(drawn, minlength=len(rows)).to(log_expected.dtype).log()
    log_weight[drawn] -= log_expected  # the same value for every draw of an item, subtracted once
    log_weight[targets] = 0.0
    return ScoredItems(rows, targets, log_weight)


def scores_into(
    out: Float[Tensor, "users items"], hidden: Float[Tensor, "users width"], table: Float[Tensor, "items width"]
) -> Float[Tensor, "users items"]:
    """`out`, overwritten with hidden · tableᵀ; a table in bfloat16 is converted a block at a time, never as a whole."""
    if table.dtype == hidden.dtype:
        return matmul_into(out, hidden, table.t())
    for start in range(0, len(table), _ROWS):
        rows = table[start : start + _ROWS].to(hidden.dtype)
        out[:, start : start + _ROWS] = torch.mm(hidden.detach(), rows.t())
    return out
