"""Business rules in item indices: what `Rules` means for one catalog."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

import numpy as np
import polars as pl
import scipy.sparse

from foldin.data import Catalog, Filters
from foldin.errors import ConfigError
from foldin.ranking.diversity import DPP, MMR
from foldin.ranking.rules import Freshness, Rules
from foldin.tensors import Array, Float64, Int64

__all__ = ["ItemValues", "ResolvedCap", "ResolvedPin", "ResolvedRules", "Stage", "resolve_rules"]

_DAY = 86_400.0  # seconds


@dataclass(frozen=True, eq=False)
class ItemValues:
    """The values of a feature of all items, each value a whole number; see `data.Filters.codes`.

    Args:
        offsets, codes: item i has the values `codes[offsets[i]:offsets[i + 1]]`.
    """

    offsets: Int64[Array, " offsets"]
    codes: Int64[Array, " values"]

    def of(self, item: int) -> Int64[Array, " own"]:
        """The values of one item."""
        return self.codes[self.offsets[item] : self.offsets[item + 1]]

    @cached_property
    def matrix(self) -> scipy.sparse.csr_array:
        """(items, values), 1 where an item has a value."""
        shape = (len(self.offsets) - 1, int(self.codes.max(initial=0)) + 1)
        return scipy.sparse.csr_array((np.ones(len(self.codes)), self.codes, self.offsets), shape=shape)


@dataclass(frozen=True, eq=False)
class ResolvedCap:
    """At most `most` items of each value of a feature.

    Args:
        feature: name of the feature.
        most: maximum number of items of each value.
        values: the values of all items.
    """

    feature: str
    most: int
    values: ItemValues


@dataclass(frozen=True)
class ResolvedPin:
    """An item at a position.

    Args:
        item: index of the item.
        place: position in the list; 0 is the first.
        forced: whether the item is listed even if it is not eligible.
    """

    item: int
    place: int
    forced: bool = False


@dataclass(frozen=True, eq=False)
class Stage:
    """Some of the rules: all up to one of them, in their order.

    Args:
        name: name of the last of these rules; empty for the stage without rules.
        weights: log-weights of all items; None for none.
        diversity: how items are chosen that differ; None for the best ones.
        caps: maximum numbers of items of a value.
        pins: items at positions.
    """

    name: str = ""
    weights: Float64[Array, " items"] | None = None
    diversity: MMR | DPP | None = None
    caps: Sequence[ResolvedCap] = ()
    pins: Sequence[ResolvedPin] = ()


@dataclass(frozen=True, eq=False)
class ResolvedRules:
    """Rules over the items of one catalog, for the ranker `Ruled`.

    Args:
        n_items: size of the catalog.
        weights: log-weights of all items, one array for each boost and for freshness, by the name of the rule.
        diversity: how items are chosen that differ; None for the best ones.
        alike: values of the items that define their similarity; None for the model's item vectors.
        caps: maximum numbers of items of a value.
        pins: items at positions, in the order of the positions.
        pool: number of the best items from which diversity chooses.

    Raises:
        ConfigError: more items of a value are pinned than its cap admits.
    """

    n_items: int
    weights: Sequence[tuple[str, Float64[Array, " items"]]] = ()
    diversity: MMR | DPP | None = None
    alike: ItemValues | None = field(default=None, repr=False)
    caps: Sequence[ResolvedCap] = ()
    pins: Sequence[ResolvedPin] = ()
    pool: int = 500

    def __post_init__(self) -> None:
        for cap in self.caps if self.pins else ():
            pinned = np.concatenate([cap.values.of(one.item) for one in self.pins])
            if len(pinned) and (count := int(np.bincount(pinned).max())) > cap.most:
                raise ConfigError(
                    f"pins: {count} of the pinned items have the same value of {cap.feature!r}, and the cap is {cap.most}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the rules, in the order in which they are applied."""
        return tuple(one.name for one in self.stages()[1:])

    @property
    def forced(self) -> Int64[Array, " forced"]:
        """Items that are listed even if they are not eligible."""
        return np.array([one.item for one in self.pins if one.forced], dtype=np.int64)

    def check_length(self, k: int) -> None:
        """Check that every pin has its place in a list of k items.

        Raises:
            ConfigError: a pin is beyond the end.
        """
        last = max((one.place for one in self.pins), default=-1)
        if last >= k:
            raise ConfigError(f"pins: no position {last + 1} in a list of at most {k} items")

    def stages(self) -> list[Stage]:
        """No rules, the first rule, the first two, …, all rules; all pins are one rule."""
        made, total = [Stage()], None
        for name, weights in self.weights:
            total = weights if total is None else total + weights
            made.append(Stage(name, total))
        if self.diversity is not None:
            made.append(Stage("diversity", total, self.diversity))
        made += [
            Stage(f"cap {cap.feature}", total, self.diversity, self.caps[: at + 1]) for at, cap in enumerate(self.caps)
        ]
        if self.pins:
            made.append(Stage("pins", total, self.diversity, self.caps, self.pins))
        return made


