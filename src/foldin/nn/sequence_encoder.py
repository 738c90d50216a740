"""From histories to states: item vectors, learned places, and a causal transformer over them.

    x_i = √d · E[item_i] + P[place_i],   h = Transformer(x)

Learned places count from the newest event that is read, or from the oldest. The newest always has the same place then, whatever
the length; or an event has the same place at any time, so that further events can be read one at a time, and the places in
which short histories end are trained by long ones too.

Items may have names of several codes instead of a row each: E[item] = Σ_l e^l_{c_l(item)}, one table of all levels' codes. What
is learned then is a table of thousands for a catalog of millions, and an item that training never saw has a vector.

Source: kang2018, eqs. 1–7; its code counts from the newest (histories filled up on the left), that of klenitskiy2023 from the
oldest. Names: rajput2023.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories
from foldin.kernels import Buffers, bag_of_items
from foldin.nn.dropout import dropout
from foldin.nn.sequences import Sequences, cut_by_length, newest
from foldin.nn.transformer import Cache, Transformer, TransformerShape
from foldin.tensors import Float, Int, Tensor

__all__ = ["SequenceEncoder"]

_SERVING_TOKENS = 16_384  # read at once


class SequenceEncoder(nn.Module):
    """States of a user after each event of a sequence.

    Args:
        rows: of the table of vectors: items, or codes of all levels where items have names.
        shape: of the transformer; its dropout is that of the input too.
        places: what learned places count from, `newest` or `oldest`; none when None.
        initial_sd: of all initial weights but those of layer norms, normal ones; Xavier's uniform ones when None.
        generator: of the initial weights, on the CPU.
        device: where it computes.
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
        self.names: Int[Tensor, "items levels"] | None = None  # rows of the table, where items have names
        self._memory = Buffers()

    def by_name(self) -> dict[str, nn.Parameter]:
        """What is learned."""
        places = {"places": self.places} if len(self.places) else {}
        return {"items": self.items, **places, **dict(self.transformer.named_parameters())}

    @property
    def extensible(self) -> bool:
        """Whether another event leaves the places of those before it as they are."""
        return len(self.places) == 0 or not self.from_newest

    def forward(
        self, sequences: Sequences, noise: torch.Generator | None = None
    ) -> Float[Tensor, "users length width"]:
        """h at every place of the rectangle; with `noise`, under dropout."""
        x = self.inputs(sequences)
        if noise is not None:
            x = dropout(x, self.shape.dropout, noise)
        return self.transformer(x, self._times(sequences), noise)

    def begin(self, sequences: Sequences) -> tuple[Float[Tensor, "users length width"], Cache]:
        """(h at every place, what is needed to read further events one at a time)."""
        return self.transformer.begin(self.inputs(sequences), sequences.lengths, self._times(sequences))

    def extend(self, event: Sequences, cache: Cache) -> tuple[Float[Tensor, "users 1 width"], Cache]:
        """(h of one more event of each user, the cache with it)."""
        x = self._vectors(event.items)
        if len(self.places):
            x = x + F.embedding(cache.lengths.unsqueeze(1), self.places)
        return self.transformer.extend(x, cache, self._times(event))

    def inputs(self, sequences: Sequences) -> Float[Tensor, "users length width"]:
        """x of every place."""
        return self.placed(self._vectors(sequences.items), sequences.lengths)

    def _times(self, sequences: Sequences) -> Int[Tensor, "users length"] | None:
        """What attention knows of times: nothing, or all events are of one moment where they came without.

        The bias is alike for all of these, and no softmax sees it.
        """
        if not self.shape.timed:
            return None
        return torch.zeros_like(sequences.items) if sequences.times is None else sequences.times

    def _vectors(self, items: Int[Tensor, "users length"]) -> Float[Tensor, "users length width"]:
        # A bag an item, of its own row or of its codes: the gradient of the table touches the rows in question only.
        rows = items.unsqueeze(-1) if self.names is None else F.embedding(items, self.names)
        ends = torch.arange(0, rows.numel() + 1, rows.shape[-1], device=rows.device)
        scale = torch.full((rows.numel(),), self.shape.width**0.5, device=rows.device)
        return bag_of_items(self.items, rows.reshape(-1), ends, scale, self._memory).view(*items.shape, -1)

    def vectors(self) -> Float[Tensor, "items width"]:
        """E: the vector of each item."""
        return self.items if self.names is None else F.embedding(self.names, self.items).sum(dim=1)

    def newest_states(self, histories: Histories) -> Float[Tensor, "users width"]:
        """h after each user's newest event, without a gradient; zeros for an empty history."""
        found = torch.zeros(len(histories), self.shape.width, device=self.items.device)
        lengths = np.minimum(histories.lengths, self.shape.length)
        users = np.argsort(lengths, kind="stable")
        users = users[lengths[users] > 0]
        with torch.no_grad():
            for cut in cut_by_length(lengths[users], _SERVING_TOKENS):
                part = newest(histories.select(users[cut]), self.shape.length, found.device)
                at = torch.from_numpy(users[cut]).to(found.device)
                found[at] = self(part).flatten(0, 1)[part.last()]
        return found

    def placed(
        self, x: Float[Tensor, "users length width"], lengths: Int[Tensor, " users"]
    ) -> Float[Tensor, "users length width"]:
        """x with the vectors of the places it stands at, of users with `lengths` events."""
        if len(self.places) == 0:
            return x
        at = torch.arange(x.shape[1], device=x.device)
        if not self.from_newest:
            return x + self.places[at]
        behind = lengths.unsqueeze(1) - at
        return x + F.embedding((self.shape.length - behind).clamp(max=self.shape.length - 1), self.places)
