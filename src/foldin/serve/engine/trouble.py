"""Why a model is not what the database says, and when it is tried again."""

import time
from dataclasses import dataclass

__all__ = ["Trouble"]

_LONGEST = 60.0  # seconds between two attempts


@dataclass(frozen=True)
class Trouble:
    """Why a model is not what the database says.

    Args:
        digest: digest of the run that could not be brought into service.
        reason: what was met, in one line.
        attempts: number of attempts so far.
        again: time of the next attempt, as `time.monotonic` counts.
    """

    digest: str
    reason: str
    attempts: int
    again: float

    @classmethod
    def after(cls, last: "Trouble | None", digest: str, error: Exception) -> "Trouble":
        """The trouble after one more attempt; the pauses between attempts double, up to a minute."""
        lines = str(error).strip().splitlines()
        attempts = 1 + (last.attempts if last is not None and last.digest == digest else 0)
        pause = min(_LONGEST, 2.0 ** min(attempts - 1, 10))
        return cls(digest, lines[0] if lines else type(error).__name__, attempts, time.monotonic() + pause)

    def holds_up(self, digest: str) -> bool:
        """Whether it is too early for another attempt to load this run."""
        return digest == self.digest and time.monotonic() < self.again
