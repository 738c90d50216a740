"""The gated pointwise attention of HSTU: weights without a softmax, and a gate on what they collect.

    U, V, Q, K = silu(W x),   A_ts = silu(⟨q_t, k_s⟩ + b_ts) / N for s ≤ t, else 0,   M(x) = W_o (LN(A V) ⊙ U) + b_o

x is the normalized input of the block, N the longest history that is read, and b_ts a learned bias by the distance of two
events and, with `timed`, by the logarithm of the time between them. The weights of an event need not sum to 1: events that match
do not compete, and LN takes away the scale of what is collected. By default no feed-forward layer follows, as in the paper.

Source: zhai2024 (HSTU), eqs. 1–3, and the authors' code: one bias for each distance and one for each power of two of seconds, LN
without weights, N constant. FuXi-α (ye2025) has a feed-forward layer again: `feed_forward=True` adds that of SASRec's block.

Departures from the paper: the time between two events is counted from the event of the query itself. The authors count it from
the event after it, the target of training, whose time is known in serving only as the time of the request. Dropout comes after
W_o, as in SASRec's block, and can also be drawn for the weights A. U, V, Q and K have the width of the block, divided among the
heads.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from foldin.models.sequential.mixers import Attending
from foldin.nn import (
    Appended,
    Kept,
    Mixer,
    Noise,
    Places,
    Positions,
    TransformerShape,
    dropout,
    join_heads,
    rotate,
    split_heads,
    xavier_linear,
)
from foldin.tensors import Float, Int, Tensor
from foldin.training import setting

__all__ = ["GatedAttention"]

_EPS = 1e-6  # of LN, as in the authors' code


@dataclass(frozen=True, kw_only=True)
class GatedAttention(Attending):
    """Attention with SiLU instead of the softmax, and a gate on its output.

    Source: zhai2024 (HSTU).
    """

    name = "gated"
    feed_forward: bool = setting(False, "Whether a feed-forward layer follows, as after the other mixers.")

    def layer(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> Mixer:
        return _PointwiseAttention(self, shape, generator, device)


def _told(times: Tensor | None) -> Tensor | None:
    """The times of events, or None if they are all 0, as those of histories without times: without a softmax, equal biases of all
    events would not cancel.
    """
    return None if times is None or not bool(times.any()) else times


class _PointwiseAttention(Mixer):
    def __init__(
        self, option: GatedAttention, shape: TransformerShape, generator: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        self.shape, self.feeds_forward = shape, option.feed_forward
        self.gates, self.values, self.queries, self.keys = (
            xavier_linear(shape.width, shape.width, False, generator, device) for _ in range(4)
        )
        self.outputs = xavier_linear(shape.width, shape.width, True, generator, device)
        self.bias = Positions(shape.heads, shape.length, relative=True, timed=shape.timed, device=device)

    def _read(
        self, x: Float[Tensor, "users length width"], at: Int[Tensor, "#users length"]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(gates, queries, keys, values) of events at positions `at`."""
        q, k, v = (split_heads(F.silu(layer(x)), self.shape.heads) for layer in (self.queries, self.keys, self.values))
        if self.shape.rotary:
            q, k = rotate(q, at), rotate(k, at)
        return F.silu(self.gates(x)), q, k, v

    def _weights(self, q: Tensor, k: Tensor, bias: Tensor | None, visible: Tensor) -> Tensor:
        scores = q @ k.transpose(-1, -2)
        return F.silu(scores if bias is None else scores + bias) * (visible / self.shape.length)

    def _gated(self, gates: Tensor, collected: Float[Tensor, "users heads length part"]) -> Tensor:
        return self.outputs(F.layer_norm(join_heads(collected), (self.shape.width,), eps=_EPS) * gates)

    def forward(self, normed: Tensor, source: Tensor, places: Places, noise: Noise) -> tuple[Tensor, Kept]:
        u, q, k, v = self._read(normed, places.at)
        times = _told(places.times)
        bias = self.bias(places.at, places.at, times, times)
        visible = torch.ones(q.shape[2], q.shape[2], device=q.device, dtype=q.dtype).tril()
        weights = self._weights(q, k, bias, visible)
        if noise is not None:
            weights = dropout(weights, self.shape.attention_dropout, noise)
        return self._gated(u, weights @ v), (k, v)

    def extend(self, normed: Tensor, source: Tensor, kept: Kept, event: Appended) -> tuple[Tensor, Kept]:
        u, q, k, v = self._read(normed, event.at)
        keys, values = event.among(kept[0], k), event.among(kept[1], v)
        times = _told(event.all_times)
        bias = self.bias(event.at, event.all_at, None if times is None else event.times, times)
        visible = (event.all_at <= event.at)[:, None, None, :].to(q.dtype)
        return self._gated(u, self._weights(q, keys, bias, visible) @ values), (keys, values)
