"""What one request, and one key, may ask of the service."""

import threading
import time
from dataclasses import dataclass

from foldin.errors import ConfigError

__all__ = ["ID_BYTES", "Limits", "TokenBuckets", "bounded"]

ID_BYTES = 2000  # of an item that is in no catalog: with a user's id in one entry of a database's index


def bounded(item: str, where: str) -> str:
    """The id of an item that no catalog has.

    Raises:
        ConfigError: it is longer than any that is expected.
    """
    size = len(item.encode("utf-8", "surrogatepass"))
    if size > ID_BYTES:
        raise ConfigError(
            f"{where}: {item[:40]!r}…: an id that is in no catalog has at most {ID_BYTES:,} bytes, not {size:,}"
        )
    return item


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds; what is beyond them is refused with a line that names them.

    Args:
        body: bytes of a request.
        history: newest events that are read of a user, and the most that a request may bring.
        k: length of a list.
        batch: questions, or events, of one request.
        ids: in allow and in deny.
        rate: requests a second for each key, over time.
        burst: requests at once.
        wait: seconds after which a request is given up.
        queued: requests that may wait for a model.
    """

    body: int = 1 << 20
    history: int = 2000
    k: int = 1000
    batch: int = 1000
    ids: int = 10_000
    rate: float = 1000.0
    burst: int = 2000
    wait: float = 30.0
    queued: int = 1024


class TokenBuckets:
    """A bucket a key, filled at `rate` up to `burst`; every request takes a token, one of many lists a token a list."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str, tokens: int = 1, now: float | None = None) -> float:
        """0 when the request may go on; else the seconds until there are so many tokens.

        A full bucket is enough for any request.
        """
        needed = float(min(tokens, self.burst))
        now = time.monotonic() if now is None else now
        with self._lock:
            left, since = self._left.get(key, (float(self.burst), now))
            left = min(float(self.burst), left + (now - since) * self.rate)
            allowed = left >= needed
            self._left[key] = (left - needed if allowed else left, now)
            if len(self._left) > 10_000:  # forget those whose buckets are full again
                full = self.burst / self.rate
                self._left = {name: one for name, one in self._left.items() if now - one[1] < full}
        return 0.0 if allowed else (needed - left) / self.rate
