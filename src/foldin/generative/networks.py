"""The options for the network of a diffusion."""

import math
from dataclasses import dataclass

import torch
from torch import nn

from foldin.errors import ConfigError, ShapeError
from foldin.nn import MLPDenoiser, UNet, UNetShape
from foldin.training import Option, setting

__all__ = ["MLPNetwork", "UNetNetwork"]


@dataclass(frozen=True, kw_only=True)
class UNetNetwork(Option):
    """A U-Net, for pictures.

    Source: ho2020, appendix B.

    Raises:
        ConfigError: `channels` is empty.
    """

    name = "unet"
    channels: tuple[int, ...] = setting((64, 128), "Channels at each resolution, the highest first.", low=1)
    n_blocks: int = setting(1, "Residual blocks at each resolution, down and up.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.channels:
            raise ConfigError("network: channels = (): those of one resolution at least were expected")

    def build(
        self, shape: tuple[int, ...], outputs: int, time_dim: int, *, generator: torch.Generator, device: torch.device
    ) -> nn.Module:
        """The network for examples of a shape, with `outputs` numbers for each value.

        Raises:
            ShapeError: the shape is not that of pictures, or they cannot be halved often enough.
        """
        if len(shape) not in (2, 3):
            raise ShapeError(f"Diffusion: a U-Net takes (height, width) or (channels, height, width), not {shape}")
        channels, height, width = (1, *shape)[-3:]
        inner = UNetShape(widths=self.channels, blocks=self.n_blocks, time=time_dim)
        return UNet(channels, outputs * channels, height, width, inner, generator=generator, device=device)


@dataclass(frozen=True, kw_only=True)
class MLPNetwork(Option):
    """A multilayer perceptron with swish, for examples of any shape."""

    name = "mlp"
    hidden_dims: tuple[int, ...] = setting((64, 128), "Widths of the hidden layers.", low=1)

    def build(
        self, shape: tuple[int, ...], outputs: int, time_dim: int, *, generator: torch.Generator, device: torch.device
    ) -> nn.Module:
        """The network for examples of any shape, with `outputs` numbers for each value."""
        values = math.prod(shape)
        return MLPDenoiser(
            values, outputs * values, self.hidden_dims, time=time_dim, generator=generator, device=device
        )
