"""Unique item tokens: one further token distinguishes items that share all others."""

import itertools

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Int64

__all__ = ["resolve_collisions"]


def resolve_collisions(
    codes: Int64[Array, "items levels"],
    size: int,
    rng: np.random.Generator,
    taken: Int64[Array, "others more"] | None = None,
) -> Int64[Array, "items more"]:
    """Tokens with one further code that distinguishes items with the same codes: 0, 1, … in the order of items.

    Args:
        size: number of codes of each level, including the further one. If more items than that share their codes, the others
            get similar codes that have free places.
        taken: tokens of other items, which are not given again.

    Raises:
        ShapeError: more items than sequences of tokens.
    """
    free_at: dict[tuple[int, ...], int] = {}
    if taken is not None:
        for row in taken.tolist():
            prefix = tuple(row[:-1])
            free_at[prefix] = max(free_at.get(prefix, 0), row[-1] + 1)
    names = np.empty((len(codes), codes.shape[1] + 1), dtype=np.int64)
    for item, row in enumerate(codes.tolist()):
        prefix = tuple(row)
        if free_at.get(prefix, 0) >= size:
            prefix = _nearby(prefix, free_at, size, rng)
        names[item, :-1], names[item, -1] = prefix, free_at.get(prefix, 0)
        free_at[prefix] = free_at.get(prefix, 0) + 1
    return names


def _nearby(
    prefix: tuple[int, ...], free_at: dict[tuple[int, ...], int], size: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """Codes with free places that share as many first codes as possible with `prefix`."""
    for depth in range(len(prefix) - 1, -1, -1):
        for tail in itertools.product(*(rng.permutation(size).tolist() for _ in prefix[depth:])):
            other = (*prefix[:depth], *tail)
            if free_at.get(other, 0) < size:
                return other
    raise ShapeError(f"more items than names: {len(prefix) + 1} levels of {size} codes are not enough")
