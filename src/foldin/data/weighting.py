"""Weights of events: what an event counts by its kind, its value and its age, and which events are dislikes.

    w(event) = w(kind) 2^(−age / half-life)

Age is counted from the latest event of training, and is 0 for a later event. The weight of an event therefore depends on nothing
but the event, and is the same in training, in an evaluation and in a service. Training events that are ahead of the clock of the
machine do not count as the latest, since one device with a bad clock would make all other events old; their age is 0.

An event of negative weight is a dislike of its item, with the absolute weight as its strength; one of weight 0 is left out. A
minimum rating leaves events out before it is decided which of several events with one item is kept; an event without a value is
not below it.
"""

import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

import numpy as np

from foldin.data.histories import Histories
from foldin.data.order import one_of_each
from foldin.errors import DataError
from foldin.tensors import Array, Bool, Float32, Float64, Int64

__all__ = ["EventWeights", "half_life_seconds", "sides", "weights_by_kind"]

_LEAST = float(np.finfo(np.float32).tiny)  # weight of an event, at least
_SECONDS = {"h": 3_600, "d": 86_400, "w": 7 * 86_400}


@dataclass(frozen=True, kw_only=True)
class EventWeights:
    """The rule by which events are weighted.

    Args:
        kinds: weight of an event by the name of its kind; 1 for a kind that is not named.
        half_life: age in seconds at which an event counts half; None if age does not matter.
        dislike_below: an event with a value below this is a dislike, with the absolute weight of its kind as its strength; None
            if values do not matter.
        min_rating: an event with a value below this that is no dislike has the weight 0; None for no minimum.
        until: seconds since 1970 of the latest event of training, from which age is counted; None before it is known.
    """

    kinds: Mapping[str, float] = field(default_factory=dict)
    half_life: float | None = None
    dislike_below: float | None = None
    min_rating: float | None = None
    until: int | None = None

    @property
    def weighs(self) -> bool:
        """Whether events may differ in weight or be dislikes: a rule of a minimum rating alone only leaves events out."""
        return bool(self.kinds) or self.half_life is not None or self.dislike_below is not None

    def rated(self, items: list[int | None], values: Sequence[float | None]) -> list[int | None]:
        """The items of events, with None for an event whose value is below the minimum rating, unless it is a dislike."""
        least, disliked = self.min_rating, -math.inf if self.dislike_below is None else self.dislike_below
        if least is None:
            return items
        low = [value is not None and disliked <= value < least for value in values]
        return [None if out else item for item, out in zip(items, low, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """The rule as JSON, for the file of a run."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Any) -> "EventWeights | None":
        """The rule that `as_dict` returned; None for None.

        Raises:
            DataError: something else.
        """
        if stored is None:
            return None
        names = {one.name for one in fields(cls)}
        if not isinstance(stored, Mapping) or not stored.keys() <= names:
            raise DataError(f"weights of events: {stored!r} is not what a run stores")
        return cls(**stored)

    def since(self, train: Histories) -> "EventWeights":
        """The rule with age counted from the latest event of a training set that is not ahead of the clock, if there is one."""
        if self.half_life is None or train.times is None or not train.n_events:
            return self
        newest, now = int(train.times.max()), int(time.time())
        if newest > now and len(past := train.times[train.times <= now]):
            newest = int(past.max())
        return replace(self, until=newest)

    def signed(
        self,
        kinds: Float64[Array, " events"] | None,
        values: Float32[Array, " events"] | None,
        times: Int64[Array, " events"] | None,
        events: int,
    ) -> Float32[Array, " events"]:
        """The weight of each event: negative for a dislike, 0 for an event that does not count.

        Args:
            kinds: weight of the kind of each event; None for events without kinds.
            values: value of each event, NaN where there is none.
            times: seconds since 1970 of each event; without them age does not matter.
        """
        weights = np.ones(events) if kinds is None else kinds.copy()
        if values is not None:
            if self.min_rating is not None:
                weights[values < self.min_rating] = 0.0
            if self.dislike_below is not None:
                strength = np.ones(events) if kinds is None else np.abs(kinds)
                weights = np.where(values < self.dislike_below, -strength, weights)
        if self.half_life is not None and self.until is not None and times is not None:
            decay = np.exp2(-np.maximum(self.until - times, 0) / self.half_life)
            # However old, an event is one: it never becomes 0, which would be one that does not count.
            weights = np.sign(weights) * np.maximum(np.abs(weights) * decay, np.where(weights == 0.0, 0.0, _LEAST))
        return weights.astype(np.float32)

    def of(self, histories: Histories, names: Sequence[str]) -> Float32[Array, " events"]:
        """The weight of each event of histories that have their kinds and values.

        Args:
            names: names of the kinds, by the codes in `histories.kinds`.
        """
        by_code = np.array([self.kinds.get(name, 1.0) for name in names])
        kinds = None if histories.kinds is None else by_code[histories.kinds]
        return self.signed(kinds, histories.values, histories.times, histories.n_events)

    def liked(self, histories: Histories, names: Sequence[str]) -> Bool[Array, " events"]:
        """Mask of the events that count in favor of their item."""
        return sides(histories, self.of(histories, names))[0]

    def applied(self, histories: Histories, names: Sequence[str]) -> Histories:
        """The histories with weights and dislikes in place of all events; unchanged if they have any already.

        If events of a user with one item are of both signs, the latest one decides, and those of the other sign are left out.

        Args:
            names: names of the kinds, by the codes in `histories.kinds`.
        """
        if histories.weights is not None or histories.dislikes is not None:
            return histories
        if not self.weighs:
            return histories.by_parts(self._rated)
        likes = histories.by_parts(partial(self._side, names, False))
        if likes.weights is not None and not likes.on_disk and bool(np.all(likes.weights == 1.0)):
            likes = replace(likes, weights=None)
        dislikes = histories.by_parts(partial(self._side, names, True))
        return replace(likes, dislikes=dislikes) if dislikes.n_events else likes

    def _rated(self, part: Histories) -> Histories:
        """The events that are not below the minimum rating."""
        if part.values is None or self.min_rating is None:
            return part
        low = part.values < self.min_rating
        return part.where(~low) if low.any() else part

    def _side(self, names: Sequence[str], disliked: bool, part: Histories) -> Histories:
        """The events in favor of their items, or the dislikes, with positive weights."""
        weights = self.of(part, names)
        return replace(part, weights=np.abs(weights)).where(sides(part, weights)[int(disliked)])


def sides(
    histories: Histories, weights: Float32[Array, " events"]
) -> tuple[Bool[Array, " events"], Bool[Array, " events"]]:
    """(mask of the events in favor of their item, mask of the dislikes): of an item with both, the latest event decides."""
    liked, disliked = weights > 0.0, weights < 0.0
    if not disliked.any():
        return liked, disliked
    counts, keys = np.flatnonzero(liked | disliked), histories.pair_keys()
    latest = counts[one_of_each(keys[counts], last=True)]
    against = np.isin(keys, keys[latest[disliked[latest]]])
    return liked & ~against, disliked & against


def half_life_seconds(text: str) -> int:
    """A half-life such as `12h`, `90d` or `26w` in seconds.

    Raises:
        DataError: another spelling, or zero.
    """
    found = re.fullmatch(r"(\d{1,6})([hdw])", text) if isinstance(text, str) else None
    if found is None or int(found[1]) == 0:
        raise DataError(f"half_life = {text!r}: a number of hours, days or weeks such as 12h, 90d or 26w was expected")
    return int(found[1]) * _SECONDS[found[2]]


def weights_by_kind(given: Mapping[str, Any] | Iterable[str]) -> dict[str, float]:
    """Weights by the name of a kind, from a mapping or from texts `KIND=WEIGHT`.

    Raises:
        DataError: a text without "=", or a weight that is not a finite number.
    """
    if isinstance(given, str):
        raise DataError(f"weights = {given!r}: a mapping such as {{'view': 1, 'buy': 10}} was expected")
    pairs: list[tuple[str, Any]] = []
    if isinstance(given, Mapping):
        pairs = list(given.items())
    else:
        for text in given:
            kind, sign, weight = str(text).rpartition("=")
            if not sign:
                raise DataError(f"weight {text!r}: KIND=WEIGHT was expected, such as buy=10")
            pairs.append((kind, weight))
    found: dict[str, float] = {}
    for kind, weight in pairs:
        try:
            found[str(kind).strip()] = number = float(weight)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or abs(number) > 1e6:
            raise DataError(f"weight of the kind {kind!r}: a number between -1e6 and 1e6 was expected, not {weight!r}")
    return found
