"""A causal transformer over sequences of vectors: the blocks of SASRec, and gated ones that later work found better.

    plain    h = x + D(SA(LN(x))),                  y = h + D(W₂ D(relu(W₁ LN(h) + b₁)) + b₂)
    authors  h = LN(x) + D(SA(Q = LN(x), K = V = x)),   y = LN(h) + D(W₂ D(relu(W₁ LN(h) + b₁)) + b₂)
    gated    h = x + σ(G₁ x) ⊙ D(W_o SA(LN(x))),    y = h + σ(G₂ h) ⊙ D(W₃ D(silu(W₁ LN(h)) ⊙ W₂ LN(h)))

D is dropout, SA causal self-attention or another mixer (`mixers.py`), and LN a layer norm; one more LN follows the last block.
After a mixer that takes no feed-forward layer, y = h.

Source: kang2018, eqs. 3–7 (plain: queries, keys and values by matrices without biases, no matrix after the heads) and its
code (authors: matrices with biases, residual connections from the normalized input, keys and values from x itself);
borisyuk2025 (LiGR: pre-norm gating), shazeer2020 (SwiGLU) and tikhonovich2025 (eSASRec: the two together).
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from foldin.nn.dropout import dropout
from foldin.nn.init import xavier_linear
from foldin.nn.mixers import Appended, Kept, Noise, Places, SelfAttention, TransformerShape
from foldin.tensors import Float, Int, Tensor

__all__ = ["Cache", "Transformer", "TransformerShape"]

_EPS = 1e-8  # of the layer norms, as in the authors' code


@dataclass(frozen=True, eq=False)
class Cache:
    """What is kept of the events read so far, so that a further event can be read without reading them again.

    Args:
        kept: by the mixer of each block; entries from a user's length on are undefined.
        times: times of the events read, in seconds, where attention uses them.
        lengths: number of events read, for each user.
    """

    kept: tuple[Kept, ...]
    times: Int[Tensor, "users length"] | None
    lengths: Int[Tensor, " users"]

    def appended(self, times: Int[Tensor, "users 1"] | None) -> Appended:
        """One more event of each user, at `times`, among those that were read."""
        length = max(int(self.lengths.max()) + 1, self.kept[0][0].shape[-2])
        all_at = torch.arange(length, device=self.lengths.device).expand(len(self.lengths), -1)
        event = Appended(self.lengths, times, all_at, None)
        if self.times is None:
            return event
        assert times is not None
        all_times = event.among(self.times.unsqueeze(-1), times.unsqueeze(-1)).squeeze(-1)
        return Appended(self.lengths, times, all_at, all_times)


class _Block(nn.Module):
    def __init__(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.shape = shape
        width, inner = shape.width, shape.width * shape.expansion

        def linear(width_in: int, width_out: int, *, bias: bool = False) -> nn.Linear:
            return xavier_linear(width_in, width_out, bias, generator, device)

        mixer = (shape.mixer or SelfAttention)(shape, generator, device)
        self.norm_attention = nn.LayerNorm(width, eps=_EPS, device=device)
        if mixer.feeds_forward:
            self.norm_forward = nn.LayerNorm(width, eps=_EPS, device=device)
        self.mixer = mixer
        if shape.block == "gated":
            self.mix, self.gate_attention = linear(width, width), linear(width, width, bias=True)
            if mixer.feeds_forward:
                self.gate_forward = linear(width, width, bias=True)
                self.inward, self.inward_gate = linear(width, inner), linear(width, inner)
                self.outward = linear(inner, width)
        elif mixer.feeds_forward:
            self.inward, self.outward = linear(width, inner, bias=True), linear(inner, width, bias=True)

    def read(self, x: Float[Tensor, "users length width"]) -> tuple[Tensor, Tensor]:
        """(LN(x), source), the two inputs of the mixer."""
        normed = self.norm_attention(x)
        return normed, x if self.shape.block == "authors" else normed

    def write(
        self,
        x: Float[Tensor, "users length width"],
        found: Float[Tensor, "users length width"],
        rate: float,
        noise: Noise,
    ) -> Float[Tensor, "users length width"]:
        """Output of the block, given its input x and its mixer's output."""
        gated, authors = self.shape.block == "gated", self.shape.block == "authors"
        if gated:
            h = x + torch.sigmoid(self.gate_attention(x)) * dropout(self.mix(found), rate, noise)
        else:
            h = (self.norm_attention(x) if authors else x) + dropout(found, rate, noise)
        if not self.mixer.feeds_forward:
            return h
        normed = self.norm_forward(h)
        if gated:
            inner = dropout(F.silu(self.inward(normed)) * self.inward_gate(normed), rate, noise)
            return h + torch.sigmoid(self.gate_forward(h)) * dropout(self.outward(inner), rate, noise)
        inner = dropout(F.relu(self.inward(normed)), rate, noise)
        return (normed if authors else h) + dropout(self.outward(inner), rate, noise)

    def forward(self, x: Float[Tensor, "users length width"], places: Places, noise: Noise) -> tuple[Tensor, Kept]:
        """(output, what the mixer keeps of each token)."""
        found, kept = self.mixer(*self.read(x), places, noise)
        return self.write(x, found, 0.0 if noise is None else self.shape.dropout, noise), kept


