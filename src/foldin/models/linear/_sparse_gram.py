"""XᵀX of a large catalog in bounded memory: all of it among the most popular items, the strongest entries of each other item.

Items stand in the order of popularity, the most popular first, and an item's entries are those with the items before it: XᵀX is
symmetric, so that these are all. The first items, the head, have a dense matrix without an error. A later item has the entries of
the largest

    |(XᵀX)_ij| / √(((XᵀX)_ii + λ) ((XᵀX)_jj + λ))

They are computed for a block of items at a time, by a sparse product of bounded size. An entry that was left out is taken to be
what it would be if users took items independently of each other, (XᵀX)_ii (XᵀX)_jj Σ_u n_u² / (Σ_u n_u)² for n_u events of user
u, but not stronger than the weakest entry of its item that was kept. Zeros in their place would make related items unrelated.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch

from foldin.data import Histories
from foldin.data.indices import gather_ranges
from foldin.kernels import top_k
from foldin.models.linear._gram import gram_bytes, item_gram
from foldin.tensors import Array, Float32, Float64, Int32, Int64
from foldin.workers import ALONE, Group

__all__ = ["SparseGram", "sparse_gram", "sparse_gram_bytes"]

_HEAD = 8192  # most popular items, whose entries among themselves are dense: 256 MB
_BLOCK_PAIRS = 1 << 24  # multiply-adds of the sparse product of a block of items
_PAIR_BYTES = 48  # of an entry of that product and what sorts it
Rows = Callable[[Histories], scipy.sparse.csr_matrix]


@dataclass(frozen=True, eq=False)
class SparseGram:
    """Entries of XᵀX, by the places of items in the order of popularity.

    Args:
        order: the item at each place.
        norms: √((XᵀX)_ii + λ) of the item at each place.
        regularization: λ.
        head: entries of the first places among themselves.
        offsets: where the entries of each later place begin, and the end of the last one.
        places: of each entry of a later place, the earlier place; strongest first.
        values: of each entry of a later place, (XᵀX)_ij.
        limits: strength of the weakest entry that was kept of each later place; 0 if none was left out.
        together: Σ_u n_u² / (Σ_u n_u)².
    """

    order: Int64[Array, " items"]
    norms: Float64[Array, " items"]
    regularization: float
    head: Float32[Array, "head head"]
    offsets: Int64[Array, " offsets"]
    places: Int32[Array, " entries"]
    values: Float32[Array, " entries"]
    limits: Float64[Array, " later"]
    together: float

    def strongest(self, start: int, stop: int, k: int) -> Int64[Array, "block k"]:
        """The k earlier places with the strongest entries of each place from `start` to `stop`; −1 where there are fewer.

        Strongest first; in the head, at last those with an entry of 0. Either all of these places are of the head, or none is.
        """
        first = len(self.head)
        if start < first:
            strength = np.abs(self.head[start:stop]) / np.outer(self.norms[start:stop], self.norms[:first])
            strength[np.arange(first) >= np.arange(start, stop)[:, None]] = -np.inf
            return top_k(torch.from_numpy(strength), k)[1].numpy()
        found = np.full((stop - start, k), -1, dtype=np.int64)
        starts = self.offsets[start - first : stop - first]
        counts = np.minimum(self.offsets[start - first + 1 : stop - first + 1] - starts, k)
        found[np.arange(k) < counts[:, None]] = self.places[gather_ranges(starts, counts)]
        return found

    def among(self, places: Int64[Array, "block m"]) -> Float64[Array, "block m m"]:
        """The entries of XᵀX between the places of each row, with zeros on the diagonals, where there is none, and for −1."""
        first, found = len(self.head), np.zeros((*places.shape, places.shape[1]))
        for matrix, taken in zip(found, places, strict=True):
            inside = np.flatnonzero((taken >= 0) & (taken < first))
            own = taken[inside]
            matrix[inside[:, None], inside] = self.head[own[:, None], own]
        self._enter(found, places)
        found[:, np.arange(places.shape[1]), np.arange(places.shape[1])] = 0.0
        return found

    def _enter(self, found: Float64[Array, "block m m"], places: Int64[Array, "block m"]) -> None:
        """Write the entries of the later places among the others of their row."""
        first = len(self.head)
        # Where a place stands in a row of `places`: a small table, since its entries are read in no order.
        stands = np.full(len(self.order), -1, dtype=np.int16 if places.shape[1] < 1 << 15 else np.int32)
        for matrix, taken in zip(found, places, strict=True):
            later = np.flatnonzero(taken >= first)
            if len(later) == 0:
                continue
            own, there = taken[later] - first, np.flatnonzero(taken >= 0)
            if self.limits[own].any():
                self._estimate(matrix, taken, later, there)
            starts, stops = self.offsets[own], self.offsets[own + 1]
            stands[taken[there]] = there
            entries = [self.places[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
            other = stands[np.concatenate(entries)]
            stands[taken[there]] = -1
            both, ends = np.flatnonzero(other >= 0), np.cumsum(stops - starts)
            which = np.searchsorted(ends, both, side="right")
            values = self.values[both + (stops - ends)[which]]
            row, column = later[which], other[both]
            matrix[row, column] = matrix[column, row] = values

    def _estimate(
        self,
        matrix: Float64[Array, "m m"],
        taken: Int64[Array, " m"],
        later: Int64[Array, " later"],
        there: Int64[Array, " there"],
    ) -> None:
        """Write what entries of later places among the others are taken to be if they were left out, to all of them."""
        first, own, other = len(self.head), taken[later], taken[there]
        norms, others = self.norms[own][:, None], self.norms[other]
        strongest = self.limits[own - first][:, None] * norms * others
        independent = self.together * (norms**2 - self.regularization) * (others**2 - self.regularization)
        found = np.where(other < own[:, None], np.minimum(strongest, independent), 0.0)
        at, to = np.nonzero(found)
        matrix[later[at], there[to]] = matrix[there[to], later[at]] = found[at, to]


def sparse_gram_bytes(train: Histories, n_kept: int) -> float:
    """Memory that `sparse_gram` needs at most, in bytes: the head, the entries of later items, and a block's product."""
    head = min(train.n_items, _HEAD)
    # The sum over users of pairs of their events bounds all entries.
    pairs = float((train.lengths.astype(np.float64) ** 2).sum())
    dense = gram_bytes(train, head)
    if train.n_items <= head:
        return dense
    entries = min(pairs, float(n_kept) * (train.n_items - head))
    return dense + 8.0 * entries + _PAIR_BYTES * min(pairs, 2.0 * _BLOCK_PAIRS)


