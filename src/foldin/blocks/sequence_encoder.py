"""From histories to states: item vectors, learned places, and a causal transformer over them.

    x_i = √d · E[item_i] + P[place_i],   h = Transformer(x)

Learned places count from the newest event that is read, or from the oldest. The newest always has the same place then, whatever
the length; or an event has the same place at any time, so that further events can be read one at a time, and the places in
which short histories end are trained by long ones too.

Source: kang2018, eqs. 1–7; its code counts from the newest (histories filled up on the left), that of klenitskiy2023 from the
oldest.
"""

import torch
from torch import nn
from torch.nn import functional as F

from foldin.blocks.bag import bag_of_items
from foldin.blocks.buffers import Buffers
from foldin.blocks.dropout import dropout
from foldin.blocks.sequences import Sequences
from foldin.blocks.transformer import Cache, Transformer, TransformerShape
from foldin.tensors import Float, Int, Tensor

__all__ = ["SequenceEncoder"]


class SequenceEncoder(nn.Module):
    """States of a person after each event of a sequence.

    Args:
        n_items: rows of the table of item vectors.
        shape: of the transformer; its dropout is that of the input too.
        places: what learned places count from, `newest` or `oldest`; none when None.
        initial_sd: of all initial weights but those of layer norms, normal ones; Xavier's uniform ones when None.
        generator: of the initial weights, on the CPU.
        device: where it computes.
    """

    def __init__(
        self,
        n_items: int,
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
        self.items = nn.Parameter(torch.empty(n_items, shape.width))
        self.places = nn.Parameter(torch.empty(0 if places is None else shape.length, shape.width))
        for table in (self.items, self.places):
            if len(table):
                nn.init.xavier_uniform_(table, generator=generator)
            table.data = table.data.to(device)
        if initial_sd is not None:
            for weights in self.parameters():
                if weights.dim() == 2:
                    weights.data.copy_(torch.empty(weights.shape).normal_(0.0, initial_sd, generator=generator))
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
        return self.transformer(x, sequences.times if self.shape.timed else None, noise)

    def begin(self, sequences: Sequences) -> tuple[Float[Tensor, "users length width"], Cache]:
        """(h at every place, what is needed to read further events one at a time)."""
        return self.transformer.begin(
            self.inputs(sequences), sequences.lengths, sequences.times if self.shape.timed else None
        )

    def extend(self, event: Sequences, cache: Cache) -> tuple[Float[Tensor, "users 1 width"], Cache]:
        """(h of one more event of each person, the cache with it)."""
        x = self._vectors(event.items)
        if len(self.places):
            x = x + F.embedding(cache.lengths.unsqueeze(1), self.places)
        return self.transformer.extend(x, cache, event.times if self.shape.timed else None)

    def inputs(self, sequences: Sequences) -> Float[Tensor, "users length width"]:
        """x of every place."""
        return self.placed(self._vectors(sequences.items), sequences.lengths)

    def _vectors(self, items: Int[Tensor, "users length"]) -> Float[Tensor, "users length width"]:
        # One item a bag: the gradient of the table is then that of a bag, which touches the rows in question only.
        flat = items.reshape(-1)
        ends = torch.arange(len(flat) + 1, device=flat.device)
        scale = torch.full(flat.shape, self.shape.width**0.5, device=flat.device)
        return bag_of_items(self.items, flat, ends, scale, self._memory).view(*items.shape, -1)

    def placed(
        self, x: Float[Tensor, "users length width"], lengths: Int[Tensor, " users"]
    ) -> Float[Tensor, "users length width"]:
        """x with the vectors of the places it stands at, of people with `lengths` events."""
        if len(self.places) == 0:
            return x
        at = torch.arange(x.shape[1], device=x.device)
        if not self.from_newest:
            return x + self.places[at]
        behind = lengths.unsqueeze(1) - at
        return x + F.embedding((self.shape.length - behind).clamp(max=self.shape.length - 1), self.places)
