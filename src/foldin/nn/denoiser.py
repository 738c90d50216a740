"""Networks of a noisy x_t and its step t: the embedding of t, and a multilayer perceptron."""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from foldin.nn.mlp import DenseLayers
from foldin.tensors import Float, Int, Tensor

__all__ = ["MLPDenoiser", "step_embedding"]


def step_embedding(t: Int[Tensor, " rows"], width: int, period: float = 10_000.0) -> Float[Tensor, "rows width"]:
    """Embedding of t: its cos and sin at wavelengths from 2π to 2π · `period`, cosines first; an odd width ends with a zero.

    Source: vaswani2017, section 3.5; nichol2021's code (`timestep_embedding`), which DiffRec's takes over.
    """
    half = width // 2
    rates = torch.exp(-math.log(period) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.to(torch.float32).unsqueeze(1) * rates
    return F.pad(torch.cat((torch.cos(angles), torch.sin(angles)), dim=1), (0, width % 2))


class MLPDenoiser(DenseLayers):
    """Perceptron from x_t, flattened, and an embedding of t to `outputs` numbers, with swish between the layers.

    Args:
        values: number of values of x_t per example.
        outputs: number of values to predict per example.
        hidden: widths of the hidden layers.
        time: width of the embedding of t.
        generator: source of the initial weights, on the CPU.
        device: device of the weights and the computation.
    """

    def __init__(
        self,
        values: int,
        outputs: int,
        hidden: Sequence[int],
        *,
        time: int = 64,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        super().__init__((values + time, *hidden, outputs), generator=generator, device=device, activation="swish")
        self.time = time

    def forward(self, x: Float[Tensor, "rows *shape"], t: Int[Tensor, " rows"]) -> Float[Tensor, "rows outputs"]:
        return self.through(torch.cat((x.flatten(1), step_embedding(t, self.time).to(x.dtype)), dim=1))
