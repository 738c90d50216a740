"""Business rules of a list: boosts, freshness, diversity, caps and pins, as a request states them.

Rules are applied in this order, whatever the order in which they are given:

1. each boost, and then freshness, adds a log-weight to the scores;
2. diversity chooses the list item by item, by score and similarity;
3. each cap skips items of a value that is in the list often enough;
4. pins place items, and count towards the caps from the beginning.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from numbers import Number
from typing import Any
from uuid import UUID

import numpy as np

from foldin.data import Condition, conditions_of, id_text
from foldin.errors import ConfigError
from foldin.ranking.diversity import DPP, MMR

__all__ = ["Boost", "Cap", "Freshness", "Pin", "Rules"]


@dataclass(frozen=True)
class Boost:
    """A log-weight that is added to the scores of the items that meet some conditions.

    A weight w multiplies the odds of each such item against the others by e^w. For a model without a density it is in the unit
    of the model's scores. The weights of several boosts add up.

    Args:
        where: conditions on features of the items, such as `{"genres": {"any_of": ["Drama"]}}`, in the form of the filters;
            all must hold.
        log_weight: the weight w, in nats; negative to lower the items.

    Raises:
        ConfigError: no condition, conditions of another structure, or a weight that is not finite.
    """

    where: Mapping[str, Mapping[str, Any]]
    log_weight: float

    def __post_init__(self) -> None:
        if not self.conditions():
            raise ConfigError("boost: where needs at least one condition")
        _number(self.log_weight, "boost: log_weight")

    def conditions(self) -> dict[str, Condition]:
        """The conditions by feature."""
        return conditions_of(self.where, "boost: where")


@dataclass(frozen=True)
class Freshness:
    """A boost that decays with the age of an item: w · 2^(−age / half-life) is added to its score.

    Items without a value of the feature are not boosted; items from after `now` have the age 0.

    Args:
        feature: feature with the time of each item: a date, or a number such as a year or seconds.
        half_life: age at which half of the boost is left: in days for dates, in the unit of the feature for numbers.
        log_weight: the weight w of a new item, in nats; in the unit of the scores for a model without a density.
        now: the time at which items have the age 0: a number, or a date or ISO 8601 text of one for a feature of dates; if None,
            the newest value in the catalog, so that a list does not depend on the clock.

    Raises:
        ConfigError: a half-life that is not positive, or a number that is not finite.
    """

    feature: str
    half_life: float
    log_weight: float
    now: float | str | date | None = None

    def __post_init__(self) -> None:
        if isinstance(self.now, datetime) and self.now.tzinfo is not None:
            object.__setattr__(self, "now", self.now.astimezone(UTC))
        if isinstance(self.now, date):
            object.__setattr__(self, "now", self.now.isoformat())
        _number(self.log_weight, "freshness: log_weight")
        if _number(self.half_life, "freshness: half_life") <= 0.0:
            raise ConfigError(f"freshness: half_life must be positive, not {self.half_life:g}")
        if not isinstance(self.now, str | None):
            _number(self.now, "freshness: now")


@dataclass(frozen=True)
class Cap:
    """A maximum number of items with the same value of a feature in a list.

    An item with several values counts for each of them. The list is made greedily from the top: an item is skipped if the list
    has enough of one of its values. Where items have one value at most this is the best list under one cap; where they
    have several values, or under several caps, a better list may exist.

    Args:
        feature: feature of the items, such as `genres`; items without a value are not limited.
        most: maximum number of items of each value.

    Raises:
        ConfigError: a maximum that is not a whole number of at least 1.
    """

    feature: str
    most: int

    def __post_init__(self) -> None:
        _count(self.most, "cap: most")


@dataclass(frozen=True)
class Pin:
    """An item at a given position of the list.

    The pin of an item that may not be listed for a user is left out, unless it is forced. In a list that ends before the
    position, the item is the last one.

    Args:
        item: external id of the item, of any type; it becomes text.
        position: position in the list; 1 is the first.
        forced: whether the item is listed even if the user has taken it or if it is denied or filtered out.

    Raises:
        ConfigError: an id that is neither text nor a number, or a position that is not a whole number of at least 1.
    """

    item: Any
    position: int
    forced: bool = False

    def __post_init__(self) -> None:
        if (
            not isinstance(self.item, str | Number | UUID)
            or isinstance(self.item, bool)
            or not isinstance(self.forced, bool)
        ):
            raise ConfigError(f"pin: an id and true or false were expected, not {self.item!r} and {self.forced!r}")
        object.__setattr__(self, "item", id_text(self.item))
        _count(self.position, "pin: position")


@dataclass(frozen=True)
class Rules:
    """The business rules of a list; see the module for the order in which they are applied.

    Args:
        boosts: log-weights for items that meet conditions.
        freshness: a boost that decays with the age of an item.
        diversity: `MMR` or `DPP`, which choose items that differ from those above them.
        caps: maximum numbers of items with the same value of a feature.
        pins: items at given positions.
        pool: number of the best items from which diversity chooses the list, and which rankers that search are asked for where
            log-weights reorder them. A pool bounds the time, since every step of diversity looks at all candidates, and keeps
            items out that are only different. It is enlarged where caps leave a list unfilled.

    Raises:
        ConfigError: two caps on one feature, two pins of one item or at one position, or a pool that is not a whole number of
            at least 1.
    """

    boosts: Sequence[Boost] = ()
    freshness: Freshness | None = None
    diversity: MMR | DPP | None = None
    caps: Sequence[Cap] = ()
    pins: Sequence[Pin] = ()
    pool: int = field(default=500, kw_only=True)

    def __post_init__(self) -> None:
        _count(self.pool, "rules: pool")
        _distinct([one.feature for one in self.caps], "caps: two on the feature")
        _distinct([one.item for one in self.pins], "pins: two of the item")
        _distinct([one.position for one in self.pins], "pins: two at the position")

    def __bool__(self) -> bool:
        """Whether there is a rule."""
        return bool(self.boosts or self.freshness or self.diversity or self.caps or self.pins)


def _plain(value: Any) -> Any:
    """A number of NumPy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _number(value: Any, what: str) -> float:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise ConfigError(f"{what} must be a finite number, not {value!r}")
    return float(value)


def _count(value: Any, what: str) -> None:
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{what} must be a whole number of at least 1, not {value!r}")


def _distinct(values: Sequence[Any], what: str) -> None:
    twice = next((one for at, one in enumerate(values) if one in values[:at]), None)
    if twice is not None:
        raise ConfigError(f"{what} {twice!r}")
