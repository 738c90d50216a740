"""Fused output: the last linear layer, the softmax over the catalog, its log-likelihood and its gradient.

All of them share one logits buffer. With E = exp(logits − row maximum) and T its row sums, the gradient with
respect to the logits of Σ_u g_u log p(x_u) is

    g_u x_ui − g_u n_u E_ui / T_u  =  −s_u (E_ui − x_ui T_u / n_u),    s_u = g_u n_u / T_u,   n_u = Σ_i x_ui,

so the large matrix needs no scaling: T_u / n_u is subtracted at the few positives, and s_u multiplies the small
factor of each matrix product.
"""

from typing import Any

import torch

from foldin.kernels.autocast import product_format
from foldin.kernels.buffers import Buffers
from foldin.kernels.devices import on_device
from foldin.kernels.devices_softmax import multinomial_on_device
from foldin.kernels.products import matmul_into
from foldin.tensors import Float, Int, Tensor

__all__ = ["log_total", "multinomial_from_hidden", "multinomial_log_likelihood"]

_BLOCK = 1 << 19  # logits that are processed at once, few enough to stay in the cache


def multinomial_log_likelihood(
    logits: Float[Tensor, "users items"], items: Int[Tensor, " events"], offsets: Int[Tensor, " offsets"]
) -> Float[Tensor, " users"]:
    """Log-likelihood of each user's items under a softmax over the catalog, in nats, by the plain formula.

    The multinomial coefficient is dropped: it does not depend on the parameters.

    Source: liang2018, eq. 2.
    """
    lengths = offsets.diff()
    users = torch.repeat_interleave(torch.arange(len(lengths), device=logits.device), lengths, output_size=len(items))
    taken = torch.zeros(len(lengths), dtype=logits.dtype, device=logits.device)
    return taken.index_add(0, users, torch.log_softmax(logits, dim=1)[users, items])


class _MultinomialFromHidden(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        items: Tensor,
        offsets: Tensor,
        buffers: Buffers | None,
        values: Tensor | None,
    ) -> Tensor:
        users_count, n_items = len(hidden), len(weight)
        ctx.buffers = buffers or Buffers()
        logits = ctx.buffers.get("logits", (users_count, n_items), hidden)
        matmul_into(logits, hidden, weight.t())
        lengths = offsets.diff()
        users = torch.repeat_interleave(torch.arange(users_count, device=hidden.device), lengths)
        at = users * n_items + items
        picked = logits.view(-1).index_select(0, at) + bias.index_select(0, items)
        counts = lengths.to(hidden.dtype)
        if values is not None:
            picked = picked * values
            counts = torch.zeros_like(counts).index_add_(0, users, values)
        counts = counts.unsqueeze(1)
        taken = torch.zeros(users_count, dtype=hidden.dtype, device=hidden.device).index_add_(0, users, picked)
        top, total = hidden.new_empty(users_count, 1), hidden.new_empty(users_count, 1)
        step = max(1, _BLOCK // n_items)
        for start in range(0, users_count, step):
            block = logits[start : start + step]
            block.add_(bias)
            torch.amax(block, dim=1, keepdim=True, out=top[start : start + step])
            block.sub_(top[start : start + step]).exp_()
            torch.sum(block, dim=1, keepdim=True, out=total[start : start + step])
        ctx.exponentials, ctx.used = logits, False
        ctx.save_for_backward(hidden, weight, at, users, total, counts, values)
        return taken - (counts * (top + total.log())).squeeze(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, at, users, total, counts, values = ctx.saved_tensors
        scaled = ctx.exponentials
        needs_hidden, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        if not ctx.used:
            at_positive = torch.where(counts > 0, total / counts, 0.0).squeeze(1).index_select(0, users)
            if values is not None:
                at_positive = at_positive * values
            scaled.view(-1).index_add_(0, at, at_positive, alpha=-1)
            ctx.used = True
        scale = -grads[0].unsqueeze(1) * counts / total
        grad_hidden = grad_weight = grad_bias = None
        # The two products run back to back, and the small operations before and after them, so that their threads do not
        # compete with those of the small operations.
        scaled_hidden = hidden * scale if needs_weight else hidden
        if needs_hidden:
            grad_hidden = matmul_into(torch.empty_like(hidden), scaled, weight)
        if needs_weight:
            into = ctx.buffers.gradient("softmax weight", weight)
            grad_weight = matmul_into(into, scaled.t(), scaled_hidden).detach()
        if grad_hidden is not None:
            grad_hidden.mul_(scale)
        if needs_bias:
            grad_bias = torch.mv(scaled.t(), scale.squeeze(1))
        return grad_hidden, grad_weight, grad_bias, None, None, None, None


def multinomial_from_hidden(
    hidden: Float[Tensor, "users hidden"],
    weight: Float[Tensor, "items hidden"],
    bias: Float[Tensor, " items"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    buffers: Buffers | None = None,
    values: Float[Tensor, " events"] | None = None,
) -> Float[Tensor, " users"]:
    """Log-likelihood of each user's items under softmax(hidden Wᵀ + b), in nats; with `values` a sum weighted by them.

    Only the gradients that are needed are computed. With `buffers`, the backward pass must run before the next call with the
    same buffers, because both use the same logits matrix. A GPU does without buffers, and works on about a gigabyte of logits at
    once (`devices_softmax.py`). So does a CPU under `torch.autocast`, whose number format the products then have.

    Source: liang2018, eq. 2.
    """
    if on_device(hidden) or product_format(hidden) is not None:
        return multinomial_on_device(hidden, weight, bias, items, offsets, values)
    apply: Any = _MultinomialFromHidden.apply  # untyped in PyTorch
    result: Tensor = apply(hidden, weight, bias, items, offsets, buffers, values)
    return result


def log_total(
    logits: Float[Tensor, "users items"], top: Float[Tensor, "users 1"], best: Int[Tensor, "users 1"]
) -> Float[Tensor, "users 1"]:
    """log Σ exp of each user's logits, in nats, from the softmax probability of the best item.

    The work is done in blocks, so that it needs no second matrix of the size of the logits.

    Args:
        top: the maximum of each user's logits. If all of them are −inf, the result is 0, so that −inf minus it stays −inf.
        best: index of that maximum; any index if all logits are −inf.
    """
    share = torch.empty_like(top)
    step = max(1, _BLOCK // logits.shape[1])
    scratch = torch.empty(min(step, len(logits)), logits.shape[1], dtype=logits.dtype, device=logits.device)
    for start in range(0, len(logits), step):
        block = logits[start : start + step]
        shares = torch.softmax(block, dim=1, out=scratch[: len(block)])
        torch.gather(shares, 1, best[start : start + step].clamp(min=0), out=share[start : start + step])
    return torch.where(top == -torch.inf, 0.0, top - share.log())
