"""The items of any model as points of a plane: a vector for each item, and the first two principal components of the vectors.

A model's own vectors are used if it has some, or the components of its items. The vector of an item of any other model is its
profile: its scores after each of the most popular items alone, for a linear model such as EASE the weights of these items for it.
The mean of an item and that of a history say how popular the item is and how sure the model; without them (double centering, as
in log-ratio analysis) and brought to length 1, profiles are near each other if the items follow the same items.
"""

import threading
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from foldin.data import Catalog, Histories
from foldin.models import Components, DotProduct, ItemTokens, Recommender, capability
from foldin.tensors import Array, Float64, Int64

__all__ = ["Basis", "ItemPlane", "item_plane"]

Basis = Literal["vectors", "components", "profiles"]
_PROBES, _BLOCK = 256, 16  # histories of one item, and how many of them are scored while requests wait
_CELLS = 1 << 24  # of profiles
_LEAST = -100.0  # for scores of −∞; log p is not below −86


@dataclass(frozen=True, eq=False)
class ItemPlane:
    """Items in the plane.

    Args:
        points: coordinates of each item.
        axes: principal axes, by which vectors without their center are multiplied.
        explained: share of the variance of the vectors that the plane shows.
        basis: where the vectors come from.
    """

    points: Float64[Array, "items 2"]
    axes: Float64[Array, "dim 2"]
    explained: float
    basis: Basis


def item_plane(model: Recommender[Any], catalog: Catalog, using: threading.RLock) -> ItemPlane:
    """The plane of the two directions in which a model's items differ most.

    Args:
        using: lock of the model, which is held for a few histories at a time, so that requests are answered meanwhile.
    """
    basis, vectors = _vectors(model, catalog, using)
    vectors = vectors - vectors.mean(axis=0)
    _, sizes, rows = np.linalg.svd(np.atleast_2d(np.cov(vectors, rowvar=False, ddof=0)))
    axes = rows[:2].T
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    axes = np.pad(axes, ((0, 0), (0, 2 - axes.shape[1])))  # vectors of width 1 lie on a line
    return ItemPlane(vectors @ axes, axes, float(sizes[:2].sum() / max(sizes.sum(), 1e-300)), basis)


@torch.no_grad()
def _vectors(
    model: Recommender[Any], catalog: Catalog, using: threading.RLock
) -> tuple[Basis, Float64[Array, "items dim"]]:
    placed = capability(model, DotProduct)
    if placed is not None:
        with using:
            return "vectors", placed.item_vectors()[0].detach().cpu().numpy().astype(np.float64)
    parts = capability(model, Components)
    if (
        parts is not None and capability(model, ItemTokens) is None
    ):  # of tokens, the components are the first level alone
        weights, shares = parts.components()
        joint = (weights[:, None] * shares).T
        return "components", joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)
    return "profiles", _profiles(model, catalog, using)


def _profiles(model: Recommender[Any], catalog: Catalog, using: threading.RLock) -> Float64[Array, "items histories"]:
    """Scores of each item after each of the most popular items alone, double-centered, with length 1."""
    probes = _most_popular(catalog, min(_PROBES, max(2, _CELLS // len(catalog))))
    profiles = np.empty((len(catalog), len(probes)))
    for start in range(0, len(probes), _BLOCK):
        some = probes[start : start + _BLOCK]
        histories = Histories.from_lists([[one] for one in some.tolist()], model.n_items)
        with using:
            scores = model.logits(histories).double()
        if model.has_likelihood:
            scores = torch.log_softmax(scores, dim=1)
        profiles[:, start : start + len(some)] = scores.clamp_min(_LEAST).cpu().numpy().T
    profiles -= profiles.mean(axis=0)
    centered = profiles - profiles.mean(axis=1, keepdims=True)
    # After a model that gives everybody the same list, all that remains is how popular an item is.
    if np.square(centered).sum() <= 1e-9 * np.square(profiles).sum():
        return profiles
    return centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-300)


def _most_popular(catalog: Catalog, most: int) -> Int64[Array, " histories"]:
    return np.argsort(-catalog.table["count"].to_numpy(), kind="stable")[:most]
