"""Drift: how far the latest events are from what a model was trained on, and how well it still predicts them.

Three things age a model: items that it does not know, users about whom nothing was known, and habits that change. The first two
are counted. The third is measured as only a model with a likelihood can: by the log-likelihood of what known users took for the
first time,

    mean over users of the mean over their new items of log p(item | earlier events),

in nats per item, over the items of the catalog that the user had not taken. In a log that keeps repeats, it is that of all
items that they took, over all items. The same on the first period after the model was trained is what it is compared with, and
the share of each item among the training events, which knows no user, is the control.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from foldin.data import EventLog, HeldOut, Histories
from foldin.display import Display, Displayed
from foldin.errors import ConfigError, SplitError
from foldin.evaluation import LOG_LIKELIHOOD, evaluate, studentized_interval
from foldin.experiment.incumbent import trained_until
from foldin.experiment.origin import Origin, cut_log, latest_cut, newest_time, until_now
from foldin.runs import Run
from foldin.tensors import Array, Float64, Int64

__all__ = ["Drift", "DriftLimits", "Likelihood", "measure_drift"]

DAY = 86_400
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class DriftLimits:
    """Limits beyond which `Drift.alarms` says that a model has aged.

    Args:
        unknown_items: largest share of the latest events with items that the model does not know.
        age: largest number of days between the newest event that the model was trained on and the newest event.
        fall: largest fall of the log-likelihood since the first period after training, in nats per item. It is exceeded if the
            whole 95 % interval of the fall lies above it.

    Raises:
        ConfigError: a share outside [0, 1], or a number that is negative or not finite.
    """

    unknown_items: float = 0.1
    age: float = 14.0
    fall: float = 0.25

    def __post_init__(self) -> None:
        if not 0.0 <= self.unknown_items <= 1.0:
            raise ConfigError(f"unknown_items = {self.unknown_items:g}: a share between 0 and 1 was expected")
        for name in ("age", "fall"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"{name} = {getattr(self, name):g}: a number from 0 on was expected")


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Log-likelihood of the items that known users took for the first time in a period, in nats per item.

    Args:
        users: number of users.
        mean: mean over users of the mean over their new items.
        low, high: its 95 % interval; None for too few users.
        popularity: the same mean if every item has the probability of its share of the training events (and one event more).
        error: standard error of `mean`; None for a single user.
    """

    users: int
    mean: float
    low: float | None
    high: float | None
    popularity: float
    error: float | None


@dataclass(frozen=True, kw_only=True, repr=False)
class Drift(Displayed):
    """How far the latest events are from what a model was trained on.

    Args:
        since: seconds since 1970 from which on events are the latest ones.
        events: number of latest events.
        users: number of users with latest events.
        new_users: share of these users without an earlier event.
        unknown_items: share of the latest events with items that are not in the model's catalog.
        age: days between the newest event that the model was trained on and the newest event; None if the run does not say.
        likelihood: log-likelihood of the latest events; None for a model without a density, or if no known user took an item of
            the catalog for the first time.
        first: the same on the first period of the same length after training; None if the log has no event of it, or if it is
            the latest period itself.
    """

    since: int
    events: int
    users: int
    new_users: float
    unknown_items: float
    age: float | None
    likelihood: Likelihood | None
    first: Likelihood | None

    @property
    def fall(self) -> tuple[float, float, float] | None:
        """(mean, low, high) of the fall of the log-likelihood since the first period, in nats per item; None without one.

        The 95 % interval is that of two samples of users, by the normal distribution.
        """
        now, then = self.likelihood, self.first
        if now is None or then is None or now.error is None or then.error is None:
            return None
        mean = then.mean - now.mean
        half = 1.96 * math.hypot(then.error, now.error)
        return mean, mean - half, mean + half

    def alarms(self, limits: DriftLimits | None = None) -> tuple[str, ...]:
        """What exceeds its limit, a sentence each; none if nothing does."""
        most, found = limits or DriftLimits(), []
        if self.unknown_items > most.unknown_items:
            share = f"{self.unknown_items:.1%} of the latest events have items that the model does not know"
            found.append(f"{share}; the limit is {most.unknown_items:.1%}")
        if self.age is not None and self.age > most.age:
            found.append(
                f"the model was trained on events until {self.age:.1f} days ago; the limit is {most.age:g} days"
            )
        fall = self.fall
        if fall is not None and fall[1] > most.fall:
            nats = f"{fall[0]:.2f} nats per item ({fall[1]:.2f} to {fall[2]:.2f}) since the first period after training"
            found.append(f"the log-likelihood fell by {nats}; the limit is {most.fall:g}")
        return tuple(found)

    def display(self) -> Display:
        rows = [
            ("latest events", f"{self.events:,}", "", ""),
            ("their users", f"{self.users:,}", "", ""),
            ("users without an earlier event", f"{self.new_users:.1%}", "", ""),
            ("events with unknown items", f"{self.unknown_items:.1%}", "", ""),
            ("age of the model in days", "unknown" if self.age is None else f"{self.age:.1f}", "", ""),
        ]
        for name, one in (("latest", self.likelihood), ("first period", self.first)):
            if one is not None:
                interval = "" if one.low is None or one.high is None else f"{one.low:.3f} to {one.high:.3f}"
                rows.append((f"log-likelihood per item, {name}", f"{one.mean:.3f}", interval, f"{one.popularity:.3f}"))
        since = datetime.fromtimestamp(self.since, UTC).isoformat()
        return Display(title=f"Drift since {since}", head=("", "value", "95 % interval", "by popularity"), rows=rows)

    def as_dict(self) -> dict[str, Any]:
        """All figures as JSON."""
        return {**asdict(self), "fall": self.fall}


