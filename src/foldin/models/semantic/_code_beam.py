"""Beam search for the most probable items, code by code, along the tree of item tokens.

At each level, paths continue to the children below which there is an item that may still be listed: denied items and items of
the user's history are excluded within the search, not removed from its result. With a beam as wide as the catalog, the search
is exhaustive.
"""

import torch
from torch.nn import functional as F

from foldin.models.semantic._code_decoder import CodeDecoder
from foldin.models.semantic._code_tree import CodeTree
from foldin.tensors import Bool, Float, Int, Tensor

__all__ = ["code_beam"]


def code_beam(
    decoder: CodeDecoder,
    tree: CodeTree,
    table: Float[Tensor, "rows width"],
    states: Float[Tensor, "users width"],
    beam: int,
    *,
    allowed: Bool[Tensor, " items"],
    seen: tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]],
) -> tuple[Float[Tensor, "users found"], Int[Tensor, "users found"]]:
    """(log p(item), items) of the best items found for each state, best first; −inf and −1 where there are fewer.

    log p is normalized over the whole catalog. Ties are in the order of items.

    Args:
        beam: paths kept at each level.
        allowed: items that may be found.
        seen: (users, items), pairs that may not be found; each pair once.
    """
    users, device = len(states), states.device
    logp, node = states.new_zeros(users, 1), torch.zeros(users, 1, dtype=torch.int64, device=device)
    path = states.new_zeros(users, 1, states.shape[1])
    counts = tree.counts(allowed)
    hidden = allowed[seen[1]]  # denied items are excluded already
    of, items = seen[0][hidden], seen[1][hidden]
    for level, (nodes, living) in enumerate(zip(tree.levels, counts, strict=True)):
        width = node.shape[1]
        child = F.embedding(node.reshape(-1), nodes.child)
        logits = decoder.logits(
            table, level, states.repeat_interleave(width, dim=0), path.flatten(0, 1), child.shape[1]
        )
        own = torch.log_softmax(logits.masked_fill(child < 0, -torch.inf), dim=1)
        child, own = child.view(users, -1), own.view(users, -1)
        # A node is dead for a user who has every allowed item below it.
        left = living.expand(users, -1).clone()
        left.index_put_((of, nodes.node_of[items]), torch.full_like(of, -1), accumulate=True)
        dead = (child < 0) | (left.gather(1, child.clamp(min=0)) == 0)
        total = (logp.repeat_interleave(nodes.child.shape[1], dim=1) + own).masked_fill(dead, -torch.inf)
        logp, best = total.topk(min(beam, total.shape[1]), dim=1)
        node = child.gather(1, best).clamp(min=0)  # where log p is −inf, the node is a placeholder
        behind = path.gather(1, (best // nodes.child.shape[1]).unsqueeze(2).expand(-1, -1, path.shape[2]))
        path = behind + F.embedding(nodes.code[node], decoder.vectors(table, level))
    found = tree.item_of[node]
    order = found.argsort(dim=1)
    ranked = logp.gather(1, order).sort(dim=1, descending=True, stable=True)
    found = found.gather(1, order).gather(1, ranked.indices)
    return ranked.values, found.masked_fill(ranked.values == -torch.inf, -1)
