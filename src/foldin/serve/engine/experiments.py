"""Is it better? The outcome of an experiment: the difference of its arms, with an interval that may be looked at any time.

The unit is the user, since users are assigned: what a user does is one outcome, and a user's events are not independent. The
outcome of a user is what came of the lists within a window after the user's first list; it enters when the window is over, and
does not change afterwards. Outcomes therefore come in one after the other, as the confidence sequences of `foldin.evaluation`
need them: the experiment may be looked at as often as one likes, stopped for any reason, and continued.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from foldin.errors import ConfigError
from foldin.evaluation import (
    Decision,
    RunningMean,
    asymptotic_sequence,
    bounded_sequence,
    sequential_ratio_test,
    verdict_of,
)
from foldin.serve.storage.experiments import ArmLists, ExperimentStore, SplitPeriod, UserInArm
from foldin.tensors import Array, Float64, Int64

__all__ = [
    "ALARM",
    "ArmOutcome",
    "Difference",
    "ExperimentOutcome",
    "Measure",
    "Outcomes",
    "decision_of",
    "experiment_outcome",
]

ALARM = 0.01  # p-value of the sample-ratio test at which the assignment is not to be trusted
_LOOKS = 50  # points of the sequence
_METRICS = {"users": "the share of users with an event", "events": "the weighted events of a user"}
Measure = Literal["users", "events"]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What counts as an outcome, and how it is compared.

    Args:
        window: seconds after a user's first list within which events count.
        weights: weight of an event by its kind, others weighing 0; empty for a weight of 1 of every event.
        measure: `users`, whether a user has an event with a weight, with intervals that are exact; or `events`, the sum of the
            weights of a user's events, with intervals that hold in the limit of many users.
        level: probability with which all intervals of the experiment hold at all times; shared among the arms beside the control.
        margin: largest loss that does not matter, in units of the measure.
        control: arm with which the others are compared; the first by name if None.

    Raises:
        ConfigError: a number outside its range, or another measure.
    """

    window: int = 86_400
    weights: Mapping[str, float] | None = None
    measure: Measure = "users"
    level: float = 0.95
    margin: float = 0.0
    control: str | None = None

    def __post_init__(self) -> None:
        if self.measure not in _METRICS:
            raise ConfigError(f"measure: one of {', '.join(_METRICS)} was expected, not {self.measure!r}")
        if not 0.0 < self.level < 1.0:
            raise ConfigError(f"level: a number between 0 and 1 was expected, not {self.level:g}")
        if self.window < 1 or not 0.0 <= self.margin < float("inf"):
            raise ConfigError(
                f"window and margin: a second at least and a loss of at least 0 were expected, not {self.window} and "
                f"{self.margin:g}"
            )
        wrong = [kind for kind, weight in (self.weights or {}).items() if not np.isfinite(weight)]
        if wrong:
            raise ConfigError(f"weights: a finite weight was expected for the kind {wrong[0]!r}")

    def weight(self, kind: str) -> float:
        """The weight of an event of a kind."""
        return self.weights.get(kind, 0.0) if self.weights else 1.0


@dataclass(frozen=True)
class ArmOutcome:
    """What is known of an arm.

    Args:
        model: name of the model.
        share: planned share of the users.
        users: number of users who were answered with a list.
        counted: number of those whose window is over.
        mean: mean outcome of these; None without one.
        lists: number of lists.
        empty_lists: share of the lists without an item; None without a list.
        elsewhere: share of the lists that another model answered, because the arm's was not in service; None without a list.
        runs: digests of the runs that answered, more than one if the model was deployed anew.
    """

    model: str
    share: float
    users: int
    counted: int
    mean: float | None
    lists: int
    empty_lists: float | None
    elsewhere: float | None
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """The difference of an arm to the control, at looks along the time and now.

    Args:
        arm: name of its model.
        decision: the verdict by the interval now.
        times: times of the looks, in seconds since 1970.
        users: number of counted users of both arms at the looks.
        estimates: difference of the means at the looks; NaN before both arms have a user.
        low, high: ends of the intervals at the looks; infinite before there are enough users.
    """

    arm: str
    decision: Decision
    times: Int64[Array, " looks"]
    users: Int64[Array, " looks"]
    estimates: Float64[Array, " looks"]
    low: Float64[Array, " looks"]
    high: Float64[Array, " looks"]


@dataclass(frozen=True)
class ExperimentOutcome:
    """The outcome of an experiment as of now.

    Args:
        period: the split.
        settings: what counts as an outcome.
        control: arm with which the others are compared.
        arms: all arms, by name.
        differences: of each other arm to the control.
        ratio_p_value: p-value, valid at any time, of the hypothesis that users were assigned in the planned shares.
    """

    period: SplitPeriod
    settings: Outcomes
    control: str
    arms: tuple[ArmOutcome, ...]
    differences: tuple[Difference, ...]
    ratio_p_value: float | None

    @property
    def mismatch(self) -> bool:
        """Whether the arms have other shares of the users than planned, so that nothing can be said of them."""
        return self.ratio_p_value is not None and self.ratio_p_value <= ALARM


