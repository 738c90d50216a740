"""What a training set is to the training loop, whatever its rows are: users with histories, pictures, items."""

from typing import Protocol, TypeVar, runtime_checkable

from foldin.tensors import Array, Int64

__all__ = ["Rows"]

R = TypeVar("R", bound="Rows")


@runtime_checkable
class Rows(Protocol):
    """A finite set of independent rows."""

    def __len__(self) -> int: ...

    def select(self: R, which: Int64[Array, " chosen"]) -> R:
        """The rows of these indices, in their order."""
        ...

    def rows(self: R, start: int, stop: int) -> R:
        """The rows from `start` to before `stop`."""
        ...

    def fingerprint(self) -> str:
        """A digest of everything that training reads of it."""
        ...
