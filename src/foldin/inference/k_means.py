"""k-means: where mixtures and quantisers begin."""

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float, Int64

__all__ = ["k_means", "nearest"]

_BLOCK = 1 << 14


def nearest(
    x: Float[Array, "points width"], centres: Float[Array, "k width"]
) -> tuple[Int64[Array, " points"], Float[Array, " points"]]:
    """(index of each point's nearest centre, squared distance to it), by one product a block of points."""
    squares = np.einsum("kd,kd->k", centres, centres)
    found = np.empty(len(x), dtype=np.int64)
    distances = np.empty(len(x), dtype=x.dtype)
    for at in range(0, len(x), _BLOCK):
        part = x[at : at + _BLOCK]
        scores = squares - 2.0 * (part @ centres.T)
        best = scores.argmin(axis=1)
        found[at : at + _BLOCK] = best
        own = scores[np.arange(len(part)), best] + np.einsum("nd,nd->n", part, part)
        distances[at : at + _BLOCK] = np.maximum(own, 0.0)
    return found, distances


def k_means(
    x: Float[Array, "points width"], k: int, rng: np.random.Generator, *, iterations: int = 20
) -> Float[Array, "k width"]:
    """Centres by Lloyd's algorithm from a k-means++ start; a centre without points moves to the point that is farthest off.

    Source: lloyd1982; arthur2007, section 2.2.

    Raises:
        ShapeError: fewer points than centres.
    """
    if not 1 <= k <= len(x):
        raise ShapeError(f"k-means: {k} centres for {len(x)} points")
    centres = x[[int(rng.integers(len(x)))]]
    distances = nearest(x, centres)[1]
    for _ in range(1, k):
        total = distances.sum()
        chosen = rng.choice(len(x), p=distances / total) if total > 0 else rng.integers(len(x))
        centres = np.concatenate((centres, x[[int(chosen)]]))
        distances = np.minimum(distances, nearest(x, centres[-1:])[1])
    for _ in range(iterations):
        own, distances = nearest(x, centres)
        counts = np.bincount(own, minlength=k)
        sums = np.zeros_like(centres)
        for axis in range(x.shape[1]):
            sums[:, axis] = np.bincount(own, weights=x[:, axis], minlength=k)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        empty = np.flatnonzero(counts == 0)
        moved[empty] = x[np.argsort(-distances, kind="stable")[: len(empty)]]
        if np.array_equal(moved, centres):
            break
        centres = moved.astype(x.dtype)
    return centres
