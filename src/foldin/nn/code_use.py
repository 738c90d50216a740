"""How the codes of a quantizer are used: which codes stay unused, and how many examples share all of their codes."""

from dataclasses import dataclass

import numpy as np

from foldin.errors import ShapeError
from foldin.tensors import Array, Float64, Int, Int64

__all__ = ["CodeUse", "code_use"]

_UNUSED = 0.1  # share of unused codes of a level above which there is an alarm
_SHARED = 0.05  # share of examples with the same codes as another, above which there is an alarm
_NARROW = 0.1  # perplexity of a level ÷ its number of codes, below which there is an alarm


@dataclass(frozen=True, eq=False)
class CodeUse:
    """How often codes are used, level by level, and how many examples share their full tuple of codes.

    Args:
        counts: for each level, the number of uses of each code.
        used: for each level, the share of its codes that are used at all.
        perplexity: for each level, exp of the entropy of its codes; the number of codes if all are used equally often.
        shared: for each level, the share of examples whose codes up to and including that level another example has too.
        collisions: share of examples whose full tuple of codes another example has too.
        largest: number of examples with the most frequent full tuple.
        alarms: what is wrong, in words; empty if nothing is.
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
        """Entropy of each level's codes, in nats."""
        return np.log(self.perplexity)


def _shared(names: Int[Array, "things places"]) -> tuple[float, int]:
    """(share of examples whose tuple of codes another has too, number of examples with the most frequent tuple)."""
    _, counts = np.unique(names, axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / len(names)), int(counts.max())


def code_use(
    codes: Int[Array, "..."], sizes: tuple[int, ...], *, names: Int[Array, "things places"] | None = None
) -> CodeUse:
    """How the codes (n, levels) of items or other examples are used.

    Args:
        codes: a code for each level, from 0 on.
        sizes: number of codes of each level.
        names: full tuple of codes of each example, where an example spans several rows of `codes`, as a picture does; `codes`
            when None.

    Raises:
        ShapeError: no examples, another number of levels, or a code that its level does not have.
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
