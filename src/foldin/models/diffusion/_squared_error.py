"""The squared error between the outputs of the last linear layer and a sparse row, computed without the dense outputs.

    Σ_i (⟨h, w_i⟩ + b_i − x_i)²  =  hᵀ(WᵀW)h + 2 hᵀ(Wᵀb) + ‖b‖²  −  2 Σ_{i in x} x_i (⟨h, w_i⟩ + b_i) + Σ x_i²

The gradient is of the same kind: of W it is 2 (W HᵀGH + b gᵀH − XᵀGH) with G = diag(g). Two products of items × width × width,
one of them symmetric, take the place of three of users × items × width, and there is no matrix of users × items at all.
The same trick lets alternating least squares count every absent item (hu2008).
"""

from typing import Any

import torch
from torch.nn import functional as F

from foldin.kernels import Buffers, matmul_into, sums_by_item
from foldin.tensors import Float, Int, Tensor

__all__ = ["squared_error_from_hidden"]


_WORTH_IT = (
    1 << 31
)  # multiply-adds: below, PyTorch's own product is quicker between its other operations (11 ms instead of 20)


def _product(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    if a.shape[0] * a.shape[1] * b.shape[1] < _WORTH_IT:
        return torch.mm(a.detach(), b.detach(), out=out)
    return matmul_into(out, a, b)


class _SquaredErrorFromHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        items: Tensor,
        offsets: Tensor,
        values: Tensor,
        buffers: Buffers | None,
    ) -> Tensor:
        width = weight.shape[1]
        gram = matmul_into(hidden.new_empty(width, width), weight.t(), weight)
        weighted_bias = torch.mv(weight.t(), bias)
        users = torch.repeat_interleave(torch.arange(len(hidden), device=hidden.device), offsets.diff())
        taken = F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)
        constant = values.square() - 2.0 * values * bias.index_select(0, items)
        of_row = torch.zeros(len(hidden), dtype=hidden.dtype, device=hidden.device).index_add_(0, users, constant)
        # Half of the gradient with respect to the hidden states, which the value is made of too.
        half = torch.mm(hidden, gram).add_(weighted_bias).sub_(taken)
        ctx.save_for_backward(hidden, weight, bias, items, offsets, values, users, half)
        ctx.buffers = buffers or Buffers()
        return (hidden * (half + weighted_bias - taken)).sum(dim=1) + of_row + bias.square().sum()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, items, offsets, values, users, half = ctx.saved_tensors
        twice = 2.0 * grads[0].unsqueeze(1)
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_hidden = half * twice if needs_hidden else None
        grad_weight = grad_bias = None
        if needs_weight:
            scaled = hidden * twice
            grad_weight = ctx.buffers.gradient("squared error", weight)
            _product(grad_weight, weight, torch.mm(hidden.t(), scaled))
            grad_weight.addr_(bias, scaled.sum(dim=0))
            rows, taken = sums_by_item(items, offsets, values, scaled)
            grad_weight.index_add_(0, rows, taken, alpha=-1.0)
            grad_weight = grad_weight.detach()
        if needs_bias:
            twice = twice.squeeze(1)
            grad_bias = torch.mv(weight, torch.mv(hidden.t(), twice)).add_(bias, alpha=float(twice.sum()))
            grad_bias.index_add_(0, items, values * twice.index_select(0, users), alpha=-1.0)
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def squared_error_from_hidden(
    hidden: Float[Tensor, "users hidden"],
    weight: Float[Tensor, "items hidden"],
    bias: Float[Tensor, " items"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    values: Float[Tensor, " events"],
    buffers: Buffers | None = None,
) -> Float[Tensor, " users"]:
    """‖hidden Wᵀ + b − x‖² of each user's sparse row x, summed over the catalog.

    Args:
        values: entry of x at each event, with at most one event for each user and item.
        buffers: where the gradient of `weight` is kept between steps; one weight needs one `Buffers`.
    """
    apply: Any = _SquaredErrorFromHidden.apply  # PyTorch gives it no types
    result: Tensor = apply(hidden, weight, bias, items, offsets, values, buffers)
    return result
