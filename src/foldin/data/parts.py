"""Arrays of many events that are built a part at a time, on disk, and mapped into memory."""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import numpy as np

from foldin.tensors import Array, Int64

__all__ = [
    "PART_EVENTS",
    "JoinedArrays",
    "ScratchArray",
    "many",
    "new_array",
    "quantiles",
    "user_ranges",
    "user_windows",
]

PART_EVENTS = 1 << 22  # events that are in memory at a time, of a log that is mapped into memory
WINDOW_PARTS = 8  # parts whose users are shuffled together


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


class JoinedArrays:
    """The arrays of histories, joined part by part; the first part is written to disk when a second one follows."""

    def __init__(self) -> None:
        self._lengths: list[Int64[Array, " users"]] = []
        self._first: Mapping[str, Array | None] | None = None
        self._written: dict[str, ScratchArray] = {}

    def append(self, lengths: Int64[Array, " users"], arrays: Mapping[str, Array | None]) -> None:
        """Add a part.

        Args:
            lengths: number of events of each of its users.
            arrays: an entry for each event; None for what the histories lack.
        """
        self._lengths.append(lengths)
        if len(self._lengths) == 1:
            self._first = arrays
            return
        if self._first is not None:
            self._write(self._first)
            self._first = None
        self._write(arrays)

    def arrays(self) -> dict[str, Any]:
        """The arrays of all parts with `offsets`; nothing can be added afterwards."""
        offsets = np.zeros(1 + sum(map(len, self._lengths)), dtype=np.int64)
        np.cumsum(np.concatenate(self._lengths), out=offsets[1:])
        if self._first is not None:
            return {"offsets": offsets, **{name: one for name, one in self._first.items() if one is not None}}
        return {"offsets": offsets, **{name: one.mapped() for name, one in self._written.items()}}

    def _write(self, arrays: Mapping[str, Array | None]) -> None:
        for name, values in arrays.items():
            if values is not None:
                if name not in self._written:
                    self._written[name] = ScratchArray(values.dtype)
                self._written[name].append(values)


def new_array(shape: tuple[int, ...], dtype: Any, *, on_disk: bool) -> Array:
    """An array of unknown content: in memory, or mapped from a temporary file that vanishes with it."""
    if not on_disk or 0 in shape:
        return np.empty(shape, dtype=dtype)
    with tempfile.TemporaryFile(prefix="foldin-") as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def many(events: int) -> bool:
    """Whether so many events are worked on in parts."""
    return events > PART_EVENTS


def user_ranges(offsets: Int64[Array, " offsets"], events: int | None = None) -> Iterator[tuple[int, int]]:
    """Ranges of users (first, last exclusive) that together are all users, each of at most `events` events or one user.

    Args:
        events: None for `PART_EVENTS`.
    """
    first, users, most = 0, len(offsets) - 1, PART_EVENTS if events is None else events
    while first < users:
        last = int(np.searchsorted(offsets, offsets[first] + most, side="right")) - 1
        last = min(max(last, first + 1), users)
        yield first, last
        first = last


def user_windows(offsets: Int64[Array, " offsets"], rng: np.random.Generator) -> list[Int64[Array, " _window"]]:
    """All users in groups of a few parts, drawn at random, ascending within a group; if one group holds all, nothing is drawn."""
    ranges = list(user_ranges(offsets))
    if len(ranges) <= WINDOW_PARTS:
        return [np.arange(len(offsets) - 1)]
    order = rng.permutation(len(ranges))
    groups = [order[at : at + WINDOW_PARTS] for at in range(0, len(order), WINDOW_PARTS)]
    return [np.concatenate([np.arange(*ranges[part]) for part in np.sort(group)]) for group in groups]


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
