"""Facts of a log on which the choice of a model may rest, measured on the training users of a split."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from foldin.data import HeldOut, Histories, Split
from foldin.data.parts import quantiles
from foldin.display import Display, Displayed
from foldin.experiment.order import OrderGain, measure_order
from foldin.reports import FACTS_HEAD, facts_rows

__all__ = ["LogFacts", "measure_log"]

_NEWEST = 0.1  # share of the events, by time, in which items without earlier events are counted


@dataclass(frozen=True, kw_only=True, repr=False)
class LogFacts(Displayed):
    """Facts of the training users of a split.

    Args:
        data: name of the log.
        protocol: protocol of the split.
        users, items, events: numbers of training users, of items in the catalog and of training events.
        events_per_user: the numbers of events that 10 %, 50 % and 90 % of the users do not exceed.
        density: share of the pairs of a user and an item that have an event.
        repeated: share of the events with an item that the user has already.
        order: where the order of events comes from: `times`, `column`, or `file` for the order of rows.
        tied: share of the events at the time of another event of the same user; None without times.
        order_gain: whether the order matters; None if users have too few items.
        features: names of the catalog's columns besides ids and counts.
        cold: of the newest tenth of the events, the share with items that have no event before that tenth; None without times.
        validation_users: number of validation users with a target.
        repeated_targets: share of the validation targets that the user has already.
    """

    data: str
    protocol: str
    users: int
    items: int
    events: int
    events_per_user: tuple[float, float, float]
    density: float
    repeated: float
    order: str
    tied: float | None
    order_gain: OrderGain | None
    features: tuple[str, ...]
    cold: float | None
    validation_users: int
    repeated_targets: float

    def as_dict(self) -> dict[str, Any]:
        """The facts as data."""
        found = asdict(self)
        found["events_per_user"], found["features"] = list(self.events_per_user), list(self.features)
        return found

    def display(self) -> Display:
        title = f"{self.data}, protocol {self.protocol}"
        return Display(title=title, head=FACTS_HEAD, rows=facts_rows(self.as_dict()))


def measure_log(split: Split, *, data: str | None = None, seed: int = 0) -> LogFacts:
    """The facts of a split's training users. Of held-out users only validation targets are counted, and whether they are repeats.

    Args:
        data: name of the log; None for the source of the split.
        seed: seed of the draws by which the worth of order is measured.
    """
    train = split.train
    distinct = sum(part.distinct().n_events for part in train.parts())
    points = np.quantile(train.lengths, (0.1, 0.5, 0.9)) if len(train) else np.zeros(3)
    few, middle, many = (float(one) for one in points)
    pairs = len(train) * train.n_items
    return LogFacts(
        data=split.report.source if data is None else data,
        protocol=split.protocol,
        users=len(train),
        items=train.n_items,
        events=train.n_events,
        events_per_user=(few, middle, many),
        density=distinct / pairs if pairs else 0.0,
        repeated=1.0 - distinct / train.n_events if train.n_events else 0.0,
        order=_origin(split),
        tied=_tied(train),
        order_gain=measure_order(train, seed=seed),
        features=tuple(name for name in split.catalog.table.columns if name not in ("item", "count", "is_active")),
        cold=_cold(train),
        validation_users=int((split.validation.targets.lengths > 0).sum()),
        repeated_targets=_repeats(split.validation),
    )


def _repeats(held: HeldOut) -> float:
    """Share of the targets that the user has already."""
    if not held.targets.n_events:
        return 0.0
    return float(np.isin(held.targets.pair_keys(), held.fold_in.pair_keys()).mean())


def _origin(split: Split) -> str:
    """Where the order of events comes from."""
    if split.train.times is not None:
        return "times"
    return "column" if "order" in split.report.columns else "file"


def _tied(train: Histories) -> float | None:
    """Share of the events at the time of another event of the same user."""
    if train.times is None or not train.n_events:
        return None
    tied = 0
    for part in train.parts():
        assert part.times is not None
        same = (np.diff(part.times) == 0) & (np.diff(part.users()) == 0)
        tied += int((np.append(same, False) | np.insert(same, 0, False)).sum())
    return tied / train.n_events


def _cold(train: Histories) -> float | None:
    """Of the newest tenth of the events, the share with items that have no event before."""
    if train.times is None or not train.n_events:
        return None
    (cut,) = quantiles(train.times, (1.0 - _NEWEST,))
    first = np.full(train.n_items, np.iinfo(np.int64).max)
    for part in train.parts():
        assert part.times is not None
        np.minimum.at(first, part.items, part.times)
    newest = cold = 0
    for part in train.parts():
        assert part.times is not None
        late = part.times >= cut
        newest += int(late.sum())
        cold += int((late & (first[part.items] >= cut)).sum())
    return cold / newest