def resolve_rules(rules: Rules, catalog: Catalog, filters: Filters | None = None) -> ResolvedRules:
    """Rules in the indices of a catalog.

    Args:
        filters: the features of this catalog, where they are prepared already.

    Raises:
        ConfigError: an unknown feature, conditions or ages that do not fit its type, or pins beyond a cap.
        UnknownItemError: a pinned item is not in the catalog.
    """
    features = Filters(catalog) if filters is None else filters
    weights = [
        (f"boost {at + 1}", np.where(features.passing(one.conditions()), float(one.log_weight), 0.0))
        for at, one in enumerate(rules.boosts)
    ]
    if rules.freshness is not None:
        weights.append(("freshness", _fresh(rules.freshness, catalog)))
    diversity = rules.diversity
    alike = None if diversity is None or diversity.feature is None else diversity.feature
    items = catalog.indices([one.item for one in rules.pins])
    pins = [ResolvedPin(item, one.position - 1, one.forced) for item, one in zip(items, rules.pins, strict=True)]
    return ResolvedRules(
        len(catalog),
        weights,
        diversity,
        None if alike is None else _values(features, alike, "diversity"),
        [ResolvedCap(one.feature, one.most, _values(features, one.feature, "cap")) for one in rules.caps],
        sorted(pins, key=lambda one: one.place),
        rules.pool,
    )


def _values(features: Filters, name: str, rule: str) -> ItemValues:
    try:
        return ItemValues(*features.codes(name))
    except ConfigError as error:
        raise ConfigError(f"{rule}: {error}") from None


def _fresh(rule: Freshness, catalog: Catalog) -> Float64[Array, " items"]:
    """The log-weight of each item by its age."""
    if rule.feature in ("item", "title") or rule.feature not in catalog.table.columns:
        raise ConfigError(f"freshness: no feature {rule.feature!r}")
    column = catalog.table[rule.feature]
    dated = not column.dtype.is_numeric()
    times = _days(column, rule.feature) if dated else column.cast(pl.Float64).to_numpy()
    known = np.isfinite(times)
    if not known.any():
        return np.zeros(len(times))
    stated = rule.now.isoformat() if isinstance(rule.now, date) else rule.now
    if stated is None:
        now = float(times[known].max())
    elif dated == isinstance(stated, str):
        now = float(_days(pl.Series([stated]), "now")[0]) if isinstance(stated, str) else float(stated)
    else:
        raise ConfigError(
            f"freshness: now must be {'a date as text' if dated else 'a number'}, as {rule.feature!r}, not {stated!r}"
        )
    ages = np.maximum(now - times[known], 0.0)
    found = np.zeros(len(times))
    found[known] = rule.log_weight * np.exp2(-ages / rule.half_life)
    return found


def _days(column: pl.Series, name: str) -> Float64[Array, " items"]:
    """Days since 1970 of dates, times, or texts that begin with an ISO 8601 date; NaN where there is none."""
    found = column
    if column.dtype == pl.String:
        found = column.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
        odd = column.filter(found.is_null() & column.is_not_null())
        if len(odd):
            raise ConfigError(f"freshness: {name}: {odd[0]!r} does not begin with a date such as 2024-05-31")
    if found.dtype != pl.Date and not isinstance(found.dtype, pl.Datetime):
        raise ConfigError(f"freshness: feature {name!r} contains neither dates nor numbers")
    seconds = found.dt.epoch("us").cast(pl.Float64) / 1e6
    return seconds.fill_null(float("nan")).to_numpy() / _DAY
