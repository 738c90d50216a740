"""When a request is sent again: exponential backoff with full jitter, and the pause that the service asks for."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from foldin.errors import ConfigError

__all__ = ["Retries", "seconds_of"]


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often a request is sent, and the pauses between.

    The pause before attempt n + 1 is uniform between 0 and min(longest_pause, first_pause · 2^(n - 1)), so that clients that
    failed together do not come back together; a pause that the service asks for (`Retry-After`) is added to it. If the service
    asks for more than `longest_pause`, the error is raised at once.

    Args:
        attempts: largest number of times that a request is sent; 1 never sends it again.
        first_pause: largest pause before the second attempt, in seconds.
        longest_pause: largest pause before any attempt, in seconds.

    Raises:
        ConfigError: a value is out of range.
    """

    attempts: int = 4
    first_pause: float = 0.2
    longest_pause: float = 10.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"attempts: at least 1, not {self.attempts}")
        for name in ("first_pause", "longest_pause"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name}: seconds from 0 on were expected, not {getattr(self, name)}")

    def pause(self, attempt: int, retry_after: float | None, rng: random.Random) -> float | None:
        """Seconds to wait after a failed attempt; None to give up.

        Args:
            attempt: number of the attempt that failed, from 1 on.
            retry_after: seconds that the service asks to wait; None if it does not.
            rng: source of the jitter.
        """
        if attempt >= self.attempts or (retry_after or 0.0) > self.longest_pause:
            return None
        ceiling = min(self.longest_pause, self.first_pause * 2.0 ** min(attempt - 1, 62))
        return (retry_after or 0.0) + rng.uniform(0.0, ceiling)


def seconds_of(retry_after: str | None, now: datetime | None = None) -> float | None:
    """The seconds of a header `Retry-After`, which is a number of seconds or a date; None if it is missing or neither."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())
