"""What mixes the events of a history in a block of a transformer: an interface, and SASRec's self-attention.

A mixer gives each event a vector that depends on that event and those before it, never on a later one. What it keeps of each
event lets it take in a further event without reading the earlier ones again. Other mixers are in `models/sequential`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from foldin.nn.attention import Positions, attend, rotate
from foldin.nn.init import xavier_linear
from foldin.tensors import Float, Int, Tensor

__all__ = [
    "Appended",
    "Kept",
    "Mixer",
    "Noise",
    "Places",
    "SelfAttention",
    "TransformerShape",
    "join_heads",
    "split_heads",
]

Kept = tuple[Tensor, ...]  # of each event; dimension −2 counts the events
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
        dropout: rate of D in `transformer.py`, in training.
        attention_dropout: dropout of the attention weights, in training.
        mixer: what makes a block's mixer from these settings, a generator of initial weights and a device; None for
            self-attention.
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
    mixer: "Callable[[TransformerShape, torch.Generator, torch.device], Mixer] | None" = None


@dataclass(frozen=True, eq=False)
class Places:
    """Positions and times of the tokens of a call, the same for all blocks."""

    at: Int[Tensor, "#users length"]
    times: Int[Tensor, "users length"] | None


@dataclass(frozen=True, eq=False)
class Appended:
    """One more event of each user, among the events that were read before it.

    Args:
        lengths: number of events read before, for each user: the position of the new one.
        times: of the new events, in seconds, where attention uses them.
        all_at: positions of all events, the new ones included.
        all_times: times of all events, where attention uses them.
    """

    lengths: Int[Tensor, " users"]
    times: Int[Tensor, "users 1"] | None
    all_at: Int[Tensor, "users length"]
    all_times: Int[Tensor, "users length"] | None

    @property
    def at(self) -> Int[Tensor, "users 1"]:
        """Positions of the new events."""
        return self.lengths.unsqueeze(1)

    def among(self, kept: Tensor, new: Tensor) -> Tensor:
        """`kept` with `new` after each user's events, which dimension −2 counts."""
        grown = F.pad(kept, (0, 0, 0, max(0, self.all_at.shape[1] - kept.shape[-2])))
        grown[torch.arange(len(new), device=new.device), ..., self.lengths, :] = new[..., 0, :]
        return grown

    def newest(self, kept: Float[Tensor, "users length width"]) -> Float[Tensor, "users 1 width"]:
        """What was kept of each user's newest event before this one."""
        return kept[torch.arange(len(kept), device=kept.device), self.lengths - 1].unsqueeze(1)


class Mixer(nn.Module, ABC):
    """A layer that mixes the events of each user, made from a shape, a generator of its initial weights and a device.

    Both methods get the input x of the block as `normed` = LN(x) and as `source`, from which the block takes what other events
    see of an event: LN(x), or x itself in the block of SASRec's authors.
    """

    feeds_forward: bool = True  # whether the block's feed-forward layer follows

    @abstractmethod
    def forward(
        self,
        normed: Float[Tensor, "users length width"],
        source: Float[Tensor, "users length width"],
        places: Places,
        noise: Noise,
    ) -> tuple[Float[Tensor, "users length width"], Kept]:
        """(mixed vector of each event, what is kept of it); under dropout with a generator `noise`."""

    @abstractmethod
    def extend(
        self,
        normed: Float[Tensor, "users 1 width"],
        source: Float[Tensor, "users 1 width"],
        kept: Kept,
        event: Appended,
    ) -> tuple[Float[Tensor, "users 1 width"], Kept]:
        """(mixed vector of one more event of each user, what is kept of all of them), without dropout."""


def split_heads(x: Float[Tensor, "users length width"], heads: int) -> Float[Tensor, "users heads length part"]:
    """x cut into the parts of its heads."""
    users, length, width = x.shape
    return x.view(users, length, heads, width // heads).transpose(1, 2)


def join_heads(x: Float[Tensor, "users heads length part"]) -> Float[Tensor, "users length width"]:
    """The parts of all heads side by side."""
    return x.transpose(1, 2).flatten(2)


class SelfAttention(Mixer):
    """softmax(Q Kᵀ / √d + B) V, with queries from LN(x), keys and values from the source; see `attention.py`."""

    def __init__(self, shape: TransformerShape, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.shape, own_bias = shape, shape.block == "authors"
        self.queries, self.keys, self.values = (
            xavier_linear(shape.width, shape.width, own_bias, generator, device) for _ in range(3)
        )
        self.bias = Positions(shape.heads, shape.length, relative=shape.relative, timed=shape.timed, device=device)

    def _read(self, normed: Tensor, source: Tensor, at: Int[Tensor, "#users length"]) -> tuple[Tensor, Tensor, Tensor]:
        """(queries, keys, values) of tokens at positions `at`."""
        q, k, v = (
            split_heads(layer(of), self.shape.heads)
            for layer, of in ((self.queries, normed), (self.keys, source), (self.values, source))
        )
        return (rotate(q, at), rotate(k, at), v) if self.shape.rotary else (q, k, v)

    def forward(self, normed: Tensor, source: Tensor, places: Places, noise: Noise) -> tuple[Tensor, Kept]:
        q, k, v = self._read(normed, source, places.at)
        attended = attend(
            q,
            k,
            v,
            bias=self.bias(places.at, places.at, places.times, places.times),
            rate=0.0 if noise is None else self.shape.attention_dropout,
            generator=noise,
        )
        return join_heads(attended), (k, v)

    def extend(self, normed: Tensor, source: Tensor, kept: Kept, event: Appended) -> tuple[Tensor, Kept]:
        q, k, v = self._read(normed, source, event.at)
        keys, values = event.among(kept[0], k), event.among(kept[1], v)
        bias = self.bias(event.at, event.all_at, event.times, event.all_times)
        visible = torch.where(event.all_at <= event.at, 0.0, -torch.inf)[:, None, None, :].to(q.dtype)
        return join_heads(attend(q, keys, values, bias=bias, visible=visible)), (keys, values)
