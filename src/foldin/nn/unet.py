"""A small U-Net: from noisy pictures x_t and their step t to predictions for each pixel, at several resolutions.

    patches → convolution → for each width: residual blocks, then half the height and width → residual block, attention, residual
    block → the reverse way, each block also reading the output of its counterpart on the way down → pixels from patches

    residual block   h = conv(swish(norm x)) + W e(t),   x + conv(swish(norm h)), the last convolution initialized to 0

Source: ho2020, appendix B; ronneberger2015. Patches of 2×2 pixels, as channels, replace the highest resolution, where
convolutions cost most and learn least. Norms are group norms; attention has one head, at the lowest resolution.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from foldin.errors import ShapeError
from foldin.nn.convolution import ConvolutionMaker
from foldin.nn.denoiser import step_embedding
from foldin.nn.init import uniform_parameter
from foldin.tensors import Float, Int, Tensor

__all__ = ["UNet", "UNetShape"]


@dataclass(frozen=True, kw_only=True)
class UNetShape:
    """Settings of a U-Net.

    Args:
        widths: channels at each resolution, each half as high and wide as the one before.
        blocks: residual blocks at each resolution, on the way down and on the way up.
        patch: side of a patch, in pixels.
        time: width of the embedding of t.
    """

    widths: tuple[int, ...]
    blocks: int = 1
    patch: int = 2
    time: int = 64


class _Affine(nn.Module):
    """A linear layer with weights drawn from a given generator."""

    def __init__(self, n_in: int, n_out: int, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.weight = uniform_parameter((n_out, n_in), n_in, generator, device)
        self.bias = uniform_parameter((n_out,), n_in, generator, device)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


def _norm(width: int, device: torch.device) -> nn.GroupNorm:
    groups = next(n for n in (8, 4, 2, 1) if width % n == 0)
    return nn.GroupNorm(groups, width, device=device)


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer with its weights set to 0, so that its output is 0 before training."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class _Block(nn.Module):
    def __init__(self, make: ConvolutionMaker, n_in: int, n_out: int, time: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.second = make.flat(n_in, n_out, 3), _silent(make.flat(n_out, n_out, 3))
        self.first_norm, self.second_norm = _norm(n_in, make.device), _norm(n_out, make.device)
        self.of_time = _Affine(time, n_out, generator, make.device)
        self.across = make.flat(n_in, n_out, 1) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.first(F.silu(self.first_norm(x))) + self.of_time(e)[:, :, None, None]
        return self.across(x) + self.second(F.silu(self.second_norm(h)))


class _Attention(nn.Module):
    def __init__(self, make: ConvolutionMaker, width: int) -> None:
        super().__init__()
        self.norm = _norm(width, make.device)
        self.inward, self.outward = make.flat(width, 3 * width, 1), _silent(make.flat(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.inward(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        seen = F.scaled_dot_product_attention(q, k, v)
        return x + self.outward(seen.transpose(1, 2).reshape(x.shape))


class UNet(nn.Module):
    """The U-Net; see the module's docstring.

    Args:
        channels: input numbers per pixel.
        outputs: output numbers per pixel.
        height, width: of the pictures; both must be divisible by the patch's side · 2^(resolutions − 1).
        shape: settings.
        generator: source of the initial weights, on the CPU.
        device: device of the weights and the computation.

    Raises:
        ShapeError: the height or width is not divisible as required.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        height: int,
        width: int,
        shape: UNetShape,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        super().__init__()
        unit = shape.patch * 2 ** (len(shape.widths) - 1)
        if height % unit or width % unit:
            raise ShapeError(
                f"a U-Net of {len(shape.widths)} resolutions needs pictures that {unit} divides, not {height}×{width}"
            )
        make, widths, patch = ConvolutionMaker(generator, device), shape.widths, shape.patch
        time = 4 * shape.time
        self.shape = shape
        self.embed = nn.Sequential(
            _Affine(shape.time, time, generator, device), nn.SiLU(), _Affine(time, time, generator, device), nn.SiLU()
        )
        self.begin = make.flat(channels * patch**2, widths[0], 3)
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        before = widths[0]
        for own in widths:
            down.append(
                nn.ModuleList(
                    _Block(make, before if n == 0 else own, own, time, generator) for n in range(shape.blocks)
                )
            )
            before = own
        self.middle = nn.ModuleList(
            (
                _Block(make, before, before, time, generator),
                _Attention(make, before),
                _Block(make, before, before, time, generator),
            )
        )
        for own in reversed(widths):
            # The first block up also reads the output of the last block down, and so on.
            up.append(
                nn.ModuleList(
                    _Block(make, (before if n == 0 else own) + own, own, time, generator) for n in range(shape.blocks)
                )
            )
            before = own
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.end_norm, self.end = _norm(before, device), _silent(make.flat(before, outputs * patch**2, 3))

    def forward(
        self, x: Float[Tensor, "rows channels height width"], t: Int[Tensor, " rows"]
    ) -> Float[Tensor, "rows outputs height width"]:
        e = self.embed(step_embedding(t, self.shape.time).to(x.dtype))
        h = self.begin(F.pixel_unshuffle(x, self.shape.patch))
        kept: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            if level:
                h = F.avg_pool2d(h, 2)
            for block in blocks.children():
                h = block(h, e)
                kept.append(h)
        first, attention, second = self.middle
        h = second(attention(first(h, e)), e)
        for level, blocks in enumerate(self.up):
            if level:
                h = F.interpolate(h, scale_factor=2.0, mode="nearest")
            for block in blocks.children():
                h = block(torch.cat((h, kept.pop()), dim=1), e)
        return F.pixel_shuffle(self.end(F.silu(self.end_norm(h))), self.shape.patch)
