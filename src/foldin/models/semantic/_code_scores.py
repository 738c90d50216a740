"""Log-probabilities of items by their tokens: of all items, and of the items in total that may be listed."""

from dataclasses import dataclass
from functools import cached_property

import torch

from foldin.models.semantic._code_decoder import CodeDecoder
from foldin.models.semantic._code_tree import CodeTree
from foldin.tensors import Bool, Float, Int, Tensor

__all__ = ["CodeScores"]

_AT_ONCE = 256  # users whose values of one level fit into the cache
_CANCELS = 0.05  # remaining probability below which 1 − p would lose precision
_PAIRS = 8192  # pairs of users and items scored along their paths at once


@dataclass(frozen=True, eq=False)
class CodeScores:
    """The read-only inputs of scoring.

    Args:
        decoder: from states to codes.
        tree: tree of the items' tokens.
        table: vectors of all levels' codes.
        names: tokens of the items.
    """

    decoder: CodeDecoder
    tree: CodeTree
    table: Float[Tensor, "rows width"]
    names: Int[Tensor, "items levels"]

    @cached_property
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
        """log p(item | state) of all items, in nats: the sum over the path of each."""
        out, every = states.new_empty(len(states), len(self.names)), self._nodes
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
        """log p(an item that is allowed and that the user has not seen | state), in nats and double precision.

        Args:
            seen: (users, items), each pair once.
        """
        banned = (~allowed).nonzero().squeeze(1)
        users = torch.cat((seen[0], torch.arange(len(states), device=states.device).repeat_interleave(len(banned))))
        items = torch.cat((seen[1], banned.repeat(len(states))))
        kept = allowed[items]
        kept[len(seen[0]) :] = True
        users, items = users[kept], items[kept]
        whole = torch.ones(len(states), dtype=torch.bool, device=states.device)
        found = torch.zeros(len(states), dtype=torch.float64, device=states.device)
        if len(users) * sum(level.child.shape[1] for level in self.tree.levels) < len(states) * len(self.names):
            # A few paths are cheaper than all items; but a complement near zero would be lost in rounding.
            found += 1.0 - self._mass(states, users, items)
            whole = found < _CANCELS
        found = found.clamp(min=1e-300).log()
        at = whole.nonzero().squeeze(1)
        for part in at.split(_AT_ONCE):
            every = self.every(states[part]).masked_fill_(~allowed, -torch.inf)
            row = torch.full((len(states),), -1, device=states.device)
            row[part] = torch.arange(len(part), device=part.device)
            inside = row[seen[0]] >= 0
            every[row[seen[0][inside]], seen[1][inside]] = -torch.inf
            found[part] = torch.logsumexp(every.double(), dim=1)
        return found

    def _mass(
        self, states: Float[Tensor, "users width"], users: Int[Tensor, " pairs"], items: Int[Tensor, " pairs"]
    ) -> Float[Tensor, " users"]:
        """Σ p(item | state) over each user's items."""
        mass = torch.zeros(len(states), dtype=torch.float64, device=states.device)
        for user, item in zip(users.split(_PAIRS), items.split(_PAIRS), strict=True):
            own = self.decoder.log_prob(self.table, states[user], self.names[item], self.tree).sum(dim=1)
            mass.index_add_(0, user, own.double().exp())
        return mass
