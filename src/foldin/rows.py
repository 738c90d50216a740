"""The interface of a training set for the training loop, whether its rows are histories of users, pictures or items."""

from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from foldin.tensors import Array, Int64

__all__ = ["Rows"]

S = TypeVar("S", bound="Rows")  # within the class, whose name no bound of another module could mean


@runtime_checkable
class Rows(Protocol):
    """A finite sequence of independent rows."""

    def __len__(self) -> int: ...

    def select(self: S, which: Int64[Array, " chosen"]) -> S:
        """The rows at the given indices, in that order."""
        ...

    def rows(self: S, start: int, stop: int) -> S:
        """The rows from `start` to before `stop`."""
        ...

    def windows(self, rng: np.random.Generator) -> list[Int64[Array, " _window"]]:
        """Indices of all rows in groups that are read together, in random order; a single group if all rows are in memory.

        Rows are shuffled within a group, so that reading does not jump about a file that is larger than memory.
        """
        ...

    def fingerprint(self) -> str:
        """A digest of everything that training reads."""
        ...


R = TypeVar("R", bound=Rows)
