"""Arrays of many events that are built a part at a time, on disk, and mapped into memory."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np

from foldin.tensors import Array, Int64

__all__ = ["PART_EVENTS", "ScratchArray", "many", "quantiles", "user_ranges"]

PART_EVENTS = 1 << 22  # events that are in memory at a time, of a log that is mapped into memory


class ScratchArray:
    """A one-dimensional array that is appended to, in a temporary file that vanishes with the last array mapped from it.

    Args:
        dtype: type of an entry.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.length = np.dtype(dtype), 0
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="foldin-")  # noqa: SIM115 (`mapped` closes it)

    def append(self, values: Array) -> None:
        """Write further entries at the end."""
        self._file.write(np.ascontiguousarray(values, dtype=self.dtype).data)
        self.length += len(values)

    def mapped(self) -> Array:
        """The array, mapped into memory; nothing can be appended afterwards."""
        with self._file as file:
            file.flush()
            if not self.length:
                return np.empty(0, dtype=self.dtype)
            return np.memmap(file, dtype=self.dtype, mode="c", shape=(self.length,))


def many(events: int) -> bool:
    """Whether so many events are worked on in parts."""
    return events > PART_EVENTS


def user_ranges(offsets: Int64[Array, " offsets"]) -> Iterator[tuple[int, int]]:
    """Ranges of users (first, last exclusive) that together are all users, each of at most `PART_EVENTS` events or one user."""
    first, users = 0, len(offsets) - 1
    while first < users:
        last = int(np.searchsorted(offsets, offsets[first] + PART_EVENTS, side="right")) - 1
        last = min(max(last, first + 1), users)
        yield first, last
        first = last


def quantiles(values: Int64[Array, " n"], shares: Sequence[float]) -> list[int]:
    """The quantiles of whole numbers: the least value that at least a share of the way from the first to the last is not above.

    Of values that are mapped into memory nothing is copied: the value is closed in on by counting.
    """
    if not (isinstance(values, np.memmap) and many(len(values))):
        return [int(one) for one in np.quantile(values, shares, method="higher")]
    starts = range(0, len(values), PART_EVENTS)
    least, most = int(values.min()), int(values.max())
    return [_of_rank(values, starts, math.ceil(share * (len(values) - 1)), least, most) for share in shares]


def _of_rank(values: Int64[Array, " n"], starts: range, rank: int, low: int, high: int) -> int:
    """The value at a place of the sorted values, between `low` and `high`."""
    while low < high:
        middle = (low + high) // 2
        below = sum(int((values[at : at + starts.step] <= middle).sum()) for at in starts)
        low, high = (low, middle) if below > rank else (middle + 1, high)
    return low
