"""k-means clustering, with which mixtures and quantizers are initialized."""

import numpy as np

from foldin.errors import ShapeError
from foldin.inference.arguments import check_count
from foldin.kernels.threads import on_threads, scratch, thread_count
from foldin.tensors import Array, Bool, Float, Int64

__all__ = ["k_means", "nearest"]

_BLOCK = 1 << 17  # points × centers processed at once
_NEAR = 100.0  # multiple of its rounding error below which a squared distance is recomputed from differences


def nearest(
    x: Float[Array, "points width"], centers: Float[Array, "k width"]
) -> tuple[Int64[Array, " points"], Float[Array, " points"]]:
    """(index of each point's nearest center, squared distance to it); the first center in case of a tie.

    Distances are computed by matrix products relative to the mean of the centers, one for each block of points that fits in the
    cache of a core, so that the points × centers matrix is never held as a whole. Where a distance is close to the rounding error
    of the products, it and those of all centers that may be nearer are recomputed from differences.
    """
    found, distances = np.empty(len(x), dtype=np.int64), np.empty(len(x), dtype=x.dtype)
    width = x.shape[1]
    origin = centers.mean(axis=0, dtype=np.float64).astype(centers.dtype)
    moved = centers - origin
    half = 0.5 * np.einsum("kd,kd->k", moved, moved)
    lengths = np.sqrt(2.0 * half)
    longest = float(lengths.max(initial=0.0))
    step = max(1, _BLOCK // max(1, len(centers)))
    factors = np.ascontiguousarray(np.concatenate((moved.T, -half[None])).astype(x.dtype, copy=False))
    unit = float(np.finfo(x.dtype).eps)

    def work(share: range) -> None:
        scores = scratch("nearest", (step, len(centers)), x.dtype)
        around = scratch("nearest_points", (step, width + 1), x.dtype)
        around[:, width] = 1.0
        for at in share:
            part = x[at : at + step]
            away = np.subtract(part, origin, out=around[: len(part), :width])
            own = np.matmul(around[: len(part)], factors, out=scores[: len(part)])
            best = own.argmax(axis=1)
            top, norms = own[np.arange(len(part)), best], np.einsum("nd,nd->n", away, away)
            squares = norms - 2.0 * top
            if squares.min() <= _NEAR * unit * (np.sqrt(norms.max()) + longest) ** 2:
                rounding = unit * (np.sqrt(norms) + lengths[best]) ** 2
                near = np.flatnonzero(squares <= _NEAR * rounding)
                rivals = own[near] >= (top - rounding)[near, None]
                best[near], squares[near] = _by_differences(part[near], centers, rivals)
            found[at : at + step], distances[at : at + step] = best, squares

    starts = range(0, len(x), step)
    threads = min(thread_count(), len(starts)) or 1
    on_threads(work, [starts[one::threads] for one in range(threads)])
    return found, distances


def _by_differences(
    x: Float[Array, "points width"], centers: Float[Array, "k width"], rivals: Bool[Array, "points k"]
) -> tuple[Int64[Array, " points"], Float[Array, " points"]]:
    """As `nearest`, but only among the `rivals` of each point, of which there is at least one."""
    points, others = np.nonzero(rivals)
    if len(points) == len(x):  # one rival for each point
        return others, np.square(x - centers[others]).sum(axis=1)
    away = x[points].astype(np.float64) - centers[others]
    squares = np.einsum("nd,nd->n", away, away)
    # Sorted by point, then by distance, then by index, so that the first of equal distances is chosen.
    order = np.lexsort((others, squares, points))
    first = order[np.searchsorted(points, np.arange(len(x)))]
    return others[first], squares[first].astype(x.dtype)


def k_means(
    x: Float[Array, "points width"], k: int, rng: np.random.Generator, *, iterations: int = 20
) -> Float[Array, "k width"]:
    """k centers by Lloyd's algorithm from a k-means++ start; a center without points moves to the point farthest from its center.

    Source: lloyd1982; arthur2007, section 2.2.

    Raises:
        ShapeError: fewer points than centers.
    """
    if not 1 <= k <= len(x):
        raise ShapeError(f"k-means: {k} centers for {len(x)} points")
    check_count("iterations", iterations, 0)
    centers = x[[int(rng.integers(len(x)))]]
    distances = _squares_to(x, centers[0])
    for _ in range(1, k):
        total = distances.sum()
        chosen = rng.choice(len(x), p=distances / total) if total > 0 else rng.integers(len(x))
        centers = np.concatenate((centers, x[[int(chosen)]]))
        distances = np.minimum(distances, _squares_to(x, centers[-1]))
    for _ in range(iterations):
        own, distances = nearest(x, centers)
        counts = np.bincount(own, minlength=k)
        sums = np.empty(centers.shape)
        for axis in range(x.shape[1]):
            sums[:, axis] = np.bincount(own, weights=x[:, axis], minlength=k)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centers).astype(x.dtype)
        empty = np.flatnonzero(counts == 0)
        moved[empty] = x[np.argsort(-distances, kind="stable")[: len(empty)]]
        if np.array_equal(moved, centers):
            break
        centers = moved
    return centers


def _squares_to(x: Float[Array, "points width"], center: Float[Array, " width"]) -> Float[Array, " points"]:
    """Squared distance of every point to one center."""
    found = np.empty(len(x))
    step = max(1, _BLOCK // max(1, x.shape[1]))
    for at in range(0, len(x), step):
        away = x[at : at + step] - center
        found[at : at + step] = np.einsum("nd,nd->n", away, away)
    return found
