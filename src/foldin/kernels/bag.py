"""Sparse input: a linear layer over users' items that never builds a dense users × items matrix."""

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from foldin.kernels.buffers import Buffers
from foldin.kernels.devices import bag_on_device, on_device
from foldin.tensors import Float, Int, Tensor
from foldin.workers import drawn

__all__ = [
    "bag_of_items",
    "drop_events",
    "padded_bag",
    "padded_recency_weights",
    "read_weights",
    "recency_weights",
    "sums_by_item",
    "unit_rows",
    "unit_weights",
]


def unit_weights(
    offsets: Int[Tensor, " offsets"], dtype: torch.dtype = torch.float32, events: int | None = None
) -> Float[Tensor, " events"]:
    """Weight 1/√n for each event of a user with n events: a binary history divided by its L2 norm if no item repeats.

    Args:
        events: number of events; None to read it from `offsets`, for which a GPU is waited for.
    """
    lengths = offsets.diff()
    return torch.repeat_interleave(lengths.clamp(min=1).to(dtype).rsqrt(), lengths, output_size=events)


def recency_weights(
    offsets: Int[Tensor, " offsets"], oldest: float, events: int | None = None
) -> Float[Tensor, " events"]:
    """Weight of each event, rising linearly from `oldest` to 1 over a user's history; a single event has weight 1.

    Args:
        events: number of events; None to read it from `offsets`, for which a GPU is waited for.

    Source: wang2023, section 3.6 (T-DiffRec).
    """
    if oldest == 1.0:
        return torch.ones(int(offsets[-1]) if events is None else events, device=offsets.device)
    lengths = offsets.diff()
    own = torch.repeat_interleave(lengths, lengths, output_size=events)
    starts = torch.repeat_interleave(offsets[:-1], lengths, output_size=len(own))
    place = torch.arange(len(own), device=offsets.device) - starts
    return 1.0 - (1.0 - oldest) * (own - 1 - place) / (own - 1).clamp(min=1)


def read_weights(
    offsets: Int[Tensor, " offsets"],
    oldest: float = 1.0,
    dtype: torch.dtype = torch.float32,
    events: int | None = None,
) -> Float[Tensor, " events"]:
    """Weight of each event: the recency weights of its user divided by their L2 norm; `unit_weights` if `oldest` is 1.

    Args:
        events: number of events; None to read it from `offsets`, for which a GPU is waited for.
    """
    if oldest == 1.0:
        return unit_weights(offsets, dtype, events)
    return unit_rows(offsets, recency_weights(offsets, oldest, events).to(dtype))


def unit_rows(offsets: Int[Tensor, " offsets"], values: Float[Tensor, " events"]) -> Float[Tensor, " events"]:
    """Value of each event divided by the L2 norm of its user's values."""
    lengths = offsets.diff()
    users = torch.repeat_interleave(torch.arange(len(lengths), device=values.device), lengths, output_size=len(values))
    squares = values.new_zeros(len(lengths)).index_add_(0, users, values.square())
    return values * squares.clamp(min=1e-12).rsqrt()[users]


def padded_recency_weights(history: Int[Tensor, "users length"], oldest: float) -> Float[Tensor, "users length"]:
    """Recency weights (see `recency_weights`) of histories padded with −1; the padding has weight 0."""
    known = history >= 0
    lengths = known.sum(dim=1, keepdim=True)
    after = lengths - known.cumsum(dim=1)
    return (1.0 - (1.0 - oldest) * after / (lengths - 1).clamp(min=1)) * known


def drop_events(
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    weights: Float[Tensor, " events"],
    rate: float,
    generator: torch.Generator,
    axis: str = "events",
    *,
    compact: bool = True,
) -> tuple[Int[Tensor, " kept"], Int[Tensor, " offsets"], Float[Tensor, " kept"]]:
    """(items, offsets, weights) of the events that are left after inverted dropout, which drops each with probability `rate`.

    Items without an event are zero with and without dropout, so only the events are drawn.

    Args:
        axis: name of what is drawn for, where workers share a batch: `read` if dislikes are among the events.
        compact: whether the dropped events must be left out on a GPU too, as where a gradient has rows for the others alone.
            Otherwise they stay there, with weight 0, since their number would have to be waited for.
    """
    if rate == 0.0:
        return items, offsets, weights
    uniform = drawn(
        items.shape,
        generator,
        lambda shape: torch.rand(shape, generator=generator, device=items.device),
        axis,
    )
    keep = uniform >= rate
    if not compact and on_device(items):
        return items, offsets, torch.where(keep, weights / (1.0 - rate), 0.0)
    before = torch.zeros(len(items) + 1, dtype=torch.int64, device=items.device)
    torch.cumsum(keep, 0, out=before[1:])
    return items[keep], before[offsets], weights[keep] / (1.0 - rate)


