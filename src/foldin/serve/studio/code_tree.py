"""The tree of item tokens, one node at a time: the tokens that follow a path, and the items below each of them."""

from collections.abc import Sequence

import numpy as np

from foldin.errors import ConfigError
from foldin.models import ItemTokens, capability
from foldin.serve.engine.deployment import Deployment
from foldin.serve.studio.schemas import CodeBranch, CodeBranches

__all__ = ["branches", "levels"]

_TELLING = 3  # titles per branch


def levels(deployment: Deployment) -> int | None:
    """Number of tokens of an item; None for a model without item tokens."""
    tokens = capability(deployment.run.model, ItemTokens)
    return None if tokens is None else tokens.item_tokens().shape[1]


def branches(deployment: Deployment, path: Sequence[int], limit: int) -> CodeBranches:
    """The tokens that follow a path, those with the most training events first; items that were retired are left out.

    Args:
        path: tokens from the root; empty for the root itself.
        limit: maximum number of branches.

    Raises:
        ConfigError: a model without item tokens, or a path with which the tokens of no item begin.
    """
    model, view = deployment.run.model, deployment.view
    catalog = view.catalog
    tokens = capability(model, ItemTokens)
    if tokens is None:
        raise ConfigError(f"codes: {deployment.name} has no item tokens")
    names, depth = tokens.item_tokens(), len(path)
    if depth >= names.shape[1]:
        raise ConfigError(f"path: an item has {names.shape[1]} tokens, so that nothing follows {depth} of them")
    begins = (names[:, :depth] == np.array(path, dtype=np.int64)).all(axis=1)
    items = np.flatnonzero(begins if view.retired is None else begins & ~view.retired)
    if not len(items):
        raise ConfigError(f"path: the tokens of no item begin with {', '.join(map(str, path))}")
    counts = catalog.table["count"].to_numpy()
    code, branch = np.unique(names[items, depth], return_inverse=True)
    taken = np.bincount(branch, weights=counts[items])
    found = []
    for at in np.argsort(-taken, kind="stable")[:limit].tolist():
        own = items[branch == at]
        most = own[np.argsort(-counts[own], kind="stable")].tolist()
        found.append(
            CodeBranch(
                code=int(code[at]),
                items=len(own),
                share=float(taken[at] / max(counts.sum(), 1)),
                titles=[catalog.titles[one] for one in most[:_TELLING]],
                item=catalog.ids[most[0]] if len(own) == 1 else None,
            )
        )
    return CodeBranches(model=deployment.name, path=list(path), items=len(items), of=len(code), branches=found)
