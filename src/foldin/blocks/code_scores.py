"""Probabilities of items by their names: of all of them at once, of a few, and of those that may be listed."""

from dataclasses import dataclass

import torch

from foldin.blocks.code_decoder import CodeDecoder
from foldin.blocks.code_tree import CodeTree
from foldin.tensors import Bool, Float, Int, Tensor

__all__ = ["CodeScores"]

_AT_ONCE = 256  # people: what is known of them at a level stays in the cache
_CANCELS = 0.05


@dataclass(frozen=True, eq=False)
class CodeScores:
    """What scoring needs; nothing of it is changed.

    Args:
        decoder: from states to codes.
        tree: of the items' names.
        table: vectors of all levels' codes.
        names: of the items.
    """

    decoder: CodeDecoder
    tree: CodeTree
    table: Float[Tensor, "rows width"]
    names: Int[Tensor, "items levels"]

    def _nodes(self) -> list[tuple[Tensor, Tensor]]:
        """(vector, bias) of each level's nodes that have siblings."""
        path, found = self.table.new_zeros(1, self.table.shape[1]), []
        for level, nodes in enumerate(self.tree.levels):
            behind, own = path[nodes.parent], nodes.siblings
            found.append(self.decoder.nodes(self.table, level, behind[own], nodes.code[own]))
            path = behind + self.decoder.vectors(self.table, level)[nodes.code]
        return found

    @torch.no_grad()
    def every(self, states: Float[Tensor, "users width"]) -> Float[Tensor, "users items"]:
        """log p(item | state) of all items: the sum over its path."""
        out, every = states.new_empty(len(states), len(self.names)), self._nodes()
        for start in range(0, len(states), _AT_ONCE):
            part = states[start : start + _AT_ONCE]
            total = part.new_zeros(len(self.names), len(part))
            for level, (nodes, (vectors, bias)) in enumerate(zip(self.tree.levels, every, strict=True)):
                own = part.new_zeros(len(nodes), len(part))
                if len(nodes.siblings):
                    logits = torch.addmm(bias.unsqueeze(1), vectors, (part @ self.decoder.asks[level]).t())
                    own[nodes.siblings] = self.tree.log_share(level, logits)
                total += own[nodes.node_of]
            out[start : start + _AT_ONCE] = total.t()
        return out

    @torch.no_grad()
    def log_permitted(
        self,
        states: Float[Tensor, "users width"],
        seen: tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]],
        allowed: Bool[Tensor, " items"],
    ) -> Float[Tensor, " users"]:
        """log p(an item that is allowed, and that the person has not seen | state), in double precision.

        Args:
            seen: (users, items), each pair once.
        """
        users, items = seen
        own = self.decoder.log_prob(self.table, states[users], self.names[items], self.tree).sum(dim=1)
        mass = torch.zeros(len(states), dtype=torch.float64, device=states.device)
        found = 1.0 - mass.index_add_(0, users, own.double().exp())
        # The complement of a few paths is cheap, but of nearly everything it is rounding: then all items are scored.
        whole = (found < _CANCELS) if bool(allowed.all()) else torch.ones_like(found, dtype=torch.bool)
        at = whole.nonzero().squeeze(1)
        if len(at):
            every = self.every(states[at]).masked_fill_(~allowed, -torch.inf)
            row = torch.full((len(states),), -1, device=states.device).scatter_(
                0, at, torch.arange(len(at), device=at.device)
            )
            inside = row[users] >= 0
            every[row[users[inside]], items[inside]] = -torch.inf
            found[at] = every.double().exp().sum(dim=1)
        return found.log()
