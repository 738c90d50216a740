"""A sparse factor W of the inverse of A = XᵀX + λ I, so that WᵀW ≈ A⁻¹, one row at a time.

Row i of W has entries at i and at the items N(i) before it. With S = {i} ∪ N(i), and e the unit vector of i,

    W_iS = A_SS⁻¹ e / √(eᵀ A_SS⁻¹ e)

minimizes the Kullback–Leibler divergence of the Gaussians N(0, A) and N(0, (WᵀW)⁻¹) over all W with these entries: up to a
factor, 1 at i and the negative ridge regression of item i on N(i). With all items before i in N(i), W is exact: the inverse of a
Cholesky factor. Rows do not depend on each other.

Pivots of A are at least λ. Where those of A_SS are not, because entries of XᵀX are missing, N(i) is cut short.

Source: schafer2021, theorem 2.1.
"""

import numpy as np
import torch

from foldin.kernels.threads import on_threads, thread_count
from foldin.models.linear._sparse_gram import SparseGram
from foldin.tensors import Array, Float, Float32, Float64, Int64, Tensor

__all__ = ["CANDIDATES", "factor_bytes", "factor_rows"]

CANDIDATES = 2  # times as many neighbors are tried as kept
_BLOCK_BYTES = 64 << 20
_LEAST_ROWS = 4  # for which a table of all items is made
_TURNS = 8  # blocks of each thread between which others may use BLAS
_LEAST = 0.999  # of the least pivot, by rounding


def _block(width: int) -> int:
    """Rows that a thread computes at once."""
    return max(_LEAST_ROWS, _BLOCK_BYTES // (8 * width**2 * thread_count()))


def factor_bytes(n_items: int, n_neighbors: int) -> float:
    """Memory that `factor_rows` needs besides its arguments, in bytes: the matrices of a block, their factors and copies."""
    width = 1 + min(CANDIDATES * n_neighbors, n_items)
    return 6.0 * 8.0 * thread_count() * _block(width) * width**2


def factor_rows(
    gram: SparseGram, start: int, stop: int, n_neighbors: int
) -> tuple[Int64[Array, "places k"], Float32[Array, "places k"], Float32[Array, " places"]]:
    """(N(i), −1 where there are fewer than k; W at N(i); W_ii) of the places i from `start` to `stop`.

    Among the `CANDIDATES` k items before i with the strongest entries of XᵀX, N(i) are the k with the largest coefficients of the
    regression on all of them, for items of unit length.
    """
    neighbors = np.full((stop - start, n_neighbors), -1, dtype=np.int64)
    weights, diagonal = np.zeros((stop - start, n_neighbors), dtype=np.float32), np.zeros(stop - start, np.float32)
    n_tried = CANDIDATES * n_neighbors

    def block(places: tuple[int, int]) -> None:
        first, last = places
        tried = gram.strongest(first, last, min(n_tried, max(1, last - 1)))
        own = slice(first - start, last - start)
        with np.errstate(over="ignore"):  # infinity in single precision
            neighbors[own], weights[own], diagonal[own] = _rows(gram, np.arange(first, last), tried, n_neighbors)

    blocks = _ranges(start, stop, len(gram.head), _block(1 + min(n_tried, len(gram.order))))
    together = _TURNS * thread_count()
    for at in range(0, len(blocks), together):
        on_threads(block, blocks[at : at + together])
    return neighbors, weights, diagonal


def _ranges(start: int, stop: int, n_head: int, block: int) -> list[tuple[int, int]]:
    """Blocks of places from `start` to `stop`, none with places both in the head and after it."""
    parts = ((start, min(stop, n_head)), (max(start, n_head), stop))
    return [(at, min(at + block, end)) for begin, end in parts for at in range(begin, end, block)]


def _rows(
    gram: SparseGram, items: Int64[Array, " block"], tried: Int64[Array, "block tried"], k: int
) -> tuple[Int64[Array, "block k"], Float64[Array, "block k"], Float64[Array, " block"]]:
    places = np.concatenate((items[:, None], tried), axis=1)
    matrices, scale = _normalized(gram, places)
    least = np.where(places >= 0, _LEAST * gram.regularization, 0.0) * scale**2
    solved = _first_columns(matrices, least)
    if tried.shape[1] > k:
        kept = np.argsort(-np.abs(solved[:, 1:]), axis=1, kind="stable")[:, :k]
        # In the order of strength: where a matrix is not positive definite, its last places are left out.
        kept = np.concatenate((np.zeros((len(items), 1), np.int64), 1 + np.sort(kept, axis=1)), axis=1)
        places, scale, least = (np.take_along_axis(one, kept, axis=1) for one in (places, scale, least))
        rows = np.arange(len(items))[:, None, None]
        solved = _first_columns(matrices[rows, kept[:, :, None], kept[:, None, :]], least)
    row = solved / np.sqrt(solved[:, :1]) * scale
    found = np.where(row[:, 1:] != 0.0, places[:, 1:], -1)
    missing = ((0, 0), (0, k - found.shape[1]))
    return np.pad(found, missing, constant_values=-1), np.pad(row[:, 1:], missing), row[:, 0]


def _normalized(
    gram: SparseGram, places: Int64[Array, "block m"]
) -> tuple[Float64[Array, "block m m"], Float64[Array, "block m"]]:
    """(A among the places of each row, scaled to a unit diagonal; the scale of each place). A place of −1 is apart from all."""
    scale = np.where(places >= 0, 1.0 / gram.norms[places], 0.0)
    matrices = gram.among(places)
    matrices *= scale[:, :, None]
    matrices *= scale[:, None, :]
    matrices[:, np.arange(places.shape[1]), np.arange(places.shape[1])] = 1.0
    return matrices, scale


def _first_columns(
    matrices: Float64[Array, "block m m"], least: Float64[Array, "block m"]
) -> Float64[Array, "block m"]:
    """The first column of each inverse.

    Entries that `SparseGram` has left out can make a matrix indefinite, or nearly so. Its largest leading minor of which every
    pivot is at least as large as those of XᵀX + λ I must be then takes its place, and the column is zero in the rest.

    Args:
        least: the least pivot of each row of a matrix.
    """
    matrix = torch.from_numpy(matrices)
    factors, failed = torch.linalg.cholesky_ex(matrix)
    small = factors.diagonal(dim1=1, dim2=2).square() < torch.from_numpy(least)
    # From the pivot that is not positive on, there are no others.
    small |= (failed > 0).unsqueeze(1) & (torch.arange(1, matrix.shape[1] + 1) >= failed.unsqueeze(1))
    bad = small.any(dim=1).nonzero()[:, 0]
    if len(bad):
        matrix = matrix.clone()
        for at, size in zip(bad.tolist(), small[bad].int().argmax(dim=1).tolist(), strict=True):
            _cut(matrix[at], size)
        factors[bad] = torch.linalg.cholesky(matrix[bad])
    first = torch.zeros(len(matrix), matrix.shape[1], 1, dtype=matrix.dtype)
    first[:, 0] = 1.0
    return torch.cholesky_solve(first, factors)[:, :, 0].numpy()


def _cut(matrix: Float[Tensor, "m m"], size: int) -> None:
    """Make all entries after the leading minor of a size those of the unit matrix, in place."""
    matrix[size:] = 0.0
    matrix[:, size:] = 0.0
    matrix.diagonal()[size:] = 1.0
