"""From histories to user states: item vectors, learned positions, and a causal transformer over them.

    x_i = √d · E[item_i] + P[place_i],   h = Transformer(x)

Learned positions count from the newest event that is read, or from the oldest. Counted from the newest, that event has the same
position whatever the length of the history. Counted from the oldest, each event keeps its position, so that further events can be
read one at a time, and long histories also train the positions at which short ones end.

Items may be given by several tokens instead of a vector each: E[item] = Σ_l e^l_{c_l(item)}, from one table of the codes of all
levels. Then a table of thousands of vectors is learned for a catalog of millions of items, and a new item has a vector too.

Source: kang2018, eqs. 1–7; its code counts from the newest (histories padded on the left), that of klenitskiy2023 from the
oldest. Item tokens: rajput2023.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories
from foldin.kernels import Buffers, bag_of_items, on_device
from foldin.nn.dropout import dropout
from foldin.nn.sequences import Sequences, cut_by_length, newest
from foldin.nn.transformer import Cache, Transformer, TransformerShape
from foldin.tensors import Float, Int, Tensor
from foldin.transfers import sent

__all__ = ["SequenceEncoder"]

_SERVING_TOKENS = 16_384  # events that are read at once


class SequenceEncoder(nn.Module):
    """Encoder from the events of a history to the user's state after each of them.

    Args:
        rows: size of the table of vectors: number of items, or of codes of all levels where items are given by tokens.
        shape: settings of the transformer; its dropout also applies to the input.
        places: where learned positions count from, `newest` or `oldest`; None for no learned positions.
        initial_sd: standard deviation of all initial matrices, which are then normal; None for Xavier's uniform weights.
        generator: source of the initial weights, on the CPU.
        device: device of the weights and the computation.
    """

    def __init__(
        self,
        rows: int,
        shape: TransformerShape,
        *,
        places: str | None,
        initial_sd: float | None,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.shape, self.from_newest = shape, places == "newest"
        self.transformer = Transformer(shape, generator=generator, device=device)
        self.items = nn.Parameter(torch.empty(rows, shape.width))
        self.places = nn.Parameter(torch.empty(0 if places is None else shape.length, shape.width))
        for table in (self.items, self.places):
            if len(table):
                nn.init.xavier_uniform_(table, generator=generator)
            table.data = table.data.to(device)
        if initial_sd is not None:
            for weights in self.parameters():
                if weights.dim() == 2:
                    weights.data.copy_(torch.empty(weights.shape).normal_(0.0, initial_sd, generator=generator))
        self.names: Int[Tensor, "items levels"] | None = None  # rows of the table, where items are given by tokens
        # Vectors of all items, where they are more than the rows of the table.
        self.table: Callable[[], Float[Tensor, "items width"]] | None = None
        self._memory = Buffers()

    def by_name(self) -> dict[str, nn.Parameter]:
        """Every learned parameter by name."""
        places = {"places": self.places} if len(self.places) else {}
        return {"items": self.items, **places, **self.transformer.by_name()}

    @property
    def extensible(self) -> bool:
        """Whether further events leave the positions of earlier ones unchanged."""
        return len(self.places) == 0 or not self.from_newest

    def forward(
        self, sequences: Sequences, noise: torch.Generator | None = None
    ) -> Float[Tensor, "users length width"]:
        """h after each event, padding included; with a generator `noise`, under dropout."""
        x = self.inputs(sequences)
        if noise is not None:
            x = dropout(x, self.shape.dropout, noise)
        return self.transformer(x, self._times(sequences), noise)

    def begin(self, sequences: Sequences) -> tuple[Float[Tensor, "users length width"], Cache]:
        """(h after each event, cache for reading further events one at a time)."""
        return self.transformer.begin(self.inputs(sequences), sequences.lengths, self._times(sequences))

    def extend(self, event: Sequences, cache: Cache) -> tuple[Float[Tensor, "users 1 width"], Cache]:
        """(h after one more event of each user, cache that includes it)."""
        x = self._vectors(event.items)
        if len(self.places):
            x = x + F.embedding(cache.lengths.unsqueeze(1), self.places)
        return self.transformer.extend(x, cache, self._times(event))

    def inputs(self, sequences: Sequences) -> Float[Tensor, "users length width"]:
        """x of each event: its item's vector, scaled, plus that of its position."""
        return self.placed(self._vectors(sequences.items), sequences.lengths)

    def _times(self, sequences: Sequences) -> Int[Tensor, "users length"] | None:
        """Times of the events in seconds if attention uses them, else None; all 0 if the histories have no times.

        Equal times give all keys the same bias, which leaves the softmax unchanged.
        """
        if not self.shape.timed:
            return None
        return torch.zeros_like(sequences.items) if sequences.times is None else sequences.times

    def _vectors(self, items: Int[Tensor, "users length"]) -> Float[Tensor, "users length width"]:
        if self.table is not None:
            return F.embedding(items, self.table()) * self.shape.width**0.5
        # A bag for each item, with its row of the table or the rows of its tokens: only these rows have a gradient.
        rows = items.unsqueeze(-1) if self.names is None else F.embedding(items, self.names)
        ends = torch.arange(0, rows.numel() + 1, rows.shape[-1], device=rows.device)
        scale = torch.full((rows.numel(),), self.shape.width**0.5, device=rows.device)
        return bag_of_items(self.items, rows.reshape(-1), ends, scale, self._memory).view(*items.shape, -1)

    def vectors(self) -> Float[Tensor, "items width"]:
        """E, the vector of each item."""
        if self.table is not None:
            return self.table()
        return self.items if self.names is None else F.embedding(self.names, self.items).sum(dim=1)

    def newest_states(self, histories: Histories) -> Float[Tensor, "users width"]:
        """h after the newest event of each user, without a gradient; zeros for an empty history."""
        found = torch.zeros(len(histories), self.shape.width, device=self.items.device)
        lengths = np.minimum(histories.lengths, self.shape.length)
        users = np.argsort(lengths, kind="stable")
        users = users[lengths[users] > 0]
        with torch.no_grad():
            for cut in cut_by_length(lengths[users], _SERVING_TOKENS):
                part = newest(histories.select(users[cut]), self.shape.length, found.device)
                at = sent(users[cut], found.device)
                found[at] = self(part).flatten(0, 1)[part.last()]
        return found

    def placed(
        self, x: Float[Tensor, "users length width"], lengths: Int[Tensor, " users"]
    ) -> Float[Tensor, "users length width"]:
        """x plus the vectors of its positions, for users with `lengths` events."""
        if len(self.places) == 0:
            return x
        at = torch.arange(x.shape[1], device=x.device)
        if not self.from_newest:
            return x + self.places[at]
        behind = lengths.unsqueeze(1) - at
        rows = (self.shape.length - behind).clamp(max=self.shape.length - 1)
        if on_device(x):  # the gradient of an embedding sorts the indices there
            return x + self.places.index_select(0, rows.view(-1)).view_as(x)
        return x + F.embedding(rows, self.places)
