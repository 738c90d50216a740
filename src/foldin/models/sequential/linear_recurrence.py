"""The linear recurrence of LRURec: a diagonal state with complex factors in the place of attention.

    h_t = λ ⊙ h_{t−1} + γ ⊙ (B x_t + b),   M(x)_t = Re(C h_t) + c,   λ = exp(−e^ν + i e^θ)

x is the normalized input of the block, and h_t has `expansion` · d complex states; ν, θ and log γ are learned. As |λ| < 1, a
state is a sum of the events before, each the weaker and the more rotated the longer ago it was. It contains their order: the
model needs no positions (`positions=None`), and a further event is read from the last state alone.

All states of a sequence of n events are computed in ⌈log₂ n⌉ passes. If each h_t is the sum over the last k events, adding λᵏ
times the sum that ends k events earlier makes it the sum over the last 2 k (hillis1986). Sequences are padded at the end, where
padding changes no earlier state; so no mask is needed.

Source: yue2024 (LRURec) and the authors' code, with the parameters and initial values of orvieto2023: |λ| in a ring, here
.8 to .99, all phases, and γ = √(1 − |λ|²).

Departures from the paper: complex numbers are pairs of real ones, since graphs (ONNX) have no others, and B and C real matrices
of twice the size. The input is normalized, not the sum with the residual connection (pre-norm), and the feed-forward layer is
that of SASRec's block (ReLU, the block's `expansion`), not GELU with four times the width. The authors pad at the beginning, to
a power of two, combine halves of twice the length in each pass, and stop the state at the padding by a mask.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from foldin.errors import ConfigError
from foldin.models.sequential.mixers import EventMixer
from foldin.nn import Appended, Kept, Mixer, Noise, Places, TransformerShape, xavier_linear
from foldin.tensors import Float, Tensor
from foldin.training import setting

__all__ = ["LinearRecurrence", "linear_scan"]

Complex = tuple[Tensor, Tensor]  # real and imaginary parts


def _plus_product(a: Complex, b: Complex, c: Complex) -> Complex:
    """a + b c."""
    return a[0] + b[0] * c[0] - b[1] * c[1], a[1] + b[0] * c[1] + b[1] * c[0]


def linear_scan(
    inputs: tuple[Float[Tensor, "users length states"], Float[Tensor, "users length states"]],
    factor: tuple[Float[Tensor, " states"], Float[Tensor, " states"]],
) -> tuple[Float[Tensor, "users length states"], Float[Tensor, "users length states"]]:
    """h_t = λ ⊙ h_{t−1} + u_t for each t, from h = 0, with the real and the imaginary parts apart.

    Args:
        inputs: u.
        factor: λ.
    """
    h, step, length = inputs, 1, inputs[0].shape[1]
    while step < length:
        earlier = tuple(F.pad(part[:, :-step], (0, 0, step, 0)) for part in h)
        h = _plus_product(h, factor, (earlier[0], earlier[1]))
        factor = factor[0].square() - factor[1].square(), 2.0 * factor[0] * factor[1]
        step *= 2
    return h


@dataclass(frozen=True, kw_only=True)
class LinearRecurrence(EventMixer):
    """A linear recurrence with complex factors.

    Source: yue2024 (LRURec); orvieto2023.
    """

    name = "recurrence"
    attends = False
    expansion: int = setting(2, "Number of complex states, in widths of the block.", low=1)
    min_modulus: float = setting(0.8, "Least initial modulus of a state's factor.", above=0, below=1)
    max_modulus: float = setting(0.99, "Largest initial modulus of a state's factor.", above=0, below=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_modulus >= self.max_modulus:
            raise ConfigError(
                f"LinearRecurrence: min_modulus = {self.min_modulus:g}: must be below max_modulus = {self.max_modulus:g}"
            )

    def layer(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> Mixer:
        return _Recurrence(self, shape, generator, device)

    def kept_vectors(self, length: int) -> float:
        """The two parts of all states, before each pass of the scan."""
        return 2.0 * self.expansion * (1 + math.ceil(math.log2(max(length, 2))))


class _Recurrence(Mixer):
    def __init__(
        self, option: LinearRecurrence, shape: TransformerShape, generator: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        states = option.expansion * shape.width
        low, high = option.min_modulus**2, option.max_modulus**2
        squared_modulus = torch.empty(states).uniform_(low, high, generator=generator)
        phase = torch.empty(states).uniform_(0.0, 2.0 * math.pi, generator=generator).clamp_(min=1e-6)
        self.nu = nn.Parameter((-0.5 * squared_modulus.log()).log().to(device))
        self.theta = nn.Parameter(phase.log().to(device))
        self.log_gamma = nn.Parameter((0.5 * (1.0 - squared_modulus).log()).to(device))
        # Of both, the first half belongs to the real parts of the states, the second to the imaginary ones.
        self.b = xavier_linear(shape.width, 2 * states, True, generator, device)
        self.c = xavier_linear(2 * states, shape.width, True, generator, device)

    def _factor(self) -> Complex:
        modulus, phase = torch.exp(-self.nu.exp()), self.theta.exp()
        return modulus * phase.cos(), modulus * phase.sin()

    def _inputs(self, x: Float[Tensor, "users length width"]) -> Complex:
        real, imaginary = self.b(x).chunk(2, dim=-1)
        gamma = self.log_gamma.exp()
        return gamma * real, gamma * imaginary

    def forward(self, normed: Tensor, source: Tensor, places: Places, noise: Noise) -> tuple[Tensor, Kept]:
        h = linear_scan(self._inputs(normed), self._factor())
        return self.c(torch.cat(h, dim=-1)), h

    def extend(self, normed: Tensor, source: Tensor, kept: Kept, event: Appended) -> tuple[Tensor, Kept]:
        before = event.newest(kept[0]), event.newest(kept[1])
        h = _plus_product(self._inputs(normed), self._factor(), before)
        return self.c(torch.cat(h, dim=-1)), tuple(event.among(old, new) for old, new in zip(kept, h, strict=True))
