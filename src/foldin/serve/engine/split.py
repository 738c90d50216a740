"""The split of users between models: each user has one arm, which depends on the user's id and the names of the models alone."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Arm", "Split"]


@dataclass(frozen=True)
class Arm:
    """The arm of a split that a user is in.

    Args:
        model: name of the model that the split assigned, which serves the user unless it is not in service here.
        share: share of the users in this arm: the probability of the assignment.
        split: revision of the change that made the split, by which the experiment is known; None without a database.
    """

    model: str
    share: float
    split: int | None = None


class Split:
    """Shares of users by name of the model. Users keep their arm while shares grow.

    Args:
        shares: positive shares that add up to 1; none for no split.
        revision: revision of the change that made the split.
    """

    def __init__(self, shares: Mapping[str, float] | None = None, revision: int | None = None) -> None:
        self.shares = dict(shares or {})
        self._names, total = str(sorted(self.shares)), 0.0
        self._ends: list[tuple[float, Arm]] = []
        for name, share in sorted(self.shares.items()):
            total += share
            self._ends.append((total, Arm(name, share, revision)))

    def arm(self, user: str | None) -> Arm | None:
        """The arm of a user; None without a split, and for a request without a user."""
        if not self._ends or user is None:
            return None
        # The digest does not depend on the shares, so that users keep a model while its share grows.
        digest = hashlib.sha256(f"{self._names} {user}".encode()).digest()
        at = int.from_bytes(digest[:8]) / 2**64
        return next((arm for end, arm in self._ends if at < end), None)
