"""Rounding to bfloat16 that keeps small updates in expectation."""

import torch

from foldin.tensors import Float, Tensor

__all__ = ["stochastic_bfloat16"]


def stochastic_bfloat16(x: Float[Tensor, "*shape"], generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """x in bfloat16, rounded to one of its two neighbors at random, so that the expectation is x.

    A float32 number is a bfloat16 number with 16 further bits: uniform noise of 16 bits is added to them, and they are cut off.
    The probability of the neighbor that is farther from 0 is then the share of the way to it. Nearest rounding would lose every
    update below 2⁻⁹ of a weight.

    Args:
        x: finite numbers in float32.
        generator: generator of the noise.
    """
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    noise = words.random_(-(2**63), None, generator=generator).view(torch.int16)[: x.numel()].view(x.shape)
    bits = x.contiguous().view(torch.int32) + (noise.to(torch.int32) & 0xFFFF)
    return (bits & -0x10000).view(torch.float32).bfloat16()