def experiment_outcome(
    store: ExperimentStore, period: SplitPeriod, settings: Outcomes, *, now: int | None = None
) -> ExperimentOutcome:
    """The outcome of an experiment.

    Args:
        now: seconds since 1970; the time of the clock if None.

    Raises:
        ConfigError: the control is no arm.
        EventStoreError: the database is not available.
    """
    names = sorted(period.shares)
    control = names[0] if settings.control is None else settings.control
    if control not in names:
        raise ConfigError(f"control: one of {', '.join(names)} was expected, not {control!r}")
    users, lists = store.users(period.id), store.lists(period.id)
    values = _values(users, store.outcomes(period.id, settings.window), settings)
    moment = int(time.time()) if now is None else now
    counted = sum(one.first + settings.window < moment for one in users)  # users are in the order of their first lists
    arm_of = np.array([names.index(one.arm) if one.arm in period.shares else -1 for one in users], dtype=np.int64)
    ended = np.array([one.first + settings.window for one in users[:counted]], dtype=np.int64)
    arms = tuple(_arm(name, period.shares[name], arm_of == at, values, counted, lists) for at, name in enumerate(names))
    others = [at for at, name in enumerate(names) if name != control]
    level = 1.0 - (1.0 - settings.level) / max(1, len(others))
    ratio = None
    if len(names) > 1:
        ratio = float(sequential_ratio_test([one.users for one in arms], [one.share for one in arms]))
    differences = tuple(
        _difference(names[at], (names.index(control), at), arm_of[:counted], values[:counted], ended, settings, level)
        for at in others
    )
    return ExperimentOutcome(period, settings, control, arms, differences, ratio)


def _values(
    users: Sequence[UserInArm], events: Sequence[tuple[str, str, int]], settings: Outcomes
) -> Float64[Array, " users"]:
    """The outcome of each user."""
    place, found = {one.user: at for at, one in enumerate(users)}, np.zeros(len(users))
    for user, kind, count in events:
        weight, at = settings.weight(kind), place.get(user)
        if at is None:
            continue  # who came between two statements is in the next look
        if settings.measure == "events":
            found[at] += weight * count
        elif weight != 0.0:
            found[at] = 1.0
    return found


def _arm(
    name: str,
    share: float,
    inside: Array,
    values: Float64[Array, " users"],
    counted: int,
    lists: Sequence[ArmLists],
) -> ArmOutcome:
    own = [one for one in lists if one.arm == name]
    total, known = sum(one.lists for one in own), values[:counted][inside[:counted]]
    return ArmOutcome(
        model=name,
        share=share,
        users=int(inside.sum()),
        counted=len(known),
        mean=float(known.mean()) if len(known) else None,
        lists=total,
        empty_lists=sum(one.empty for one in own) / total if total else None,
        elsewhere=sum(one.lists for one in own if one.model != name) / total if total else None,
        runs=tuple(sorted({one.run for one in own if one.model == name})),
    )


def _difference(
    name: str,
    pair: tuple[int, int],
    arm_of: Int64[Array, " users"],
    values: Float64[Array, " users"],
    ended: Int64[Array, " users"],
    settings: Outcomes,
    level: float,
) -> Difference:
    """The difference of two arms along the users in the order in which their windows ended."""
    both = np.isin(arm_of, pair)
    own, arm, times = values[both], arm_of[both], ended[both]
    looks = np.unique(np.linspace(1, len(own), min(_LOOKS, len(own)), dtype=np.int64))
    if len(looks):  # a look comes after all users of its second
        looks = np.unique(np.searchsorted(times, times[looks - 1], side="right"))
    control, treatment = (_along(own, arm == at, looks) for at in pair)
    if settings.measure == "users":
        low, high = bounded_sequence(control, treatment, level=level)
    else:
        low, high = asymptotic_sequence(control, treatment, level=level)
    known = (control.count > 0.0) & (treatment.count > 0.0)
    low, high = np.where(known, low, -np.inf), np.where(known, high, np.inf)
    estimates = np.where(known, treatment.mean - control.mean, np.nan)
    ends = [float(end[-1]) if len(looks) and np.isfinite(end[-1]) else None for end in (low, high)]
    decision = Decision(
        verdict=verdict_of(ends[0], ends[1], margin=settings.margin),
        difference=float(estimates[-1]) if len(looks) and known[-1] else 0.0,
        low=ends[0],
        high=ends[1],
        level=level,
        margin=settings.margin,
        users=len(own),
        users_needed=None,
        anytime=True,
        metric=_METRICS[settings.measure],
    )
    return Difference(name, decision, times[looks - 1], looks, estimates, low, high)


def _along(values: Float64[Array, " users"], inside: Array, looks: Int64[Array, " looks"]) -> RunningMean:
    """The outcomes of an arm at each look, which is a number of users of both arms."""
    own = values[inside]
    met = np.cumsum(inside)[looks - 1] if len(looks) else looks
    along = RunningMean.along(own) if len(own) else RunningMean(*(np.zeros(0),) * 3)
    count, mean, squares = (np.concatenate(([0.0], one)) for one in (along.count, along.mean, along.squares))
    return RunningMean(count[met], mean[met], squares[met])


def decision_of(outcome: ExperimentOutcome, difference: Difference) -> Decision:
    """The decision on an arm, whose verdict is withheld if users did not come in the planned shares."""
    if not outcome.mismatch:
        return difference.decision
    return difference.decision.without_verdict(
        f"the arms did not get users in the planned shares (p = {outcome.ratio_p_value:.2g}), so that their difference says "
        "nothing about the models"
    )
