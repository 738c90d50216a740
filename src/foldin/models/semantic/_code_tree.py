"""The tree of item tokens: every item is a path of codes, and every path from the root ends at an item.

Level 0 are the first codes; the children of a node are the codes that follow its path in some item's tokens, in order; a leaf is
an item. log p(item) = Σ_level log p(code | path), with p normalized over a node's children, is then normalized over the
catalog.
"""

from dataclasses import dataclass

import numpy as np
import torch

from foldin.errors import ShapeError
from foldin.tensors import Array, Bool, Float, Int, Int64, Tensor

__all__ = ["CodeTree", "Level"]


@dataclass(frozen=True, eq=False)
class Level:
    """The nodes of a level, sorted by parent and code.

    Args:
        parent: node of the level before; 0, the root, at the first.
        code: code of each node.
        child: node of each parent and code; −1 where there is none. As many columns as the level's largest code needs.
        node_of: the node that each item's path goes through.
        siblings: nodes that are not an only child.
        families: numbers of siblings, parent by parent.
    """

    parent: Int[Tensor, " nodes"]
    code: Int[Tensor, " nodes"]
    child: Int[Tensor, "parents codes"]
    node_of: Int[Tensor, " items"]
    siblings: Int[Tensor, " siblings"]
    families: Int[Tensor, " families"]

    def __len__(self) -> int:
        return len(self.parent)


class CodeTree:
    """The tree of a catalog.

    Args:
        names: codes of each item, level by level.
        device: device of its tensors.

    Raises:
        ShapeError: no items, a negative code, or two items with the same codes.
    """

    def __init__(self, names: Int64[Array, "items levels"], device: str | torch.device = "cpu") -> None:
        if len(names) == 0 or names.min() < 0:
            raise ShapeError(f"a tree needs items with codes from 0 on, not {names.shape}")
        self.levels: list[Level] = []
        before, parents = np.zeros(len(names), dtype=np.int64), 1
        for column in names.T:
            codes = int(column.max()) + 1
            keys, node_of = np.unique(before * codes + column, return_inverse=True)
            child = np.full((parents, codes), -1, dtype=np.int64)
            child[keys // codes, keys % codes] = np.arange(len(keys))
            sizes = np.bincount(keys // codes, minlength=parents)
            siblings = np.flatnonzero(sizes[keys // codes] > 1)
            one = (keys // codes, keys % codes, child, node_of, siblings, sizes[sizes > 1])
            self.levels.append(Level(*(torch.from_numpy(values).to(device) for values in one)))
            before, parents = node_of, len(keys)
        if parents != len(names):
            raise ShapeError(f"{len(names) - parents} of {len(names)} items share their name with another")
        leaves = torch.empty(parents, dtype=torch.int64, device=device)
        self.item_of = leaves.scatter_(0, self.levels[-1].node_of, torch.arange(parents, device=device))

    def counts(self, alive: Bool[Tensor, " items"]) -> list[Int[Tensor, " nodes"]]:
        """Number of items with a true entry in `alive` below each node, level by level."""
        ones = alive.to(torch.int64)
        return [
            torch.zeros(len(level), dtype=torch.int64, device=ones.device).index_add_(0, level.node_of, ones)
            for level in self.levels
        ]

    def log_share(self, level: int, logits: Float[Tensor, "siblings users"]) -> Float[Tensor, "siblings users"]:
        """log p(node | its parent) of the nodes that have siblings, from their logits; that of an only child is 0.

        Nodes are rows here, so that sums over children add whole rows.
        """
        nodes = self.levels[level]
        top = torch.segment_reduce(logits, "max", lengths=nodes.families, axis=0)
        family = torch.repeat_interleave(torch.arange(len(nodes.families), device=logits.device), nodes.families)
        own = logits - top[family]
        total = torch.zeros_like(top).index_add_(0, family, own.exp())
        return own.sub_(total.log_()[family])
