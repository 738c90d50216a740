"""What a caller sends: the business rules of a list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from foldin.client.filters import ItemFilter

__all__ = ["Boost", "Cap", "Diversity", "Freshness", "Pin", "Rules"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Boost:
    """A log-weight that is added to the scores of the items that meet some conditions.

    Args:
        where: conditions by name of a feature of the items; all must hold.
        log_weight: weight in nats; in the unit of the scores for a model without a density.
    """

    where: Mapping[str, ItemFilter]
    log_weight: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """A boost that decays with the age of an item: log_weight · 2^(−age / half_life).

    Args:
        feature: feature with the time of each item: a date or a number.
        half_life: age at which half of the boost is left: in days for dates, in the unit of the feature for numbers.
        log_weight: weight of a new item, in nats, or in the unit of the scores.
        now: time at which items have the age 0: a number, or a date or ISO 8601 text of one for a feature of dates; if omitted,
            the newest value in the catalog.
    """

    feature: str
    half_life: float
    log_weight: float
    now: float | str | date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Diversity:
    """A choice of items that differ from those above them.

    Args:
        method: `dpp`, the greedy choice by a determinantal point process, or `mmr`, maximal marginal relevance.
        theta: weight of the score, in [0, 1]; that of the diversity is 1 − theta.
        feature: feature of the items whose values define their similarity; if omitted, the model's item vectors do.
    """

    method: Literal["dpp", "mmr"]
    theta: float
    feature: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cap:
    """A maximum number of items with the same value of a feature.

    Args:
        feature: feature of the items; an item counts for each of its values.
        most: maximum number of items of each value in the list.
    """

    feature: str
    most: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    """An item at a given position of the list.

    Args:
        item: external id of the item.
        position: position in the list; 1 is the first.
        forced: whether the item is listed even if the user has taken it or if it is denied or filtered out.
    """

    item: str
    position: int
    forced: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Business rules, applied in this order: boosts, freshness, diversity, caps, pins.

    Args:
        boosts: log-weights, which add up.
        freshness: a boost that decays with the age of an item.
        diversity: a choice of items that differ from those above them.
        caps: maximum numbers of items with the same value of a feature.
        pins: items at given positions.
        pool: number of the best items from which diversity chooses the list; enlarged where caps leave it unfilled.
    """

    boosts: Sequence[Boost] | None = None
    freshness: Freshness | None = None
    diversity: Diversity | None = None
    caps: Sequence[Cap] | None = None
    pins: Sequence[Pin] | None = None
    pool: int = 500
