"""The choice of one list from a pool of candidates, item by item, under caps, pins and diversity."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from foldin.ranking.diversity import Bonus
from foldin.ranking.resolved_rules import ResolvedCap
from foldin.tensors import Array, Float64, Int64

__all__ = ["Tally", "choose"]


class Tally:
    """How often each value of the capped features is in a list."""

    def __init__(self, caps: Sequence[ResolvedCap]) -> None:
        self.caps = caps
        self._counts: list[Counter[int]] = [Counter() for _ in caps]

    def full(self, item: int) -> bool:
        """Whether one of the item's values is in the list as often as its cap admits."""
        return any(
            counts[code] >= cap.most
            for cap, counts in zip(self.caps, self._counts, strict=True)
            for code in cap.values.of(item).tolist()
        )

    def full_values(self, cap: int) -> list[int]:
        """The values that are in the list as often as one of the caps admits, by the position of the cap."""
        return [code for code, count in self._counts[cap].items() if count >= self.caps[cap].most]

    def add(self, item: int) -> None:
        """Count an item of the list."""
        for cap, counts in zip(self.caps, self._counts, strict=True):
            counts.update(cap.values.of(item).tolist())


class _Candidates:
    """The candidates of a list, with what is chosen so far."""

    def __init__(
        self,
        items: Int64[Array, " pool"],
        keys: Float64[Array, " pool"],
        theta: float,
        bonus: Bonus | None,
        caps: Sequence[ResolvedCap],
    ) -> None:
        self._items, self._keys, self._theta, self._bonus = items, keys, theta, bonus
        self._tally, self._free, self._next = Tally(caps), np.ones(len(items), dtype=bool), 0

    def take(self, at: int) -> None:
        """Choose a candidate."""
        self._free[at] = False
        self._tally.add(int(self._items[at]))
        if self._bonus is not None:
            self._bonus.add(at)

    def best(self) -> int | None:
        """The best free candidate; None if there is none. A candidate that a cap excludes stays excluded."""
        gains = None
        if self._bonus is not None:
            gains = self._theta * self._keys + (1.0 - self._theta) * self._bonus.bonus()
        while self._free.any():
            if gains is None:
                while not self._free[self._next]:
                    self._next += 1
                at = self._next
            else:
                at = int(np.argmax(np.where(self._free, gains, -np.inf)))
            if not self._tally.full(int(self._items[at])):
                return at
            self._free[at] = False
        return None


def choose(
    items: Int64[Array, " pool"],
    keys: Float64[Array, " pool"],
    k: int,
    *,
    theta: float = 1.0,
    bonus: Bonus | None = None,
    caps: Sequence[ResolvedCap] = (),
    pinned: Mapping[int, int] | None = None,
) -> list[int]:
    """Positions in the pool of at most k items, in the order of the list.

    Pins count towards the caps, and are regarded as chosen by diversity, from the beginning. If the candidates end before the
    list is full, the pins that are left follow.

    Args:
        items: the candidates, best key first, but for those that are pinned.
        keys: their scores with all log-weights; among equal gains the earlier candidate is chosen.
        theta: weight of the scores against the bonus.
        bonus: what a candidate adds to the diversity; None for none.
        caps: maximum numbers of items of a value.
        pinned: position in the pool by place in the list.
    """
    candidates, waiting = _Candidates(items, keys, theta, bonus, caps), dict(sorted((pinned or {}).items()))
    for at in waiting.values():
        candidates.take(at)
    found = list[int]()
    while len(found) < k:
        if len(found) in waiting:
            found.append(waiting.pop(len(found)))
            continue
        best = candidates.best()
        if best is None:
            break
        candidates.take(best)
        found.append(best)
    return [*found, *waiting.values()][:k]
