"""Finite scalar quantization: each coordinate is bounded and rounded; there is no codebook that could go out of use.

    q_j(x) = round((K_j − 1)/2 · tanh(x_j) − b_j) + b_j,   b_j = 0 for odd K_j and ½ for even;   backward as if not rounded

The values of a coordinate are one apart and symmetric about zero. A code is the place of the combination of all coordinates among
the Π_j K_j, the first coordinate changing fastest.

Source: mentzer2023, section 3.1. The paper moves the values for even K_j by a shift inside tanh; here they are symmetric instead.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from foldin.errors import ConfigError, ShapeError
from foldin.nn.quantizers import Quantized
from foldin.tensors import Float, Int, Tensor

__all__ = ["FiniteScalarQuantizer"]


class FiniteScalarQuantizer(nn.Module):
    """A quantizer that rounds every coordinate, to be used in the place of a `VectorQuantizer`.

    Args:
        values: K_j, the number of values of each coordinate, as many as the vectors are wide; the paper recommends 8, 5, 5, 5 for
            about 1,000 codes, and at least 5 each.
        device: device of the computation.

    Raises:
        ConfigError: no coordinate, fewer than two values of one, or more codes than 64-bit integers can count.
    """

    def __init__(self, values: Sequence[int], *, device: str | torch.device = "cpu") -> None:
        super().__init__()
        if not values or min(values) < 2 or math.prod(values) >= 1 << 63:
            raise ConfigError(
                "finite scalar quantization needs a coordinate at least, 2 values of each and fewer than 2^63 codes, "
                f"not {len(values)} coordinates with {tuple(values)[:8]} values"
            )
        self.width, self.codes = len(values), math.prod(values)
        self.values: Tensor
        self.strides: Tensor
        counts = torch.tensor(values, device=device)
        self.register_buffer("values", counts)
        self.register_buffer("strides", torch.cumprod(torch.cat((counts.new_ones(1), counts[:-1])), dim=0))

    def begin(self, x: Float[Tensor, "n width"], rng: np.random.Generator) -> None:
        """Nothing: the values are fixed. A `VectorQuantizer` begins with k-means."""

    def forward(self, x: Float[Tensor, "n width"], noise: torch.Generator | None = None) -> Quantized:
        """q(x), its codes, and a loss of zero: no value has to follow the vectors, nor they a value.

        Args:
            noise: unused; here so that quantizers can be exchanged.

        Raises:
            ShapeError: vectors of another width.
        """
        if x.shape[1] != self.width:
            raise ShapeError(
                f"there are {self.width} coordinates with values, but the vectors are of width {x.shape[1]}"
            )
        shift = 0.5 * (self.values % 2 == 0)
        bounded = 0.5 * (self.values - 1) * torch.tanh(x)
        rounded = torch.round(bounded.detach() - shift)
        least = -torch.div(self.values, 2, rounding_mode="floor")
        codes = ((rounded.long() - least) * self.strides).sum(dim=1, keepdim=True)
        return Quantized(bounded + (rounded + shift - bounded).detach(), codes, x.new_zeros(()))

    def decode(self, codes: Int[Tensor, "n levels"]) -> Float[Tensor, "n width"]:
        """The values of codes."""
        places = torch.div(codes[:, :1], self.strides, rounding_mode="floor") % self.values
        return places - 0.5 * (self.values - 1)
