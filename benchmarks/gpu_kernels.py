"""Candidates for the kernels of training on a GPU, which `gpu.py` measures beside those in use.

A step of these models is limited there by the processor that launches operations and waits for their results, not by arithmetic.
So no operation here has a result whose size only the card knows, matrices are worked on as a whole, and gradients of the softmax
are computed in the forward pass, a gigabyte of logits at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.kernels import Buffers
from foldin.models.autoencoders import _dense_encoder, _sparse_autoencoder
from foldin.models.autoencoders import recvae as recvae_module
from foldin.models.sequential import _sasrec_trainer, losses
from foldin.nn import sequence_encoder, sequences, transformer
from foldin.nn.sequences import Sequences

__all__ = ["candidates"]

_CHUNK = 1 << 28  # logits


def _shares(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(log of the sum of exponentials, softmax) of each row."""
    total = torch.logsumexp(logits, dim=1, keepdim=True)
    return total, torch.exp(logits - total)


def _in_place(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As `_shares`, in the memory of the logits."""
    total = torch.logsumexp(logits, dim=1, keepdim=True)
    return total, logits.sub_(total).exp_()


_fused = torch.compile(_shares, dynamic=True)


def rows_of(offsets: torch.Tensor, total: int) -> torch.Tensor:
    """The user of each of `total` events."""
    return torch.searchsorted(offsets, torch.arange(total, device=offsets.device), right=True) - 1


def drop_events(
    items: torch.Tensor,
    offsets: torch.Tensor,
    weights: torch.Tensor,
    rate: float,
    generator: torch.Generator,
    axis: str = "events",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Dropped events stay, with weight 0."""
    if rate == 0.0:
        return items, offsets, weights
    keep = torch.empty_like(weights).bernoulli_(1.0 - rate, generator=generator)
    return items, offsets, weights * keep.mul_(1.0 / (1.0 - rate))


class _Bag(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight: torch.Tensor, items: torch.Tensor, offsets: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(items, offsets, values)
        ctx.shape = weight.shape
        return F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        items, offsets, values = ctx.saved_tensors
        rows = grads[0].index_select(0, rows_of(offsets, len(items))).mul_(values.unsqueeze(1))
        return grads[0].new_zeros(ctx.shape).index_add_(0, items, rows), None, None, None


def bag_of_items(
    weight: torch.Tensor,
    items: torch.Tensor,
    offsets: torch.Tensor,
    values: torch.Tensor,
    buffers: Buffers | None = None,
) -> torch.Tensor:
    apply: Any = _Bag.apply  # untyped in PyTorch
    found: torch.Tensor = apply(weight, items, offsets, values)
    return found


def read_weights(items: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """1/√n for each event."""
    return offsets.diff().clamp(min=1).float().rsqrt()[rows_of(offsets, len(items))]


def encode(
    self: Any, items: Any, offsets: Any, weights: Any = None, *, dropout: float = 0.0, generator: Any = None, **_: Any
) -> Any:
    """The input layer of Mult-VAE, for binary histories."""
    items, offsets, values = drop_events(items, offsets, read_weights(items, offsets), dropout, generator)
    return self._encoded(bag_of_items(self.encoder[0], items, offsets, values))


def read(
    self: Any, items: Any, offsets: Any, weights: Any = None, *, dropout: float = 0.0, generator: Any = None
) -> Any:
    """The encoder of RecVAE, for binary histories."""
    items, offsets, values = drop_events(items, offsets, read_weights(items, offsets), dropout, generator)
    return self._heads_of(bag_of_items(self.first, items, offsets, values))


class _Multinomial(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        items: torch.Tensor,
        offsets: torch.Tensor,
    ) -> torch.Tensor:
        users = rows_of(offsets, len(items))
        logits = torch.addmm(bias, hidden, weight.t())
        total, at = torch.logsumexp(logits, dim=1), users * len(weight) + items
        counts = offsets.diff().to(hidden.dtype)
        picked = logits.view(-1).index_select(0, at)
        ctx.save_for_backward(hidden, weight, logits, total, counts, at, users)
        return torch.zeros_like(total).index_add_(0, users, picked).addcmul_(counts, total, value=-1.0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, weight, logits, total, counts, at, users = ctx.saved_tensors
        g = grads[0]
        # In place: one backward pass.
        p = logits.sub_(total.unsqueeze(1)).exp_().mul_((-g * counts).unsqueeze(1))
        p.view(-1).index_add_(0, at, g.index_select(0, users))
        wants = ctx.needs_input_grad
        return (
            torch.mm(p, weight) if wants[0] else None,
            torch.mm(p.t(), hidden) if wants[1] else None,
            p.sum(dim=0) if wants[2] else None,
            None,
            None,
        )


def multinomial_from_hidden(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    items: torch.Tensor,
    offsets: torch.Tensor,
    buffers: Buffers | None = None,
    values: torch.Tensor | None = None,
) -> torch.Tensor:
    apply: Any = _Multinomial.apply  # untyped in PyTorch
    found: torch.Tensor = apply(hidden, weight, bias, items, offsets)
    return found


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        shares: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
    ) -> torch.Tensor:
        step = max(1, _CHUNK // len(weight))
        grad_hidden, grad_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        grad_bias = None if bias is None else torch.zeros_like(bias)
        loss = hidden.new_zeros(())
        for at in range(0, len(hidden), step):
            rows, y = hidden[at : at + step], targets[at : at + step].unsqueeze(1)
            logits = rows @ weight.t() if bias is None else torch.addmm(bias, rows, weight.t())
            picked = logits.gather(1, y)
            total, p = shares(logits)
            loss += (total - picked).sum()
            p.scatter_add_(1, y, torch.full_like(total, -1.0))
            torch.mm(p, weight, out=grad_hidden[at : at + step])
            grad_weight.addmm_(p.t(), rows)
            if grad_bias is not None:
                grad_bias += p.sum(dim=0)
        ctx.found = (grad_hidden, grad_weight, grad_bias)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        found, ctx.found = ctx.found, None
        return (*(None if one is None else one.mul_(grads[0]) for one in found), None, None)


def softmax_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    targets: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    fused: bool = False,
) -> torch.Tensor:
    """The sum of the losses; with `fused`, the softmax is one compiled operation."""
    apply: Any = _CrossEntropy.apply  # untyped in PyTorch
    found: torch.Tensor = apply(hidden, weight, bias, targets, _fused if fused else _in_place)
    return found


def dropout(x: torch.Tensor, rate: float, generator: torch.Generator | None) -> torch.Tensor:
    if rate == 0.0:
        return x
    return x * torch.empty_like(x).bernoulli_(1.0 - rate, generator=generator).mul_(1.0 / (1.0 - rate))


def transitions(
    histories: Histories, length: int, device: torch.device, crop: Any = None, width: int = 0
) -> tuple[Sequences, torch.Tensor]:
    """Places of the true events are found on the processor, which knows the lengths."""
    lengths = np.minimum(histories.lengths - 1, length)
    starts = histories.offsets[1:] - 1 - lengths
    given = sequences._sequences(histories, starts, lengths, device)
    true = np.arange(given.items.shape[1]) < lengths[:, None]
    following = sequences._rectangle(histories.items, starts + 1, lengths)[true]
    object.__setattr__(given, "at", torch.from_numpy(np.flatnonzero(true)).to(device))
    return given, torch.from_numpy(following).to(device)


@contextmanager
def candidates() -> Iterator[None]:
    """A context in which foldin trains by these kernels."""
    patched = (
        (_sparse_autoencoder, "multinomial_from_hidden", multinomial_from_hidden),
        (_sparse_autoencoder.SparseAutoencoder, "encode", encode),
        (_dense_encoder.DenseEncoder, "forward", read),
        (sequence_encoder, "bag_of_items", bag_of_items),
        (recvae_module, "multinomial_from_hidden", multinomial_from_hidden),
        (losses, "softmax_cross_entropy", softmax_cross_entropy),
        (_sasrec_trainer, "transitions", transitions),
        (Sequences, "positions", lambda self: self.at),
        (sequence_encoder, "dropout", dropout),
        (transformer, "dropout", dropout),
    )
    with ExitStack() as stack:
        for where, name, value in patched:
            stack.enter_context(mock.patch.object(where, name, value))
        yield
