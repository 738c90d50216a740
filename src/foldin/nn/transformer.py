"""A causal transformer over sequences of vectors: the blocks of SASRec, and gated ones that later work found better.

    plain    h = x + D(SA(LN(x))),                  y = h + D(W₂ D(relu(W₁ LN(h) + b₁)) + b₂)
    authors  h = LN(x) + D(SA(Q = LN(x), K = V = x)),   y = LN(h) + D(W₂ D(relu(W₁ LN(h) + b₁)) + b₂)
    gated    h = x + σ(G₁ x) ⊙ D(W_o SA(LN(x))),    y = h + σ(G₂ h) ⊙ D(W₃ D(silu(W₁ LN(h)) ⊙ W₂ LN(h)))

D is dropout, SA causal self-attention, and LN a layer norm; one more LN follows the last block.

Source: kang2018, eqs. 3–7 (plain: queries, keys and values by matrices without biases, no matrix after the heads) and its
code (authors: matrices with biases, residual connections from the normalized input, keys and values from x itself);
borisyuk2025 (LiGR: pre-norm gating), shazeer2020 (SwiGLU) and tikhonovich2025 (eSASRec: the two together).
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional as F

from foldin.nn.attention import Positions, attend, rotate
from foldin.nn.dropout import dropout
from foldin.tensors import Float, Int, Tensor

__all__ = ["Cache", "Transformer", "TransformerShape"]

_EPS = 1e-8  # of the layer norms, as in the authors' code
Noise = torch.Generator | None


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """Settings of a `Transformer`.

    Args:
        width: of a token's vector.
        heads: number of attention heads; a divisor of the width.
        blocks: number of blocks.
        length: longest sequence.
        block: `plain`, `authors` or `gated`.
        expansion: width of the feed-forward layer ÷ width.
        rotary: whether queries and keys have rotary positions.
        relative: whether attention has a learned bias by distance.
        timed: whether attention has a learned bias by the time between two events.
        dropout: rate of D above, in training.
        attention_dropout: dropout of the attention weights, in training.
    """

    width: int
    heads: int = 1
    blocks: int = 2
    length: int = 50
    block: str = "plain"
    expansion: int = 1
    rotary: bool = False
    relative: bool = False
    timed: bool = False
    dropout: float = 0.0
    attention_dropout: float = 0.0


@dataclass(frozen=True, eq=False)
class Cache:
    """Keys and values of the events read so far, so that a further event can be read without reading them again.

    Args:
        keys, values: a tensor for each block; entries from a user's length on are undefined.
        times: times of the events read, in seconds, where attention uses them.
        lengths: number of events read, for each user.
    """

    keys: tuple[Float[Tensor, "users heads length width"], ...]
    values: tuple[Float[Tensor, "users heads length width"], ...]
    times: Int[Tensor, "users length"] | None
    lengths: Int[Tensor, " users"]


@dataclass(frozen=True, eq=False)
class _Places:
    """Positions and times of the tokens of a call, the same for all blocks."""

    at: Int[Tensor, "#users length"]
    times: Int[Tensor, "users length"] | None


def _linear(width_in: int, width_out: int, bias: bool, generator: torch.Generator, device: torch.device) -> nn.Linear:
    """A linear layer with Xavier weights, drawn from `generator`, and zero biases."""
    made = nn.Linear(width_in, width_out, bias=bias, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        nn.init.xavier_uniform_(made.weight, generator=generator)
        if bias:
            made.bias.zero_()
    return made.to(device)


class _Block(nn.Module):
    def __init__(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.shape = shape
        width, inner = shape.width, shape.width * shape.expansion

        def linear(width_in: int, width_out: int, *, bias: bool = False) -> nn.Linear:
            return _linear(width_in, width_out, bias, generator, device)

        self.norm_attention = nn.LayerNorm(width, eps=_EPS, device=device)
        self.norm_forward = nn.LayerNorm(width, eps=_EPS, device=device)
        own_bias = shape.block == "authors"
        self.queries, self.keys, self.values = (linear(width, width, bias=own_bias) for _ in range(3))
        self.bias = Positions(shape.heads, shape.length, relative=shape.relative, timed=shape.timed, device=device)
        if shape.block == "gated":
            self.mix = linear(width, width)
            self.gate_attention, self.gate_forward = linear(width, width, bias=True), linear(width, width, bias=True)
            self.inward, self.inward_gate = linear(width, inner), linear(width, inner)
            self.outward = linear(inner, width)
        else:
            self.inward, self.outward = linear(width, inner, bias=True), linear(inner, width, bias=True)

    def _heads(self, x: Float[Tensor, "users length width"]) -> Float[Tensor, "users heads length part"]:
        users, length, width = x.shape
        return x.view(users, length, self.shape.heads, width // self.shape.heads).transpose(1, 2)

    def read(
        self, x: Float[Tensor, "users length width"], at: Int[Tensor, "#users length"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(queries, keys, values) of tokens at positions `at`."""
        normed = self.norm_attention(x)
        source = x if self.shape.block == "authors" else normed
        q, k, v = (
            self._heads(layer(of)) for layer, of in ((self.queries, normed), (self.keys, source), (self.values, source))
        )
        return (rotate(q, at), rotate(k, at), v) if self.shape.rotary else (q, k, v)

    def write(
        self,
        x: Float[Tensor, "users length width"],
        attended: Float[Tensor, "users heads length part"],
        rate: float,
        noise: Noise,
    ) -> Float[Tensor, "users length width"]:
        """Output of the block, given its input x and its attention's output."""
        found = attended.transpose(1, 2).reshape(x.shape)
        if self.shape.block != "gated":
            authors = self.shape.block == "authors"
            h = (self.norm_attention(x) if authors else x) + dropout(found, rate, noise)
            normed = self.norm_forward(h)
            inner = dropout(F.relu(self.inward(normed)), rate, noise)
            return (normed if authors else h) + dropout(self.outward(inner), rate, noise)
        h = x + torch.sigmoid(self.gate_attention(x)) * dropout(self.mix(found), rate, noise)
        normed = self.norm_forward(h)
        inner = dropout(F.silu(self.inward(normed)) * self.inward_gate(normed), rate, noise)
        return h + torch.sigmoid(self.gate_forward(h)) * dropout(self.outward(inner), rate, noise)

    def forward(self, x: Float[Tensor, "users length width"], places: _Places, noise: Noise) -> tuple[Tensor, ...]:
        """(output, keys, values)."""
        shape, training = self.shape, noise is not None
        q, k, v = self.read(x, places.at)
        attended = attend(
            q,
            k,
            v,
            bias=self.bias(places.at, places.at, places.times, places.times),
            rate=shape.attention_dropout if training else 0.0,
            generator=noise,
        )
        return self.write(x, attended, shape.dropout if training else 0.0, noise), k, v


