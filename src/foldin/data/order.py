"""Stable orders of many integers, at tens of millions of rows."""

import numpy as np

from foldin.tensors import Array, Bool, Int, Int64

__all__ = ["one_of_each", "stable_argsort"]


def stable_argsort(keys: Int[Array, " n"]) -> Int64[Array, " n"]:
    """The stable ascending order of integer keys.

    NumPy's vectorized sort of values is several times faster than its argsort; where a key and a position fit into
    64 bits together, the positions are stored in the low bits, which also makes the order stable.
    """
    n = len(keys)
    if n == 0:
        return np.empty(0, dtype=np.int64)
    low, high = int(keys.min()), int(keys.max())
    bits = max(n - 1, 1).bit_length()
    if (high - low).bit_length() + bits > 63 or high >= 1 << 63:
        return np.argsort(keys, kind="stable").astype(np.int64)
    packed = keys.astype(np.int64)
    packed -= low
    packed <<= bits
    packed |= np.arange(n, dtype=np.int64)
    packed.sort()
    packed &= (1 << bits) - 1
    return packed


def one_of_each(keys: Int[Array, " n"], *, last: bool = False) -> Bool[Array, " n"]:
    """Mask of the first (or last) position of each key."""
    if last:
        keys = keys[::-1]
    order = stable_argsort(keys)
    fresh = np.ones(len(keys), dtype=bool)
    fresh[order[1:]] = keys[order[1:]] != keys[order[:-1]]
    return fresh[::-1] if last else fresh