def sparse_gram(
    train: Histories, rows_of: Rows, *, regularization: float, n_kept: int, group: Group = ALONE
) -> SparseGram:
    """XᵀX in bounded memory.

    Args:
        rows_of: gives X of some users, with one entry for each item of a user.
        regularization: λ, by which the strengths of entries are computed.
        n_kept: most entries of an item that is not in the head.
        group: workers; they share the computation of the head, and each computes all other entries.
    """
    n_items = train.n_items
    squares, pairs, total = _sums(train, rows_of)
    order = np.argsort(-squares, kind="stable")
    place = np.empty(n_items, dtype=np.int32)
    place[order] = np.arange(n_items, dtype=np.int32)
    norms = np.sqrt(squares[order] + regularization)

    def placed(part: Histories) -> scipy.sparse.csr_matrix:
        rows = rows_of(part)
        return scipy.sparse.csr_matrix((rows.data, place[rows.indices], rows.indptr), shape=rows.shape)

    n_head = min(n_items, _HEAD)
    head = item_gram(train, rows_of=lambda part: placed(part)[:, :n_head], group=group, n_items=n_head).numpy()
    counts, places, values, limits = [np.zeros(1, dtype=np.int64)], [], [], [np.empty(0)]
    for start, stop in _blocks(pairs[order], n_head):
        lengths, found, entries, limit = _later(train, placed, norms, start, stop, n_kept)
        counts.append(lengths)
        places.append(found)
        values.append(entries)
        limits.append(limit)
    return SparseGram(
        order=order,
        norms=norms,
        regularization=regularization,
        head=head,
        offsets=np.cumsum(np.concatenate(counts)),
        places=np.concatenate(places) if places else np.empty(0, np.int32),
        values=np.concatenate(values) if values else np.empty(0, np.float32),
        limits=np.concatenate(limits),
        together=float(pairs.sum()) / max(1.0, total**2),
    )


def _sums(train: Histories, rows_of: Rows) -> tuple[Float64[Array, " items"], Float64[Array, " items"], float]:
    """(the diagonal of XᵀX, the multiply-adds of each item's row of XᵀX, the number of entries of X)."""
    squares, pairs, entries = np.zeros(train.n_items), np.zeros(train.n_items), 0.0
    for part in train.parts():
        rows = rows_of(part)
        lengths = np.diff(rows.indptr)
        squares += np.bincount(rows.indices, rows.data.astype(np.float64) ** 2, minlength=train.n_items)
        pairs += np.bincount(rows.indices, np.repeat(lengths, lengths), minlength=train.n_items)
        entries += rows.nnz
    return squares, pairs, entries


def _blocks(pairs: Float64[Array, " items"], first: int) -> Iterator[tuple[int, int]]:
    """Ranges of places from `first` on, each of at most `_BLOCK_PAIRS` multiply-adds or of one place."""
    done, start = np.concatenate(([0.0], np.cumsum(pairs))), first
    while start < len(pairs):
        stop = int(np.searchsorted(done, done[start] + _BLOCK_PAIRS, side="right")) - 1
        stop = min(max(stop, start + 1), len(pairs))
        yield start, stop
        start = stop


def _later(
    train: Histories, placed: Rows, norms: Float64[Array, " items"], start: int, stop: int, n_kept: int
) -> tuple[Int64[Array, " block"], Int32[Array, " entries"], Float32[Array, " entries"], Float64[Array, " block"]]:
    """(numbers of entries, places, values, limits) of the places from `start` to `stop`, which are not in the head."""
    product = scipy.sparse.csr_matrix((stop - start, stop), dtype=np.float32)
    for part in train.parts():
        rows = placed(part)
        product = product + rows[:, start:stop].T @ rows[:, :stop]
    row = np.repeat(np.arange(stop - start, dtype=np.int32), np.diff(product.indptr))
    earlier = (product.indices < row + start) & (product.data != 0.0)
    row, places, values = row[earlier], product.indices[earlier], product.data[earlier]
    strength = np.abs(values) / (norms[row + start] * norms[places])
    # Of equal strengths, that with the more popular item is first.
    order = np.lexsort((places, -strength, row))
    row = row[order]
    counts = np.bincount(row, minlength=stop - start)
    rank = np.arange(len(row)) - (np.cumsum(counts) - counts)[row]
    limits, last = np.zeros(stop - start), (rank == n_kept - 1) & (counts > n_kept)[row]
    limits[row[last]] = strength[order[last]]
    order = order[rank < n_kept]
    return np.minimum(counts, n_kept), places[order].astype(np.int32), values[order], limits
