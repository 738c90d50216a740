"""Kernels for devices on which a processor launches operations, such as GPUs, where they differ from those for the processor.

On such a device arithmetic is cheap. A step of these models takes as long as launching its operations, and waiting for results
whose size the processor must know before it can go on. So no operation here has a result whose size only the device knows,
matrices are worked on in blocks of a gigabyte instead of a few megabytes, and sums are added in any order: on a GPU, two runs
agree up to rounding only.

The functions compute the same on a CPU, where the tests compare them with the kernels for the processor.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from foldin.tensors import Float, Int, Tensor

__all__ = ["BLOCK", "bag_on_device", "on_device", "users_of"]

BLOCK = 1 << 28  # numbers that are worked on at once: a gigabyte in single precision
_PROCESSOR = "cpu"


def on_device(x: Tensor) -> bool:
    """Whether x is on a device on which the processor launches operations: on any but the CPU."""
    return x.device.type != _PROCESSOR


def users_of(offsets: Int[Tensor, " offsets"], events: int) -> Int[Tensor, " events"]:
    """The user of each of `events` events; as their number is given, it need not be waited for."""
    return torch.repeat_interleave(offsets.diff(), output_size=events)


class _Bag(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, items: Tensor, offsets: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(items, offsets, values)
        ctx.shape = weight.shape
        return F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        items, offsets, values = ctx.saved_tensors
        users, total = users_of(offsets, len(items)), grads[0].new_zeros(ctx.shape)
        step = max(1, BLOCK // ctx.shape[1])
        for at in range(0, len(items), step):
            part = slice(at, at + step)
            rows = grads[0].index_select(0, users[part]).mul_(values[part].unsqueeze(1))
            total.index_add_(0, items[part], rows)
        return total, None, None, None


def bag_on_device(
    weight: Float[Tensor, "items hidden"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    values: Float[Tensor, " events"],
) -> Float[Tensor, "users hidden"]:
    """As `bag_of_items`; the gradient of `weight` is added event by event, and cannot be differentiated again."""
    apply: Any = _Bag.apply  # untyped in PyTorch
    result: Tensor = apply(weight, items, offsets, values)
    return result
