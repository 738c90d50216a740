"""Causal self-attention, optionally with rotary or relative positions and with the time between events.

    attention(Q, K, V) = softmax(Q Kᵀ / √d + B) V,   B_ij = −∞ for j > i

Source: vaswani2017, eq. 1; kang2018, eqs. 3–4. Rotary positions: su2021, eq. 34. A learned bias by distance: raffel2020,
section 2.1, one for each distance. A learned bias by the logarithm of the time between two events: zhai2024 (HSTU).
"""

import torch
from torch import nn
from torch.nn import functional as F

from foldin.kernels import at_least_float32
from foldin.nn.dropout import dropout
from foldin.tensors import Float, Int, Tensor

__all__ = ["Positions", "attend", "rotate"]

_TIME_BUCKETS = 40  # log₂ of seconds: 2⁴⁰ s are 35,000 years


def rotate(x: Float[Tensor, "users heads length width"], at: Int[Tensor, "#users length"]) -> Float[Tensor, "..."]:
    """Queries or keys x with rotary positions: each pair of coordinates is rotated by an angle that grows with the position.

    The first pairs rotate fastest. The product of a query and a key rotated this way depends on their positions only through the
    distance between them.
    """
    half, kind = x.shape[-1] // 2, x.dtype
    x = at_least_float32(x)  # bfloat16 has no positions above 256
    speeds = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angles = at.to(x.dtype)[:, None, :, None] * speeds
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half : 2 * half]
    return torch.cat((a * cos - b * sin, a * sin + b * cos, x[..., 2 * half :]), dim=-1).to(kind)


class Positions(nn.Module):
    """Learned bias that is added to Q Kᵀ / √d, from the distance of two events and the time between them.

    Args:
        heads: number of attention heads.
        length: number of distances, 0 … length − 1; larger ones share the last bias.
        relative: whether there is a bias for each head and distance.
        timed: whether there is a bias for each head and power of two of seconds.
    """

    def __init__(self, heads: int, length: int, *, relative: bool, timed: bool, device: torch.device) -> None:
        super().__init__()
        self.length = length
        self.distance = nn.Parameter(torch.zeros(heads, length, device=device)) if relative else None
        self.elapsed = nn.Parameter(torch.zeros(heads, _TIME_BUCKETS, device=device)) if timed else None

    def forward(
        self,
        query_at: Int[Tensor, "#users queries"],
        key_at: Int[Tensor, "#users keys"],
        query_times: Int[Tensor, "users queries"] | None,
        key_times: Int[Tensor, "users keys"] | None,
    ) -> Float[Tensor, "#users heads queries keys"] | None:
        """The bias, None if there is none; one for all users if it depends on positions alone. The caller masks later keys.

        Without times there is no bias by the time between events.
        """
        bias = None
        if self.distance is not None:
            apart = (query_at[:, :, None] - key_at[:, None, :]).clamp(0, self.length - 1)
            bias = self.distance[:, apart].transpose(0, 1)
        if self.elapsed is not None and query_times is not None and key_times is not None:
            seconds = (query_times[:, :, None] - key_times[:, None, :]).clamp(min=0)
            bucket = torch.log2(seconds.to(torch.float32) + 1.0).to(torch.int64).clamp(max=_TIME_BUCKETS - 1)
            timed = self.elapsed[:, bucket].transpose(0, 1)
            bias = timed if bias is None else bias + timed
        return bias


def attend(
    q: Float[Tensor, "users heads queries width"],
    k: Float[Tensor, "users heads keys width"],
    v: Float[Tensor, "users heads keys width"],
    *,
    bias: Float[Tensor, "#users heads queries keys"] | None = None,
    visible: Float[Tensor, "users 1 queries keys"] | None = None,
    rate: float = 0.0,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "users heads queries width"]:
    """Attention output of each query, over the keys up to it or, with `visible`, over those where `visible` is 0, not −∞.

    Args:
        bias: added to Q Kᵀ / √d.
        rate: dropout of the attention weights. PyTorch's fused kernel would draw it from the global generator, so with dropout
            the formula is written out here.
    """
    mask = bias
    if visible is not None or bias is not None or rate > 0.0:
        if visible is None:
            visible = torch.full((q.shape[2], k.shape[2]), -torch.inf, device=q.device, dtype=q.dtype).triu(1)
        mask = visible if bias is None else bias + visible
    if rate == 0.0:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    weights = torch.softmax(at_least_float32(q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + mask, dim=-1)
    return dropout(weights, rate, generator) @ v
