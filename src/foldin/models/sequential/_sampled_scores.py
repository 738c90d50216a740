"""Scores of a few items for each token, with different items for every token."""

from typing import Any

import torch

from foldin.kernels import at_least_float32, product_format
from foldin.tensors import Float, Int, Tensor

__all__ = ["sampled_scores"]

_DENSE_SHARE = 1 / 32  # of the catalog; above it a dense product is quicker than fetching the rows
_BLOCK = 1 << 22  # scores worked on at once


def _rows(tokens: int, n_items: int) -> range:
    step = max(1, _BLOCK // n_items)
    return range(0, tokens, step)


class _ByDenseProduct(torch.autograd.Function):
    """Computes all items' scores and keeps a few: a product reads the weights once, fetching rows reads them k times.

    The factors of the products are rounded to the number format `kind`, if there is one.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, items: Tensor, kind: torch.dtype | None) -> Tensor:
        ctx.save_for_backward(hidden, weight, items)
        ctx.kind, found = kind, hidden.new_empty(items.shape)
        if kind is not None:
            hidden, weight = hidden.to(kind), weight.to(kind)
        blocks = _rows(len(hidden), len(weight))
        for at in blocks:
            part = slice(at, at + blocks.step)
            torch.gather((hidden[part] @ weight.t()).to(found.dtype), 1, items[part], out=found[part])
        return found

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden, weight, items = ctx.saved_tensors
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        blocks = _rows(len(hidden), len(weight))
        scratch = hidden.new_empty(min(blocks.step, len(hidden)), len(weight))
        for at in blocks:
            part = slice(at, at + blocks.step)
            # An item drawn twice counts twice.
            dense = scratch[: len(items[part])].zero_().scatter_add_(1, items[part], grads[0][part].contiguous())
            if ctx.kind is None:
                torch.mm(dense, weight, out=grad_hidden[part])
                grad_weight.addmm_(dense.t(), hidden[part])
            else:
                rounded = dense.to(ctx.kind)
                grad_hidden[part] = torch.mm(rounded, weight.to(ctx.kind))
                grad_weight += torch.mm(rounded.t(), hidden[part].to(ctx.kind))
        return grad_hidden, grad_weight, None, None


def sampled_scores(
    hidden: Float[Tensor, "tokens width"], weight: Float[Tensor, "items width"], items: Int[Tensor, "tokens k"]
) -> Float[Tensor, "tokens k"]:
    """⟨hidden of the token, weight of the item⟩ for each of a token's items."""
    if items.shape[1] >= _DENSE_SHARE * len(weight):
        apply: Any = _ByDenseProduct.apply  # PyTorch gives it no types
        result: Tensor = apply(hidden, weight, items, product_format(hidden))
        return result
    return at_least_float32(torch.einsum("td,tkd->tk", hidden, weight[items]))
