"""Token buckets that all workers of the service share: a small table in mapped memory, exact whichever worker is asked.

The table is a file that every worker maps. A worker holds the lock on the file for the few microseconds of an update; the system
releases the lock of a worker that dies meanwhile, which a semaphore would not.
"""

import hashlib
import mmap
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foldin.serve.limits import refilled

try:
    import fcntl
except ImportError:  # a system without locks of files, on which there is only one worker
    fcntl = None  # type: ignore[assignment]

__all__ = ["SharedBuckets"]

_SLOT = struct.Struct("<16sdd")  # digest of a key's name; its tokens at a time; that time, in seconds
_SLOTS = 1 << 14
_NEAR = 16  # slots in which a key may be; the least recently used one is taken if all are in use
_FREE = bytes(16)


class SharedBuckets:
    """A token bucket for each key, shared by processes on one machine; see `TokenBuckets`.

    Args:
        path: file of the table, from `create`.
        rate: tokens per second.
        burst: tokens of a full bucket.
    """

    def __init__(self, path: Path, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._file = path.open("r+b")
        self._table = mmap.mmap(self._file.fileno(), 0)
        self._lock = threading.Lock()  # the lock on the file does not exclude threads of one process

    @staticmethod
    def create(path: Path) -> None:
        """Write an empty table: every bucket is full."""
        path.write_bytes(bytes(_SLOT.size * _SLOTS))

    def take(self, key: str, tokens: int = 1, now: float | None = None) -> float:
        """0 if the request may proceed; otherwise the number of seconds until there are enough tokens.

        A full bucket is enough for any request.
        """
        needed = float(min(tokens, self.burst))
        name = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        with self._alone():
            now = time.monotonic() if now is None else now  # this clock is the same in all processes
            at, left, since = self._find(name, now)
            left = refilled(left, now - since, rate=self.rate, burst=self.burst)
            allowed = left >= needed
            _SLOT.pack_into(self._table, at, name, left - needed if allowed else left, now)
        return 0.0 if allowed else (needed - left) / self.rate

    def close(self) -> None:
        """Release the table."""
        self._table.close()
        self._file.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            if fcntl is not None:
                fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                if fcntl is not None:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def _find(self, name: bytes, now: float) -> tuple[int, float, float]:
        """(offset of a key's slot, its tokens, when it had them); for a new key, a slot to take and a full bucket."""
        start, oldest, taken = int.from_bytes(name[:8], "little"), now, -1
        for step in range(_NEAR):
            at = (start + step) % _SLOTS * _SLOT.size
            kept, left, since = _SLOT.unpack_from(self._table, at)
            if kept == name:
                return at, left, since
            if kept == _FREE:
                return at, float(self.burst), now
            if taken < 0 or since < oldest:
                oldest, taken = since, at
        return taken, float(self.burst), now
