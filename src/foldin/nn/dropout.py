"""Dropout that draws from a given generator; PyTorch's draws from the global one."""

import math

import torch

from foldin.kernels import on_device
from foldin.tensors import Float, Tensor
from foldin.workers import drawn

__all__ = ["dropout"]


def dropout(x: Float[Tensor, "*shape"], rate: float, generator: torch.Generator | None) -> Float[Tensor, "*shape"]:
    """x under inverted dropout: each entry is 0 with probability `rate`, else divided by 1 − rate; `x` itself at rate 0.

    On a CPU probabilities are multiples of 2⁻¹⁶: four entries share one draw of 64 bits.
    """
    if rate == 0.0:
        return x
    assert generator is not None
    if on_device(x):

        def kept(shape: tuple[int, ...]) -> Tensor:
            return torch.empty(shape, dtype=x.dtype, device=x.device).bernoulli_(1.0 - rate, generator=generator)

        return x * drawn(x.shape, generator, kept).mul_(1.0 / (1.0 - rate))

    def bits_of(shape: tuple[int, ...]) -> Tensor:
        words = torch.empty(-(-math.prod(shape) // 4), dtype=torch.int64, device=x.device)
        return words.random_(-(2**63), None, generator=generator).view(torch.int16)[: math.prod(shape)].view(shape)

    bits = drawn(x.shape, generator, bits_of)
    threshold = round(rate * 2**16) - 2**15  # this share of the 2¹⁶ values of 16 bits lies below it
    return x * (bits >= threshold).to(x.dtype).mul_(1.0 / (1.0 - rate))
