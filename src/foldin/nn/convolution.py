"""Convolutions between pictures and vectors on a grid a quarter as high and as wide: the encoder and decoder of VQ-VAE.

    encoder   4×4 stride 2, relu, 4×4 stride 2, residual blocks, relu, 1×1
    decoder   1×1, residual blocks, relu, 4×4 transposed stride 2, relu, 4×4 transposed stride 2
    block     x + conv 1×1(relu(conv 3×3(relu(x))))

Source: vandenoord2017, section 4.1. Half the width between the two strides and the 1×1 convolution at the end of the encoder are
those of its code. That code also has two 3×3 convolutions before the residual blocks; here the decoder begins with a 1×1 one.
"""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from foldin.errors import ShapeError
from foldin.nn.init import uniform_parameter
from foldin.tensors import Float, Tensor

__all__ = ["ConvolutionMaker", "ConvolutionShape", "ConvolutionalDecoder", "ConvolutionalEncoder", "grid_of"]

_STRIDE = 4  # pixels of a picture per position of the grid, along each axis


@dataclass(frozen=True, kw_only=True)
class ConvolutionShape:
    """Settings of an encoder, and of the decoder that mirrors it.

    Args:
        width: channels of the layers; half as many between the two strides.
        inner: channels inside the residual blocks.
        blocks: number of residual blocks.
    """

    width: int
    inner: int
    blocks: int


L = TypeVar("L", nn.Conv2d, nn.ConvTranspose2d)


def grid_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of the grid of a picture of shape (height, width).

    Raises:
        ShapeError: the shape is not a height and a width that are both divisible by 4.
    """
    if len(shape) != 2 or min(shape) < 1 or any(side % _STRIDE for side in shape):
        raise ShapeError(f"pictures of shape {shape}: a height and a width that {_STRIDE} divides were expected")
    return shape[0] // _STRIDE, shape[1] // _STRIDE


def _drawn(layer: L, fan_in: int, generator: torch.Generator, device: torch.device) -> L:
    """The layer, given without memory for its weights, with weights and biases drawn uniformly from ±1/√fan_in."""
    for name, parameter in list(layer.named_parameters()):
        layer.register_parameter(name, uniform_parameter(tuple(parameter.shape), fan_in, generator, device))
    return layer


class ConvolutionMaker:
    """Factory of convolutions whose weights are drawn from one generator, uniformly from ±1/√inputs."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self.generator, self.device = generator, device

    def flat(self, n_in: int, n_out: int, size: int) -> nn.Conv2d:
        """A convolution whose output is as high and wide as its input."""
        layer = nn.Conv2d(n_in, n_out, size, padding=size // 2, device="meta")
        return _drawn(layer, n_in * size**2, self.generator, self.device)

    def down(self, n_in: int, n_out: int) -> nn.Conv2d:
        """A convolution whose output is half as high and wide as its input."""
        layer = nn.Conv2d(n_in, n_out, 4, stride=2, padding=1, device="meta")
        return _drawn(layer, n_in * 16, self.generator, self.device)

    def up(self, n_in: int, n_out: int) -> nn.ConvTranspose2d:
        """A transposed convolution whose output is twice as high and wide; each value depends on 2×2 positions of the input."""
        layer = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, device="meta")
        return _drawn(layer, n_in * 4, self.generator, self.device)

    def residual(self, shape: ConvolutionShape) -> list[nn.Module]:
        """Residual blocks, followed by a relu."""
        return [*(_Residual(self, shape.width, shape.inner) for _ in range(shape.blocks)), nn.ReLU()]


class _Residual(nn.Module):
    def __init__(self, layers: ConvolutionMaker, width: int, inner: int) -> None:
        super().__init__()
        self.inward, self.outward = layers.flat(width, inner, 3), layers.flat(inner, width, 1)

    def forward(self, x: Float[Tensor, "rows width height across"]) -> Float[Tensor, "rows width height across"]:
        return x + self.outward(F.relu(self.inward(F.relu(x))))


class ConvolutionalEncoder(nn.Module):
    """Encoder from pictures to vectors on their grid.

    Args:
        channels: input channels of a picture.
        out: width of the vectors.
        shape: settings.
        generator: source of the initial weights, on the CPU.
        device: device of the weights and the computation.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        shape: ConvolutionShape,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        super().__init__()
        make, half = ConvolutionMaker(generator, device), max(1, shape.width // 2)
        self.layers = nn.Sequential(
            make.down(channels, half),
            nn.ReLU(),
            make.down(half, shape.width),
            *make.residual(shape),
            make.flat(shape.width, out, 1),
        )

    def forward(self, x: Float[Tensor, "rows channels height width"]) -> Float[Tensor, "rows out up across"]:
        """The vectors, as channels of the grid; up = height / 4, across = width / 4.

        Raises:
            ShapeError: a height or width that is not divisible by 4.
        """
        grid_of(tuple(x.shape[2:]))
        return self.layers(x)


class ConvolutionalDecoder(nn.Module):
    """Decoder from vectors on a grid to `channels` numbers per pixel; the arguments are those of the encoder."""

    def __init__(
        self,
        channels: int,
        out: int,
        shape: ConvolutionShape,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        super().__init__()
        make, half = ConvolutionMaker(generator, device), max(1, shape.width // 2)
        self.layers = nn.Sequential(
            make.flat(out, shape.width, 1),
            *make.residual(shape),
            make.up(shape.width, half),
            nn.ReLU(),
            make.up(half, channels),
        )

    def forward(self, x: Float[Tensor, "rows out up across"]) -> Float[Tensor, "rows channels height width"]:
        """The decoder's output for each pixel; height = 4 up, width = 4 across."""
        return self.layers(x)
