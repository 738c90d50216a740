"""Answers of the routes on experiments, and the logged lists that they rest on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ArmDifference", "Experiment", "ExperimentArm", "ExperimentOutcome", "LoggedList", "Look"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedList:
    """A list that a user was answered with.

    Args:
        list_id: id of the list, as in its answer.
        time: seconds since 1970.
        model: name of the model that answered.
        run: digest of the run that answered.
        ranker: how the list was made, such as `exact` or `temperature:0.5`.
        items: external ids of the items, in the order of the list.
        propensities: propensity of each item; None for a list that was not drawn at random.
        arm: model to which a split assigned the user; None if no split chose the model.
        share: probability of that assignment.
        split: id of the experiment.
        history: items of the history, with their times, weights and dislikes if it has any, of a list with propensities.
        context: context that the request gave.
    """

    list_id: str
    time: int
    model: str
    run: str
    ranker: str
    items: tuple[str, ...]
    propensities: tuple[float, ...] | None
    arm: str | None
    share: float | None
    split: int | None
    history: Mapping[str, Any] | None
    context: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """An experiment: a split of users between models, from its change to the next change of the split.

    Args:
        id: revision of the change that made the split.
        key: name of the key that made it.
        start: time of its start, in seconds since 1970.
        end: time of its end; None while it lasts.
        shares: planned share of the users by name of the model, which is the arm.
    """

    id: int
    key: str
    start: int
    end: int | None
    shares: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentArm:
    """An arm of an experiment.

    Args:
        model: name of the model.
        share: planned share of the users.
        users: number of users who were answered with a logged list.
        counted: number of these whose window is over, so that their outcome is known.
        mean: mean outcome of the counted users; None without one.
        lists: number of logged lists.
        empty_lists: share of the lists without an item; None without a list.
        elsewhere: share of the lists that another model answered, because that of the arm was not in service.
        runs: digests of the runs that answered; several if the model was deployed anew meanwhile.
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The difference of two arms as it was known at a time.

    Args:
        time: seconds since 1970.
        users: number of users of both arms whose outcome was known.
        difference: difference of the mean outcomes; None while an arm has no counted user.
        low, high: ends of the interval; None while there is none.
    """

    time: int
    users: int
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDifference:
    """The difference of an arm to the control.

    Args:
        arm: name of the arm's model.
        difference: mean outcome of the arm minus that of the control; None while one of them has no counted user.
        low, high: ends of the interval; None while there are too few users.
        level: level of the interval, which holds at all looks together.
        verdict: `better`, `worse` or `undecided`.
        sentence: the verdict and its reason.
        looks: the difference along the time, oldest first; at most 50 looks.
    """

    arm: str
    difference: float | None
    low: float | None
    high: float | None
    level: float
    verdict: str
    sentence: str
    looks: tuple[Look, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentOutcome:
    """What came of an experiment so far.

    Args:
        experiment: the experiment.
        control: arm with which the others are compared.
        measure: outcome of a user: `users`, whether there is an event with a weight; `events`, the sum of the weights.
        window: seconds after a user's first list within which events count.
        margin: largest loss that does not matter.
        arms: the arms, in the order of their names.
        differences: the other arms compared with the control.
        ratio_p_value: p-value, valid at any time, of the hypothesis that users were assigned in the planned shares; None for a
            single arm.
        mismatch: whether that p-value is at most 0.01: then every verdict is `undecided`.
    """

    experiment: Experiment
    control: str
    measure: str
    window: int
    margin: float
    arms: tuple[ExperimentArm, ...]
    differences: tuple[ArmDifference, ...]
    ratio_p_value: float | None
    mismatch: bool
