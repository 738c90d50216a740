"""k-means: where mixtures and quantisers begin."""

import numpy as np

from foldin.errors import ShapeError
from foldin.inference.arguments import check_count
from foldin.tensors import Array, Float, Int64
from foldin.threads import on_threads, scratch, thread_count

__all__ = ["k_means", "nearest"]

_BLOCK = 1 << 17  # points × centres worked on at once


def nearest(
    x: Float[Array, "points width"], centres: Float[Array, "k width"]
) -> tuple[Int64[Array, " points"], Float[Array, " points"]]:
    """(index of each point's nearest centre, squared distance to it); of centres as near the first.

    One product a block of points, as many as keep it in a core's own cache: points × centres is never whole.
    """
    half = 0.5 * np.einsum("kd,kd->k", centres, centres)
    found, distances = np.empty(len(x), dtype=np.int64), np.empty(len(x), dtype=x.dtype)
    step = max(1, _BLOCK // max(1, len(centres)))
    transposed = np.ascontiguousarray(centres.T)

    def work(share: range) -> None:
        scores = scratch("nearest", (step, len(centres)), x.dtype)
        for at in share:
            part = x[at : at + step]
            own = np.matmul(part, transposed, out=scores[: len(part)])
            own -= half
            best = own.argmax(axis=1)
            found[at : at + step] = best
            squares = np.einsum("nd,nd->n", part, part) - 2.0 * own[np.arange(len(part)), best]
            distances[at : at + step] = np.maximum(squares, 0.0)

    starts = range(0, len(x), step)
    threads = min(thread_count(), len(starts)) or 1
    on_threads(work, [starts[one::threads] for one in range(threads)])
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
    check_count("iterations", iterations, 0)
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