def measure_drift(
    run: Run, log: EventLog, *, latest: str = "1d", progress: Progress | None = None, now: float | None = None
) -> Drift:
    """How far the latest events of a log are from what a run was trained on.

    Events count by the run's rule, if it has one: those of weight 0 and ratings below its minimum are left out, and a dislike is
    an event, but no target of the log-likelihood.

    Args:
        run: a run; users and items are matched by their external ids.
        log: events with times, the latest included.
        latest: a duration before the newest event, such as `12h`, `1d` or `2w`, or a share of all events below 1.
        progress: called with (users done, total users) between blocks of users of each period.
        now: time of the clock, in seconds since 1970; that of this machine if None. Events that are ahead of it are left out.

    Raises:
        ConfigError: `latest` is neither.
        SplitError: the log has no absolute times, no event counts, or none is before the latest ones.
        EmptyLogError: all events are ahead of the clock.
    """
    log = _counting(run, until_now(log, now))
    cut = latest_cut(log, latest)
    origin, until, newest = cut_log(log, cut), trained_until(run, now), newest_time(log.histories, now=now)
    assert newest is not None  # else `latest_cut` raises
    assert log.histories.times is not None
    late = log.histories.times >= cut
    places = np.array([-1 if at is None else at for at in run.catalog.places(origin.items)], dtype=np.int64)
    users = len(np.unique(log.histories.users()[late]))
    return Drift(
        since=cut,
        events=int(late.sum()),
        users=users,
        new_users=origin.newcomers / users,
        unknown_items=float((places[log.histories.items[late]] < 0).mean()),
        age=None if until is None else max(0.0, (newest - until) / DAY),
        likelihood=_likelihood(run, origin, progress),
        first=None if until is None else _first(run, log, until + 1, (cut, newest + 1), progress),
    )


def _counting(run: Run, log: EventLog) -> EventLog:
    """The events of a log that count by the run's rule, with this rule in place of the log's; the log itself without a rule."""
    rule = run.weighting
    if rule is None:
        return log
    histories = log.histories.by_parts(lambda part: part.where(rule.of(part, log.kinds) != 0.0))
    if not histories.n_events:
        raise SplitError(f"{log.report.source}: no event counts by the weights and ratings of the run")
    kinds, reading = rule.kinds or None, log.reading
    reading = replace(reading, weights=kinds, dislike_below=rule.dislike_below, min_rating=rule.min_rating)
    return replace(log, histories=histories, reading=reading)


def _first(
    run: Run, log: EventLog, begin: int, latest: tuple[int, int], progress: Progress | None
) -> Likelihood | None:
    """The log-likelihood of the first period after training, if it ends before the latest one begins and has events."""
    times, (cut, end) = log.histories.times, latest
    assert times is not None
    length = end - cut
    if begin + length > cut or not (times < begin).any() or not ((times >= begin) & (times < begin + length)).any():
        return None
    until_then = replace(log, histories=log.histories.where(times < begin + length))
    return _likelihood(run, cut_log(until_then, begin), progress)


def _likelihood(run: Run, origin: Origin, progress: Progress | None) -> Likelihood | None:
    """The log-likelihood of the targets of an origin that are in the run's catalog."""
    places = np.array([-1 if at is None else at for at in run.catalog.places(origin.items)], dtype=np.int64)
    rule = run.weighting
    own = origin.histories if rule is None else rule.applied(origin.histories, origin.before.kinds)
    wanted = origin.targets if own.dislikes is None else origin.targets.without(own.dislikes)
    seen, targets = (one.reindex(places, len(run.catalog)) for one in (own, wanted))
    if not run.model.has_likelihood or not targets.n_events:
        return None
    held = HeldOut.under(origin.before.reading, fold_in=seen, targets=targets, users=origin.users)
    values = evaluate(run.model, held, metrics=("ndcg@1",), progress=progress).values(LOG_LIKELIHOOD)
    low, high = studentized_interval(values)
    none = math.isnan(low)
    measured = np.flatnonzero(targets.lengths)
    counts = run.catalog.table["count"].to_numpy()
    popular = _by_popularity(counts, held.seen.select(measured), targets.select(measured))
    return Likelihood(
        users=len(values),
        mean=float(values.mean()),
        low=None if none else low,
        high=None if none else high,
        popularity=float(popular.mean()),
        error=float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None,
    )


def _by_popularity(counts: Int64[Array, " items"], seen: Histories, targets: Histories) -> Float64[Array, " users"]:
    """Mean over each user's targets of the logarithm of their share of the events, among the items not seen."""
    share = (counts + 1.0) / (counts + 1.0).sum()
    once = seen.distinct()
    left = 1.0 - np.bincount(once.users(), share[once.items], len(once))
    summed: Float64[Array, " users"] = np.bincount(targets.users(), np.log(share[targets.items]), len(targets))
    return summed / targets.lengths - np.log(left)
