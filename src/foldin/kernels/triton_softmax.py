"""The softmax of rows of logits on a GPU, with losses and gradients, by one kernel of Triton, which comes with PyTorch for GPUs.

PyTorch's operations write log-shares beside the logits, and read and write them again for the shares. Here a row is read twice,
first for its greatest logit and the sum of exponentials (milakov2018, algorithm 3), then to overwrite each logit by its gradient.
"""

from typing import Any, no_type_check

import torch
import triton
import triton.language as tl

from foldin.tensors import Float, Int, Tensor

__all__ = ["losses_in_place"]

_WIDE = 8192  # items of a wide catalog that are read at once


@triton.jit
@no_type_check
def _row(logits, targets, bias, losses, items, biased: tl.constexpr, write: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    own = logits + row * items
    target = tl.load(targets + row)
    # Read first: the threads of a row wait for each other in the sums below, and then overwrite it.
    at_target = tl.load(own + target).to(tl.float32)
    if biased:
        at_target += tl.load(bias + target)
    top = -float("inf")
    total = 0.0
    for start in range(0, items, block):
        at = start + tl.arange(0, block)
        x = tl.load(own + at, mask=at < items, other=-float("inf")).to(tl.float32)
        if biased:
            x += tl.load(bias + at, mask=at < items, other=0.0)
        risen = tl.maximum(top, tl.max(x))
        total = total * tl.exp(top - risen) + tl.sum(tl.exp(x - risen))
        top = risen
    total = top + tl.log(total)
    tl.store(losses + row, total - at_target)
    if write:
        for start in range(0, items, block):
            at = start + tl.arange(0, block)
            x = tl.load(own + at, mask=at < items, other=-float("inf")).to(tl.float32)
            if biased:
                x += tl.load(bias + at, mask=at < items, other=0.0)
            share = tl.exp(x - total)
            tl.store(own + at, tl.where(at == target, share - 1.0, share), mask=at < items)


def losses_in_place(
    logits: Float[Tensor, "rows items"],
    targets: Int[Tensor, " rows"],
    bias: Float[Tensor, " items"] | None,
    *,
    gradients: bool,
) -> Float[Tensor, " rows"]:
    """−log softmax(logits + bias) of each row at its target, in nats; the logits become the gradients if `gradients`.

    Args:
        logits: in float32, or in a shorter format, in which the gradients are then too; computed in float32.
    """
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    n_items = logits.shape[1]
    block, warps = (_WIDE, 8) if n_items > _WIDE else (2048, 4)
    kernel: Any = _row  # untyped in Triton
    with torch.cuda.device(logits.device):
        kernel[(len(logits),)](
            logits,
            targets.contiguous(),
            logits if bias is None else bias.contiguous(),
            losses,
            n_items,
            biased=bias is not None,
            write=gradients,
            block=block,
            num_warps=warps,
        )
    return losses
