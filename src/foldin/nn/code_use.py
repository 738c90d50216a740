"""How codes are used: what a quantizer wastes, and how many things end up with one name."""

from dataclasses import dataclass

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64, Int, Int64

__all__ = ["CodeUse", "code_use"]

_UNUSED = 0.1  # share of a level's codes without a use, above which there is an alarm
_SHARED = 0.05  # share of things that share their name, likewise
_NARROW = 0.1  # perplexity of a level in shares of its codes, below which there is one


@dataclass(frozen=True, eq=False)
class CodeUse:
    """Use of the codes, level by level, and of whole names.

    Args:
        counts: things that have each code, level by level.
        used: share of each level's codes that something has.
        perplexity: exp of the entropy of each level's codes; the number of codes when all are used alike.
        shared: share of things whose codes up to each level, that one included, another has too.
        collisions: share of things whose name, all levels together, another has too.
        largest: things under the most frequent name.
        alarms: what is wrong, in words; empty when nothing is.
    """

    counts: tuple[Int64[Array, "..."], ...]
    used: Float64[Array, " levels"]
    perplexity: Float64[Array, " levels"]
    shared: Float64[Array, " levels"]
    collisions: float
    largest: int
    alarms: tuple[str, ...]

    @property
    def entropy(self) -> Float64[Array, " levels"]:
        """Of each level's codes, in nats."""
        return np.log(self.perplexity)


def _shared(names: Int[Array, "things places"]) -> tuple[float, int]:
    """(share of things whose name another has too, things under the most frequent name)."""
    _, counts = np.unique(names, axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / len(names)), int(counts.max())


def code_use(
    codes: Int[Array, "..."], sizes: tuple[int, ...], *, names: Int[Array, "things places"] | None = None
) -> CodeUse:
    """Use of codes by n things.

    Args:
        sizes: codes of each level.
        names: of whole things, where a thing has several rows of codes; the rows themselves when None.

    Raises:
        ShapeError: no things, another number of levels, or a code that its level does not have.
    """
    if codes.ndim != 2 or len(codes) == 0 or codes.shape[1] != len(sizes):
        raise ShapeError(f"codes of shape {codes.shape}: one thing at least, and {len(sizes)} levels were expected")
    used, perplexity, alarms = np.empty(len(sizes)), np.empty(len(sizes)), []
    counts = []
    for level, size in enumerate(sizes):
        own = codes[:, level]
        if own.min() < 0 or own.max() >= size:
            raise ShapeError(f"level {level}: codes must be in [0, {size}), met {own.min()} to {own.max()}")
        counts.append(np.bincount(own, minlength=size))
        shares = counts[-1] / len(own)
        used[level] = (shares > 0).mean()
        perplexity[level] = np.exp(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
        if used[level] < 1.0 - _UNUSED and size <= len(codes):
            alarms.append(f"level {level}: {1.0 - used[level]:.0%} of the {size} codes are not used")
        elif perplexity[level] < _NARROW * size <= _NARROW * len(codes):
            alarms.append(f"level {level}: as if {perplexity[level]:.1f} of the {size} codes were used alike")
    shared = np.array([_shared(codes[:, : level + 1])[0] for level in range(len(sizes))])
    collisions, largest = _shared(codes if names is None else names)
    if collisions > _SHARED:
        alarms.append(f"{collisions:.0%} of the things share their name with another")
    return CodeUse(tuple(counts), used, perplexity, shared, collisions, largest, tuple(alarms))
