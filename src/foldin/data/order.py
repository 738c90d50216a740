"""Stable orders of many integers, at tens of millions of rows."""

import numpy as np

from foldin.tensors import Array, Bool, Int, Int64

__all__ = ["one_of_each", "stable_argsort"]


def stable_argsort(keys: Int[Array, " n"]) -> Int64[Array, " n"]:
    """The stable ascending order of integer keys.

    NumPy's vectorized sort of values is several times faster than its argsort; where a key and a position fit into
    64 bits together, the positions are stored in the low bits, which also makes the order stable.
    """
    if (found := _packed(keys)) is None:
        return np.argsort(keys, kind="stable").astype(np.int64)
    bits, packed = found
    packed &= (1 << bits) - 1
    return packed


def one_of_each(keys: Int[Array, " n"], *, last: bool = False) -> Bool[Array, " n"]:
    """Mask of the first (or last) position of each key."""
    if last:
        keys = keys[::-1]
    fresh = np.ones(len(keys), dtype=bool)
    if (packed := _packed(keys)) is not None:
        bits, sorted_ = packed
        again = np.flatnonzero((sorted_[1:] ^ sorted_[:-1]) >> bits == 0) + 1
        fresh[sorted_[again] & ((1 << bits) - 1)] = False
    else:
        order = np.argsort(keys, kind="stable")
        fresh[order[1:]] = keys[order[1:]] != keys[order[:-1]]
    return fresh[::-1] if last else fresh


def _packed(keys: Int[Array, " n"]) -> tuple[int, Int64[Array, " n"]] | None:
    """(bits of a position, keys less the least one with their positions in the low bits, sorted); None if 64 bits are too few."""
    n = len(keys)
    low, high = (int(keys.min()), int(keys.max())) if n else (0, 0)
    bits = max(n - 1, 1).bit_length()
    if (high - low).bit_length() + bits > 63 or high >= 1 << 63:
        return None
    packed = keys.astype(np.int64)
    packed -= low
    packed <<= bits
    packed |= np.arange(n, dtype=np.int64)
    packed.sort()
    return bits, packed
