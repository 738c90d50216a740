"""Limits of one request and of one key."""

import threading
import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from foldin.errors import ConfigError

__all__ = [
    "ID_BYTES",
    "KIND_BYTES",
    "LARGEST_VALUE",
    "LIST_CHARACTERS",
    "USER_BYTES",
    "Buckets",
    "Limits",
    "TokenBuckets",
    "bounded",
    "refilled",
]

ID_BYTES = 2000  # for an item in no catalog, whose id is in one entry of a database's index with a user's id
USER_BYTES = 500  # in that entry too; PostgreSQL allows 2,704 bytes
KIND_BYTES = 64
LIST_CHARACTERS = 64  # of the id of a list that an event names
LARGEST_VALUE = 3.4e38  # values are 32-bit numbers wherever they are read


def bounded(item: str, where: str) -> str:
    """An item id that is in no catalog, after a check of its length.

    Raises:
        ConfigError: the id is too long.
    """
    size = len(item.encode("utf-8", "surrogatepass"))
    if size > ID_BYTES:
        raise ConfigError(
            f"{where}: {item[:40]!r}…: an id that is in no catalog has at most {ID_BYTES:,} bytes, not {size:,}"
        )
    return item


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of requests. A request beyond a limit is refused with an error that gives the limit.

    Args:
        body: maximum size of a request, in bytes.
        history: maximum number of events in a request, and of a user's newest events that are read.
        k: maximum length of a list.
        batch: maximum number of lists, or of events, in one request in JSON.
        bulk: maximum number of events in one request in CSV or NDJSON.
        ids: maximum number of ids in `allow` and in `deny`.
        rate: requests per second for each key, on average.
        burst: requests at once for each key.
        wait: seconds after which a request fails.
        queued: maximum number of requests that may wait for a model.
    """

    body: int = 1 << 20
    history: int = 2000
    k: int = 1000
    batch: int = 1000
    bulk: int = 20_000
    ids: int = 10_000
    rate: float = 1000.0
    burst: int = 2000
    wait: float = 30.0
    queued: int = 1024


@runtime_checkable
class Buckets(Protocol):
    """A token bucket for each key, in this process or shared by several."""

    def take(self, key: str, tokens: int = 1, now: float | None = None) -> float:
        """0 if the request may proceed; otherwise the number of seconds until there are enough tokens."""
        ...


def refilled(left: float, seconds: float, *, rate: float, burst: int) -> float:
    """Tokens of a bucket some seconds after it had `left`."""
    return min(float(burst), left + max(0.0, seconds) * rate)


class TokenBuckets:
    """A token bucket for each key, filled at `rate` up to `burst`. A list, or a request of another kind, takes one token."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, tokens: int = 1, now: float | None = None) -> float:
        """0 if the request may proceed; otherwise the number of seconds until there are enough tokens.

        A full bucket is enough for any request.
        """
        needed = float(min(tokens, self.burst))
        now = time.monotonic() if now is None else now
        with self._lock:
            left, since = self._left.get(key, (float(self.burst), now))
            left = refilled(left, now - since, rate=self.rate, burst=self.burst)
            allowed = left >= needed
            self._left[key] = (left - needed if allowed else left, now)
            if len(self._left) > 10_000:  # forget those whose buckets are full again
                full = self.burst / self.rate
                self._left = {name: one for name, one in self._left.items() if now - one[1] < full}
        return 0.0 if allowed else (needed - left) / self.rate