def sums_by_item(
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    values: Float[Tensor, " events"],
    of_users: Float[Tensor, "users hidden"],
) -> tuple[Int[Tensor, " rows"], Float[Tensor, "rows hidden"]]:
    """(items that occur, Σ value · vector of the user over the events of each item): the nonzero rows of Xᵀ G.

    A batch touches few items of the catalog. Each sum is taken in a fixed order, so every run gives the same bits.
    """
    order = _stable_order(items)
    users = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=items.device), offsets.diff())
    rows, counts = torch.unique_consecutive(items[order], return_counts=True)
    starts = torch.zeros(len(rows) + 1, dtype=torch.int64, device=items.device)
    torch.cumsum(counts, 0, out=starts[1:])
    summed = F.embedding_bag(
        users[order],
        of_users.contiguous(),
        starts,
        mode="sum",
        per_sample_weights=values[order],
        include_last_offset=True,
    )
    return rows, summed


def _stable_order(items: Int[Tensor, " events"]) -> Int[Tensor, " events"]:
    """Stable argsort of items; NumPy's 16-bit radix sort takes a fourth of PyTorch's time where the indices are small."""
    if items.device.type == "cpu" and len(items) and int(items.max()) < 1 << 15:
        return torch.from_numpy(np.argsort(items.numpy().astype(np.int16), kind="stable"))
    return torch.argsort(items, stable=True)


class _BagOfItems(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, items: Tensor, offsets: Tensor, values: Tensor, buffers: Buffers | None
    ) -> Tensor:
        ctx.save_for_backward(weight, items, offsets, values)
        ctx.buffers = buffers
        return F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        weight, items, offsets, values = ctx.saved_tensors
        rows, summed = sums_by_item(items, offsets, values, grads[0])
        buffers = ctx.buffers or Buffers()
        grad = buffers.row_gradient("bag", weight, rows)
        grad.index_copy_(0, rows, summed)
        return grad.detach(), None, None, None, None


def bag_of_items(
    weight: Float[Tensor, "items hidden"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    values: Float[Tensor, " events"],
    buffers: Buffers | None = None,
) -> Float[Tensor, "users hidden"]:
    """X W of each user, where the sparse matrix X is given by `items`, `offsets` and the entries' `values`.

    Args:
        buffers: memory for the gradient of `weight`, reused between steps; None allocates it each time. Each weight needs a
            `Buffers` object that no other weight uses. A GPU, whose allocator reuses memory itself, does without.
    """
    if on_device(weight):
        return bag_on_device(weight, items, offsets, values)
    apply: Any = _BagOfItems.apply  # untyped in PyTorch
    result: Tensor = apply(weight, items, offsets, values, buffers)
    return result


def padded_bag(
    weight: Float[Tensor, "items hidden"],
    history: Int[Tensor, "users length"],
    *,
    oldest: float = 1.0,
    normalized: bool = True,
) -> Float[Tensor, "users hidden"]:
    """X W of each user, for histories padded with −1 to a rectangle, in plain PyTorch operations.

    Exported models compute this. It equals `bag_of_items` with `recency_weights`, divided by their L2 norm per user if
    `normalized`; with the default arguments, `bag_of_items` with `unit_weights`.
    """
    values = padded_recency_weights(history, oldest).to(weight.dtype)
    if normalized:
        values = values * values.square().sum(dim=1, keepdim=True).clamp(min=1e-12).rsqrt()
    return (F.embedding(history.clamp(min=0), weight) * values.unsqueeze(-1)).sum(dim=1)
