"""A linear layer of noisy sparse rows x + σ ε, computed without the dense rows.

The layer is linear, so (x + σ ε) W = x W + σ ε W. A fresh ε for every user would make the second term as expensive as a dense
layer; here, the noise of a batch lies in a space of few dimensions,

    ε_u = Σ_g a_ug e_g,   e_g ~ N(0, I) over the items, fresh in each step,   a_u uniform on the unit sphere,

so that each ε_u is exactly N(0, I), and the expectations of means over users, such as the loss and its gradient, do not change.
The only difference is that the noise of users of one batch is dependent.
"""

from typing import Any

import torch
from torch.nn import functional as F

from foldin.kernels import Buffers, matmul_into, sums_by_item
from foldin.tensors import Float, Int, Tensor

__all__ = ["noisy_bag"]


class _NoisyBag(torch.autograd.Function):
    """X W + A (E W), for directions E and the users' coefficients A of these; one gradient for both terms."""

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        items: Tensor,
        offsets: Tensor,
        values: Tensor,
        shares: Tensor,
        directions: Tensor,
        buffers: Buffers | None,
    ) -> Tensor:
        ctx.save_for_backward(weight, items, offsets, values, shares, directions)
        ctx.buffers = buffers or Buffers()
        taken = F.embedding_bag(items, weight, offsets, mode="sum", per_sample_weights=values, include_last_offset=True)
        noise = matmul_into(weight.new_empty(len(directions), weight.shape[1]), directions, weight)
        return taken.addmm_(shares, noise)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, items, offsets, values, shares, directions = ctx.saved_tensors
        grad = ctx.buffers.gradient("noisy bag", weight)
        matmul_into(grad, directions.t(), torch.mm(shares.t(), grads[0]))
        rows, taken = sums_by_item(items, offsets, values, grads[0])
        return grad.index_add_(0, rows, taken).detach(), None, None, None, None, None, None


def noisy_bag(
    weight: Float[Tensor, "items hidden"],
    items: Int[Tensor, " events"],
    offsets: Int[Tensor, " offsets"],
    values: Float[Tensor, " events"],
    sigma: Float[Tensor, " users"],
    generator: torch.Generator,
    *,
    dimensions: int = 32,
    buffers: Buffers | None = None,
) -> Float[Tensor, "users hidden"]:
    """(X + diag(σ) ε) W for sparse rows X, ε ~ N(0, I) for each user.

    Args:
        sigma: standard deviation of each user's noise.
        generator: generator of the noise, on the weight's device.
        dimensions: dimension of the space in which the noise of this call lies.
        buffers: where the gradient of `weight` is kept between steps; one weight needs one `Buffers`.
    """
    shares = torch.randn(len(sigma), dimensions, generator=generator, device=weight.device, dtype=weight.dtype)
    shares = F.normalize(shares, dim=1) * sigma.unsqueeze(1)
    directions = torch.randn(dimensions, len(weight), generator=generator, device=weight.device, dtype=weight.dtype)
    apply: Any = _NoisyBag.apply  # PyTorch gives it no types
    result: Tensor = apply(weight, items, offsets, values, shares, directions, buffers)
    return result
