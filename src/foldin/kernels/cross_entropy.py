"""Full softmax cross-entropy of many tokens: loss and gradients in one pass, a chunk of tokens at a time.

A sequence model predicts at every position: tokens × items logits would be gigabytes. Here the logits of a chunk stay in the
processor's cache; the chunk's gradients are computed at once, and the logits are discarded. With E = exp(logits − row
maximum), T its row sums and y the targets,

    ∂(−log p_y)/∂logits = E/T − 1_y = (E − T 1_y) / T

so the large matrix needs no division: T is subtracted at the target, and the small factor of each product is divided by T.

On a CPU each thread works on different chunks, with products by NumPy's BLAS (see `products.py` and `threads.py`), so that no
thread waits between a product and the exponentials. The gradients of the threads are summed in a fixed order, so every run
gives the same bits.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from foldin.kernels.autocast import product_format
from foldin.kernels.devices import on_device
from foldin.kernels.devices_softmax import cross_entropy_on_device
from foldin.kernels.threads import on_threads, scratch, thread_count
from foldin.tensors import Array, Float, Int, Int64, Tensor

__all__ = ["softmax_cross_entropy"]

_CHUNK_BYTES = 4 << 20  # of logits: with a thread's other matrices they fit into the last-level cache
_LEAST_ROWS = 64


@dataclass(frozen=True, kw_only=True)
class _Gradients:
    """The sum of the losses, in nats, and its gradients; a gradient that was not requested is None."""

    loss: float
    hidden: Float[Array, "tokens width"] | None
    weight: Float[Array, "items width"] | None
    bias: Float[Array, " items"] | None


def _chunk_rows(tokens: int, n_items: int, threads: int) -> int:
    """Number of tokens in a chunk: about 4 MB of logits, and fewer where otherwise some threads would have no chunk."""
    return max(1, min(max(_LEAST_ROWS, _CHUNK_BYTES // (4 * n_items)), -(-tokens // threads)))


def _share(
    hidden: Float[Array, "tokens width"],
    weight: Float[Array, "items width"],
    bias: Float[Array, " items"] | None,
    targets: Int64[Array, " tokens"],
    chunks: list[slice],
    grad_hidden: Float[Array, "tokens width"] | None,
    wants: tuple[bool, bool],
) -> tuple[float, Array | None, Array | None]:
    """(sum of losses, gradient of the weights, gradient of the bias) over one thread's chunks; None where not requested."""
    n_items, width = weight.shape
    longest = max((chunk.stop - chunk.start for chunk in chunks), default=0)
    block = scratch("logits", (longest, n_items), hidden.dtype)
    product = scratch("product", (n_items, width), hidden.dtype) if wants[0] else None
    grad_weight: Array | None = None
    grad_bias = np.zeros(n_items, dtype=hidden.dtype) if wants[1] else None
    loss = 0.0
    for chunk in chunks:
        rows, y = hidden[chunk], targets[chunk]
        at = np.arange(len(rows))
        logits = block[: len(rows)]
        np.matmul(rows, weight.T, out=logits)
        if bias is not None:
            logits += bias
        top = logits.max(axis=1, keepdims=True)
        logits -= top
        picked = logits[at, y]
        np.exp(logits, out=logits)
        total = logits.sum(axis=1, keepdims=True)
        loss += float((np.log(total[:, 0]) - picked).sum(dtype=np.float64))
        if grad_hidden is None and product is None and grad_bias is None:
            continue
        logits[at, y] -= total[:, 0]
        inverse = 1.0 / total
        if grad_hidden is not None:
            np.matmul(logits, weight, out=grad_hidden[chunk])
            grad_hidden[chunk] *= inverse
        if product is not None:
            if grad_weight is None:
                grad_weight = np.matmul(logits.T, rows * inverse)
            else:
                grad_weight += np.matmul(logits.T, rows * inverse, out=product)
        if grad_bias is not None:
            grad_bias += logits.T @ inverse[:, 0]
    return loss, grad_weight, grad_bias


def _on_cpu(
    hidden: Float[Array, "tokens width"],
    weight: Float[Array, "items width"],
    bias: Float[Array, " items"] | None,
    targets: Int64[Array, " tokens"],
    wants: tuple[bool, bool, bool],
) -> _Gradients:
    threads = thread_count()
    step = _chunk_rows(len(hidden), len(weight), threads)
    chunks = [slice(at, min(at + step, len(hidden))) for at in range(0, len(hidden), step)]
    grad_hidden = np.empty_like(hidden) if wants[0] else None
    shares = [chunks[one::threads] for one in range(min(threads, len(chunks)))]

    def work(mine: list[slice]) -> tuple[float, Array | None, Array | None]:
        return _share(hidden, weight, bias, targets, mine, grad_hidden, wants[1:])

    found = on_threads(work, shares)
    (_, grad_weight, grad_bias), *rest = found
    for _, more_weight, more_bias in rest:
        if grad_weight is not None:
            grad_weight += more_weight
        if grad_bias is not None:
            grad_bias += more_bias
    return _Gradients(loss=sum(one[0] for one in found), hidden=grad_hidden, weight=grad_weight, bias=grad_bias)


class _SumOfLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
        found = _on_cpu(
            hidden.detach().contiguous().numpy(),
            weight.detach().contiguous().numpy(),
            None if bias is None else bias.detach().numpy(),
            targets.numpy(),
            (ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.needs_input_grad[2]),
        )
        ctx.gradients = found
        return hidden.new_tensor(found.loss)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found: _Gradients | None = ctx.gradients
        ctx.gradients = None  # scaled in place: a second backward pass would scale them again
        assert found is not None, "gradients of the softmax can be taken once"
        of = (found.hidden, found.weight, found.bias)
        return (*(None if one is None else torch.from_numpy(one).mul_(grads[0]) for one in of), None)


def softmax_cross_entropy(
    hidden: Float[Tensor, "tokens width"],
    weight: Float[Tensor, "items width"],
    targets: Int[Tensor, " tokens"],
    bias: Float[Tensor, " items"] | None = None,
) -> Float[Tensor, ""]:
    """Sum over the tokens of −log softmax(hidden Wᵀ + b) at their targets, in nats.

    Memory is bounded by a chunk of logits for each thread, on a GPU by about a gigabyte of them twice, whatever the number of
    tokens and items. The forward pass computes the gradients too, so there are no second derivatives, and the backward pass can
    run only once. Under `torch.autocast`, whose number format the products then have, a CPU computes as a GPU does.
    """
    if on_device(hidden) or product_format(hidden) is not None:
        return cross_entropy_on_device(hidden, weight, targets, bias)
    apply: Any = _SumOfLosses.apply  # untyped in PyTorch
    result: Tensor = apply(hidden, weight, bias, targets)
    return result
