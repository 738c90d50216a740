"""The tree of semantic ids, a node at a time: which codes go on from a path, and what lies beneath each of them."""

from collections.abc import Sequence

import numpy as np

from foldin.errors import ConfigError
from foldin.models import ItemTokens, capability
from foldin.serve.engine.registry import Deployment
from foldin.serve.studio.schemas import CodeBranch, CodeBranches

__all__ = ["branches", "levels"]

_TELLING = 3  # titles a branch


def levels(deployment: Deployment) -> int | None:
    """Codes of a name; None for a model whose items have none."""
    tokens = capability(deployment.run.model, ItemTokens)
    return None if tokens is None else tokens.item_tokens().shape[1]


def branches(deployment: Deployment, path: Sequence[int], limit: int) -> CodeBranches:
    """The codes after a path, those with the most training events first.

    Args:
        path: codes from the root; none is the root.
        limit: branches at most.

    Raises:
        ConfigError: a model without names of codes, or a path that no name begins with and goes on from.
    """
    model, catalog = deployment.run.model, deployment.run.catalog
    tokens = capability(model, ItemTokens)
    if tokens is None:
        raise ConfigError(f"codes: {deployment.name} does not name its items by codes")
    names, depth = tokens.item_tokens(), len(path)
    if depth >= names.shape[1]:
        raise ConfigError(f"path: a name has {names.shape[1]} codes; after {depth} of them nothing goes on")
    items = np.flatnonzero((names[:, :depth] == np.array(path, dtype=np.int64)).all(axis=1))
    if not len(items):
        raise ConfigError(f"path: no name begins with {', '.join(map(str, path))}")
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
