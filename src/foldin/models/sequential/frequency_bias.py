"""The frequency bias of BSARec: a weighted sum of attention and a filter of the sequence's frequencies.

    M(x) = α (low(x) + β² ⊙ (x − low(x))) + (1 − α) SA(x)
    low(x)_t = Σ_{s ≤ t} g(t − s) x_s,   g = inverse DFT of (1 for the lowest frequencies, 0 for the others)

x is the normalized input of the block, SA self-attention, and β a learned vector. low is a low-pass filter of the window of N
events that ends with event t, N the longest history that is read: it keeps the `cutoff` lowest of the N / 2 + 1 frequencies of
the discrete Fourier transform, the mean among them. Attention alone smooths; β² says how much of the high frequencies is added
again.

Source: shin2024 (BSARec) and the authors' code, where `cutoff` is c // 2 + 1: on Amazon Beauty α .7 and c 5.

Departures from the paper: the authors transform the whole padded window and read its last state alone, with one training example
for each prefix of a history. The states before the last one have seen later events there, and would see their own target in a
model that learns from every event at once. Here each event is filtered in the window that ends with it. That is the same
for the last state, and no state sees a later event: only g(0) … g(N − 1) are needed, and the filter is one product with a
triangular N × N matrix. In the place of padding are zeros, not the vector of an item of padding. The mixture comes before the
block's residual connection (pre-norm); the authors have a residual connection and a layer norm in both of its branches.
"""

from dataclasses import dataclass

import torch
from torch import nn

from foldin.models.sequential.mixers import Attending
from foldin.nn import Appended, Kept, Mixer, Noise, Places, SelfAttention, TransformerShape
from foldin.tensors import Float, Int, Tensor
from foldin.training import setting

__all__ = ["FrequencyBias", "filtered", "low_pass"]


def low_pass(window: int, cutoff: int) -> Float[Tensor, " lags"]:
    """g of the filter: weight of the event that is 0, 1, …, N − 1 events back.

    Args:
        window: number of events that are transformed, N.
        cutoff: number of lowest frequencies that pass; with all N // 2 + 1 of them, g is 1 at 0 and 0 elsewhere.
    """
    return torch.fft.irfft((torch.arange(window // 2 + 1) < cutoff).to(torch.float64), n=window).to(torch.float32)


def filtered(
    x: Float[Tensor, "users events width"],
    g: Float[Tensor, " lags"],
    at: Int[Tensor, "#users outputs"],
    x_at: Int[Tensor, "#users events"],
) -> Float[Tensor, "users outputs width"]:
    """low(x) of the events at positions `at`, from events x at positions `x_at`."""
    lags = at.unsqueeze(2) - x_at.unsqueeze(1)
    return (g[lags.clamp(min=0)] * (lags >= 0).to(x.dtype)) @ x


@dataclass(frozen=True, kw_only=True)
class FrequencyBias(Attending):
    """A weighted sum of attention and a filter of low and high frequencies.

    Source: shin2024 (BSARec).
    """

    name = "frequency"
    alpha: float = setting(0.7, "Weight of the filter beside attention.", low=0, high=1)
    cutoff: int = setting(
        3, "Lowest frequencies of the window of `max_length` events that are kept as they are.", low=1
    )

    def layer(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> Mixer:
        return _FilteredAttention(self, shape, generator, device)

    def kept_vectors(self, length: int) -> float:
        """Those of the filter and its sum with attention."""
        return 4.0


class _FilteredAttention(Mixer):
    def __init__(
        self, option: FrequencyBias, shape: TransformerShape, generator: torch.Generator, device: torch.device
    ) -> None:
        super().__init__()
        self.alpha = option.alpha
        self.attention = SelfAttention(shape, generator, device)
        self.beta = nn.Parameter(torch.empty(shape.width).normal_(generator=generator).to(device))
        self.g: Tensor
        self.register_buffer("g", low_pass(shape.length, option.cutoff).to(device), persistent=False)

    def _mixed(self, x: Tensor, low: Tensor, attended: Tensor) -> Tensor:
        return self.alpha * (low + self.beta.square() * (x - low)) + (1.0 - self.alpha) * attended

    def forward(self, normed: Tensor, source: Tensor, places: Places, noise: Noise) -> tuple[Tensor, Kept]:
        attended, kept = self.attention(normed, source, places, noise)
        low = filtered(normed, self.g, places.at, places.at)
        return self._mixed(normed, low, attended), (*kept, normed)

    def extend(self, normed: Tensor, source: Tensor, kept: Kept, event: Appended) -> tuple[Tensor, Kept]:
        attended, of_attention = self.attention.extend(normed, source, kept[:-1], event)
        inputs = event.among(kept[-1], normed)
        low = filtered(inputs, self.g, event.at, event.all_at)
        return self._mixed(normed, low, attended), (*of_attention, inputs)
