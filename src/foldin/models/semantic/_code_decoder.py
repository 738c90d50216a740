"""The decoder of the next item's codes, one after the other, from the state of a history.

    p(c_l | h, c_<l) = softmax over c of ⟨a_l(h) ⊙ g_l(p) + u_l(p), e^l_c⟩ + b^l_c,   p = Σ_{j<l} e^j_{c_j}

with a_l linear in h, g_l = 1 + linear and u_l linear in the path's vector p. The path acts on the state by gates, so that each
node of the tree has a vector, g_l(p) ⊙ e^l_c, and a bias, ⟨u_l(p), e^l_c⟩ + b^l_c, that do not depend on the user: all nodes
are scored by one product per level, while a beam scores only the nodes that it reaches. Both give the same scores.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from foldin.kernels import at_least_float32
from foldin.models.semantic._code_tree import CodeTree
from foldin.tensors import Float, Int, Tensor

__all__ = ["CodeDecoder"]


class CodeDecoder(nn.Module):
    """The weights of the decoder; the codes' vectors are those of the encoder, one table of all levels.

    Args:
        sizes: number of codes of each level.
        width: width of a state and of a code's vector.
        generator: generator of the initial weights, on the CPU.
        device: device on which the decoder computes.
    """

    def __init__(self, sizes: Sequence[int], width: int, *, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.starts = [sum(sizes[:level]) for level in range(len(sizes) + 1)]
        shape = (len(sizes), width, width)

        def small() -> nn.Parameter:
            return nn.Parameter((torch.randn(shape, generator=generator) * 0.02).to(device))

        # Every level starts from the state itself.
        self.asks = nn.Parameter((torch.eye(width) + torch.randn(shape, generator=generator) * 0.02).to(device))
        self.gates, self.shifts = small(), small()
        self.bias = nn.Parameter(torch.zeros(self.starts[-1], device=device))

    def vectors(self, table: Float[Tensor, "rows width"], level: int) -> Float[Tensor, "codes width"]:
        """Vectors of a level's codes."""
        return table[self.starts[level] : self.starts[level + 1]]

    def logits(
        self,
        table: Float[Tensor, "rows width"],
        level: int,
        states: Float[Tensor, "n width"],
        path: Float[Tensor, "n width"],
        codes: int,
    ) -> Float[Tensor, "n codes"]:
        """Logits of the first `codes` codes of a level, for each state and its path."""
        asked = states @ self.asks[level]
        if level:
            asked = asked * (1.0 + path @ self.gates[level]) + path @ self.shifts[level]
        start = self.starts[level]
        return at_least_float32(F.linear(asked, table[start : start + codes], self.bias[start : start + codes]))

    def nodes(
        self,
        table: Float[Tensor, "rows width"],
        level: int,
        path: Float[Tensor, "nodes width"],
        code: Int[Tensor, " nodes"],
    ) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, " nodes"]]:
        """(vector, bias) of nodes, given the vectors of the paths to their parents."""
        own = F.embedding(code, self.vectors(table, level))
        bias = self.bias[self.starts[level] + code]
        if level == 0:
            return own, bias
        return (1.0 + path @ self.gates[level]) * own, ((path @ self.shifts[level]) * own).sum(dim=1) + bias

    def log_prob(
        self,
        table: Float[Tensor, "rows width"],
        states: Float[Tensor, "n width"],
        names: Int[Tensor, "n levels"],
        tree: CodeTree | None,
    ) -> Float[Tensor, "n levels"]:
        """log p(code | state, path) of each code of the item tokens `names`, in nats.

        Args:
            tree: tree of the items' tokens, so that p is normalized over codes that continue a path to some item; None to
                normalize over all codes of a level.
        """
        path, found = torch.zeros_like(states), []
        before = torch.zeros(len(names), dtype=torch.int64, device=names.device)
        for level in range(names.shape[1]):
            code = names[:, level]
            if tree is None:
                logits = self.logits(table, level, states, path, self.starts[level + 1] - self.starts[level])
            else:
                child = F.embedding(before, tree.levels[level].child)
                logits = self.logits(table, level, states, path, child.shape[1]).masked_fill(child < 0, -torch.inf)
                before = child.gather(1, code.unsqueeze(1)).squeeze(1)
            found.append(-F.cross_entropy(logits, code, reduction="none"))
            path = path + F.embedding(code, self.vectors(table, level))
        return torch.stack(found, dim=1)
