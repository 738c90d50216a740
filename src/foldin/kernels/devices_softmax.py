"""Softmax losses for devices on which a processor launches operations, such as GPUs; see `devices.py`.

Blocks of logits are as large as memory bears. The gradient of Σ_u g_u Σ_i x_ui log p_ui with respect to the logits is

    g_u (x_ui − n_u p_ui)  =  −g_u n_u (p_ui − x_ui / n_u),    n_u = Σ_i x_ui,

so that the large matrix is changed at the few positives only, and −g_u n_u multiplies the small factor of each product.

Under `torch.autocast` the factors of the products are rounded to its number format, and each product is converted to float32
before a bias or the product of another block is added to it. Log-shares and their sums are in float32.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from foldin.kernels import devices
from foldin.kernels.autocast import at_least_float32, product_format
from foldin.tensors import Float, Int, Tensor

__all__ = ["cross_entropy_on_device", "logits_bytes", "multinomial_on_device"]


def _log_shares(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Float[Tensor, "rows items"]:
    """log softmax(hidden Wᵀ + b) of each row; with rounded weights, of the rounded hidden states."""
    if weight.dtype == hidden.dtype:
        logits = torch.mm(hidden, weight.t()) if bias is None else torch.addmm(bias, hidden, weight.t())
    else:
        logits = torch.mm(hidden.to(weight.dtype), weight.t()).to(hidden.dtype)
        if bias is not None:
            logits.add_(bias)
    return torch.log_softmax(logits, dim=1)


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


def _triton_computes(x: Tensor) -> bool:
    """Whether losses of states x are computed by Triton: in float32 on a GPU."""
    return x.device.type == "cuda" and x.dtype == torch.float32 and _has_triton()


def _rounded(x: Tensor, kind: torch.dtype | None) -> Tensor:
    """x as a factor of products of a number format; None for its own."""
    return x if kind is None else x.to(kind)


def _product_into(out: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`out`, overwritten with a b, whose factors may be rounded."""
    return torch.mm(a, b, out=out) if a.dtype == out.dtype else out.copy_(torch.mm(a, b))