class Transformer(nn.Module):
    """Blocks of a mixer, by default causal attention, and feed-forward layers; see the module's docstring.

    Args:
        shape: settings.
        generator: source of the initial weights, on the CPU.
        device: device of the weights and the computation.
    """

    def __init__(self, shape: TransformerShape, *, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.shape = shape
        self.blocks = nn.ModuleList(_Block(shape, generator, device) for _ in range(shape.blocks))
        self.norm = nn.LayerNorm(shape.width, eps=_EPS, device=device)

    def by_name(self) -> dict[str, nn.Parameter]:
        """Every learned parameter by name.

        Those of the self-attention are called as those of its block, as in models saved before there were other mixers.
        """
        attention = isinstance(cast(_Block, self.blocks[0]).mixer, SelfAttention)
        return {name.replace(".mixer.", ".") if attention else name: value for name, value in self.named_parameters()}

    def forward(
        self,
        x: Float[Tensor, "users length width"],
        times: Int[Tensor, "users length"] | None = None,
        noise: torch.Generator | None = None,
    ) -> Float[Tensor, "users length width"]:
        """State of each token, which depends on that token and those before it.

        Args:
            times: of the events, in seconds; needed when attention uses them.
            noise: generator of the dropout; None for no dropout.
        """
        return self._read(x, times, noise)[0]

    def _read(self, x: Tensor, times: Tensor | None, noise: torch.Generator | None) -> tuple[Tensor, tuple[Kept, ...]]:
        at = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
        kept = []
        for block in self.blocks:
            x, of_block = block(x, Places(at, times), noise)
            kept.append(of_block)
        return self.norm(x), tuple(kept)

    @torch.no_grad()
    def begin(
        self,
        x: Float[Tensor, "users length width"],
        lengths: Int[Tensor, " users"],
        times: Int[Tensor, "users length"] | None = None,
    ) -> tuple[Float[Tensor, "users length width"], Cache]:
        """(states as from `forward`, cache for reading further events one at a time)."""
        states, kept = self._read(x, times, None)
        return states, Cache(kept, times, lengths)

    @torch.no_grad()
    def extend(
        self,
        x: Float[Tensor, "users 1 width"],
        cache: Cache,
        times: Int[Tensor, "users 1"] | None = None,
    ) -> tuple[Float[Tensor, "users 1 width"], Cache]:
        """(state after one more event of each user, cache that includes it), as `forward` gives for the longer sequence."""
        event, kept = cache.appended(times), []
        for module, before in zip(self.blocks, cache.kept, strict=True):
            block = cast(_Block, module)
            found, of_block = block.mixer.extend(*block.read(x), before, event)
            x = block.write(x, found, 0.0, None)
            kept.append(of_block)
        return self.norm(x), Cache(tuple(kept), event.all_times, cache.lengths + 1)