class Transformer(nn.Module):
    """Blocks of causal attention and feed-forward layers; see the module's docstring.

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

    def _read(
        self, x: Tensor, times: Tensor | None, noise: torch.Generator | None
    ) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        at = torch.arange(x.shape[1], device=x.device).unsqueeze(0)
        keys, values = [], []
        for block in self.blocks:
            x, k, v = block(x, _Places(at, times), noise)
            keys.append(k)
            values.append(v)
        return self.norm(x), tuple(keys), tuple(values)

    @torch.no_grad()
    def begin(
        self,
        x: Float[Tensor, "users length width"],
        lengths: Int[Tensor, " users"],
        times: Int[Tensor, "users length"] | None = None,
    ) -> tuple[Float[Tensor, "users length width"], Cache]:
        """(states as from `forward`, cache for reading further events one at a time)."""
        states, keys, values = self._read(x, times, None)
        return states, Cache(keys, values, times, lengths)

    @torch.no_grad()
    def extend(
        self,
        x: Float[Tensor, "users 1 width"],
        cache: Cache,
        times: Int[Tensor, "users 1"] | None = None,
    ) -> tuple[Float[Tensor, "users 1 width"], Cache]:
        """(state after one more event of each user, cache that includes it), as `forward` gives for the longer sequence."""
        at, rows = cache.lengths.unsqueeze(1), torch.arange(len(x), device=x.device)
        room = int(cache.lengths.max()) + 1

        def put(before: Tensor, new: Tensor) -> Tensor:
            """`before` with `new` after each user's events, which dimension −2 counts."""
            grown = F.pad(before, (0, 0, 0, max(0, room - before.shape[-2])))
            grown[rows, ..., cache.lengths, :] = new[..., 0, :]
            return grown

        all_times = None
        if cache.times is not None:
            assert times is not None
            all_times = put(cache.times.unsqueeze(-1), times.unsqueeze(-1)).squeeze(-1)
        steps = torch.arange(max(room, cache.keys[0].shape[2]), device=x.device).expand(len(x), -1)
        visible = torch.where(steps <= at, 0.0, -torch.inf)[:, None, None, :].to(x.dtype)
        keys, values = [], []
        for module, before_k, before_v in zip(self.blocks, cache.keys, cache.values, strict=True):
            block = cast(_Block, module)
            q, k, v = block.read(x, at)
            k, v = put(before_k, k), put(before_v, v)
            bias = block.bias(at, steps, times, all_times)
            x = block.write(x, attend(q, k, v, bias=bias, visible=visible), 0.0, None)
            keys.append(k)
            values.append(v)
        return self.norm(x), Cache(tuple(keys), tuple(values), all_times, cache.lengths + 1)