def _block_rows(n_items: int) -> int:
    """Number of rows in a block of logits."""
    return max(1, devices.BLOCK // n_items)


def logits_bytes(rows: int, n_items: int) -> float:
    """Memory of a softmax loss of some rows, in bytes: the logits of a block, and the log-shares made of them."""
    return 8.0 * min(rows, _block_rows(n_items)) * n_items


@dataclass(frozen=True)
class _Block:
    """Users whose logits are worked on at once, and their events."""

    users: slice
    events: slice

    def places(self, at: Int[Tensor, " events"], n_items: int) -> Int[Tensor, " some"]:
        """Places of the block's events in the block, from those of all events in the users × items matrix."""
        own = at[self.events]
        return own if self.users.start == 0 else own - self.users.start * n_items


def _blocks(users: int, n_items: int, offsets: Int[Tensor, " offsets"], events: int) -> list[_Block]:
    """The blocks of a batch."""
    step = _block_rows(n_items)
    if users <= step:
        return [_Block(slice(0, users), slice(0, events))]
    starts = [*range(0, users, step), users]
    # Where events of a user begin is known to the device alone: one wait, in a step that takes long.
    cuts = list(zip(starts, offsets[starts].tolist(), strict=True))
    return [_Block(slice(a, b), slice(first, last)) for (a, first), (b, last) in pairwise(cuts)]


class _Multinomial(torch.autograd.Function):
    """The log-shares of a single block are kept for the backward pass; those of several are computed there again."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        items: Tensor,
        offsets: Tensor,
        values: Tensor | None,
        kind: torch.dtype | None,
    ) -> Tensor:
        n_items, users = len(weight), devices.users_of(offsets, len(items))
        at = users * n_items + items
        found = hidden.new_zeros(len(hidden))
        ctx.blocks, ctx.kept, ctx.kind = _blocks(len(hidden), n_items, offsets, len(items)), None, kind
        vectors = _rounded(weight, kind)
        for block in ctx.blocks:
            shares = _log_shares(hidden[block.users], vectors, bias)
            picked = shares.view(-1).index_select(0, block.places(at, n_items))
            found.index_add_(0, users[block.events], picked if values is None else picked * values[block.events])
            if len(ctx.blocks) == 1:
                ctx.kept = shares
        ctx.save_for_backward(hidden, weight, bias, offsets, users, at, values)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, offsets, users, at, values = ctx.saved_tensors
        kept, ctx.kept = ctx.kept, None  # overwritten here: a second backward pass computes them anew
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        counts = offsets.diff().to(hidden.dtype)
        if values is not None:
            counts = torch.zeros_like(counts).index_add_(0, users, values)
        at_positives = torch.where(counts > 0, counts.reciprocal(), 0.0).index_select(0, users)
        if values is not None:
            at_positives = at_positives * values
        scale = (-grads[0] * counts).unsqueeze(1)
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = grad_bias = None
        vectors = _rounded(weight, ctx.kind)
        for block in ctx.blocks:
            shares = _log_shares(hidden[block.users], vectors, bias) if kept is None else kept
            shares.exp_().view(-1).index_add_(0, block.places(at, len(weight)), at_positives[block.events], alpha=-1)
            own, factor = scale[block.users], _rounded(shares, ctx.kind)
            if grad_hidden is not None:
                _product_into(grad_hidden[block.users], factor, vectors)
            if wants_weight:
                grad_weight = _added(grad_weight, factor, _rounded(hidden[block.users] * own, ctx.kind))
            if wants_bias:
                grad_bias = _added(grad_bias, shares, own)
        if grad_hidden is not None:
            grad_hidden.mul_(scale)
        return grad_hidden, grad_weight, None if grad_bias is None else grad_bias.squeeze(1), None, None, None, None


def _added(
    total: Float[Tensor, "items width"] | None, shares: Float[Tensor, "rows items"], rows: Float[Tensor, "rows width"]
) -> Float[Tensor, "items width"]:
    """`total` plus sharesᵀ · rows, in the memory of `total`; at least in float32, where the factors are rounded."""
    if total is None:
        return at_least_float32(torch.mm(shares.t(), rows))
    if total.dtype == shares.dtype:
        return total.addmm_(shares.t(), rows)
    return total.add_(torch.mm(shares.t(), rows))


def multinomial_on_device(
    hidden: Float[Tensor, "users hidden"],
    weight: Float[Tensor, "items hidden"],
    bias: Float[Tensor, " items"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    values: Float[Tensor, " events"] | None = None,
) -> Float[Tensor, " users"]:
    """As `multinomial_from_hidden`, which describes the arguments; the gradients cannot be differentiated again."""
    apply: Any = _Multinomial.apply  # untyped in PyTorch
    result: Tensor = apply(at_least_float32(hidden), weight, bias, items, offsets, values, product_format(hidden))
    return result


def _losses(
    rows: Float[Tensor, "rows width"],
    weight: Float[Tensor, "items width"],
    bias: Float[Tensor, " items"] | None,
    targets: Int[Tensor, " rows"],
    *,
    gradients: bool,
) -> tuple[Float[Tensor, " rows"], Float[Tensor, "rows items"]]:
    """(loss of each row, its gradients with respect to the logits; of no meaning if not asked for)."""
    if _triton_computes(rows):
        # Imported here, since only PyTorch for GPUs brings Triton.
        from foldin.kernels.triton_softmax import losses_in_place

        logits = torch.mm(rows.to(weight.dtype), weight.t())
        return losses_in_place(logits, targets, bias, gradients=gradients), logits
    shares, y = _log_shares(rows, weight, bias), targets.unsqueeze(1)
    losses = -shares.gather(1, y).squeeze(1)
    if gradients:
        shares.exp_().scatter_add_(1, y, shares.new_full(y.shape, -1.0))
    return losses, shares


class _SumOfLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        wants: tuple[bool, bool, bool],
        kind: torch.dtype | None,
    ) -> Tensor:
        step, loss = _block_rows(len(weight)), hidden.new_zeros(())
        grad_hidden = torch.empty_like(hidden) if wants[0] else None
        grad_weight = grad_bias = None
        vectors = _rounded(weight, kind)
        for at in range(0, len(hidden), step):
            rows = hidden[at : at + step]
            losses, differences = _losses(rows, vectors, bias, targets[at : at + step], gradients=any(wants))
            loss.add_(losses.sum())
            factor = differences.to(vectors.dtype)
            if grad_hidden is not None:
                _product_into(grad_hidden[at : at + step], factor, vectors)
            if wants[1]:
                grad_weight = _added(grad_weight, factor, _rounded(rows, kind))
            if wants[2]:
                own = differences.sum(dim=0, dtype=hidden.dtype)
                grad_bias = own if grad_bias is None else grad_bias.add_(own)
        ctx.gradients = (grad_hidden, grad_weight, grad_bias)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found, ctx.gradients = ctx.gradients, None  # scaled in place: a second backward pass would scale them again
        assert found is not None, "gradients of the softmax can be taken once"
        return (*(None if one is None else one.mul_(grads[0]) for one in found), None, None, None)


def cross_entropy_on_device(
    hidden: Float[Tensor, "tokens width"],
    weight: Float[Tensor, "items width"],
    targets: Int[Tensor, " tokens"],
    bias: Float[Tensor, " items"] | None = None,
) -> Float[Tensor, ""]:
    """As `softmax_cross_entropy`: the forward pass computes the gradients too, in blocks of logits.

    There are no second derivatives, and the backward pass can run only once.
    """
    kind, hidden, weight = product_format(hidden), at_least_float32(hidden), at_least_float32(weight)
    recorded = torch.is_grad_enabled()
    wants = tuple(recorded and one is not None and one.requires_grad for one in (hidden, weight, bias))
    apply: Any = _SumOfLosses.apply  # untyped in PyTorch
    result: Tensor = apply(hidden, weight, bias, targets, wants, kind)
    return result
