"""Answers of the routes on models in service: what is served, what was changed, and how far the latest events have drifted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Change", "Drift", "Likelihood", "ModelDeployment", "Models", "ServedModel"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """A model in service.

    Args:
        name: name in requests and logs.
        kind: kind of model, as in `foldin models`.
        run: digest of the run.
        items: number of items in the model's catalog.
        has_likelihood: whether lists have probabilities instead of scores.
        has_posterior: whether the model has a posterior, for Thompson sampling and uncertainties.
        default: whether this is the default model, for requests that do not choose one.
        share: share of the users that a split assigns to this model; None without a split.
        can_roll_back: whether a previous model of this name can be restored.
        waiting: number of requests in the model's queue.
        attributes: names of the features of items that filters may use.
        attribute_kinds: type of the values of each of these features: `number`, `truth`, `text`, `date` or `other`.
        refused: values of `explore` that the model refuses, with the reason.
        repeats: which of several events of a user with one item is used: `first`, `last`, `first-of-kind`, or all (`keep`).
    """

    name: str
    kind: str
    run: str
    items: int
    has_likelihood: bool
    has_posterior: bool
    default: bool
    share: float | None
    can_roll_back: bool
    waiting: int
    attributes: tuple[str, ...]
    attribute_kinds: Mapping[str, str]
    refused: Mapping[str, str]
    repeats: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDeployment:
    """What the database says of a model, and whether the process that answered serves it.

    Args:
        name: name in requests and logs.
        generation: number of times that the name was given a run, rolled back or retired.
        run: folder or URL of the run that is to serve.
        wanted: digest of the run that is to serve; None for a retired model.
        serving: digest of the run that serves in the process that answered; None for none.
        problem: why the process that answered does not serve the wanted run; None if it does, or is loading it.
        previous: digest of the run that a roll back restores; None if there is none.
        default: whether this is the default model, for requests that do not choose one.
        share: share of the users that a split assigns to this model; None without a split.
        retired: whether the model is out of service.
        changed: time of the newest change, in seconds since 1970.
    """

    name: str
    generation: int
    run: str
    wanted: str | None
    serving: str | None
    problem: str | None
    previous: str | None
    default: bool
    share: float | None
    retired: bool
    changed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """The models in service.

    Args:
        models: models that the process that answered serves, in the order of their names.
        deployments: models that all processes are to serve, in the order of their names; retired ones included.
        revision: number of changes so far, the same in all processes.
    """

    models: tuple[ServedModel, ...]
    deployments: tuple[ModelDeployment, ...]
    revision: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change of the models in service.

    Args:
        revision: number of the change.
        time: seconds since 1970.
        key: name of the key that asked for it; `anybody` without keys, `command line` or `watch` for the service itself.
        action: one of `deploy`, `rollback`, `default`, `split` and `retire`.
        model: name of the model; None for a split.
        before: the models that changed, by name, as they were before; None for a model that did not exist.
        after: the models that changed, by name, as they were afterwards.
    """

    revision: int
    time: int
    key: str
    action: str
    model: str | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Likelihood:
    """Log-likelihood of the items that known users took for the first time in a period, in nats per item.

    Args:
        users: number of users.
        mean: mean over users of the mean over their new items.
        low: lower end of the 95 % interval; None for too few users.
        high: upper end of the 95 % interval; None for too few users.
        popularity: the same mean if every item has the probability of its share of the training events.
        error: standard error of the mean; None for a single user.
    """

    users: int
    mean: float
    low: float | None
    high: float | None
    popularity: float
    error: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """How far the latest events are from what a model was trained on, for a sample of users.

    Args:
        model: name of the model.
        run: digest of the run that served.
        time: time of the measurement, in seconds since 1970.
        since: time from which on events are the latest ones, in seconds since 1970.
        events: number of latest events.
        users: number of users with latest events.
        new_users: share of these users without an earlier event.
        unknown_items: share of the latest events with items that are not in the model's catalog.
        age: days between the newest event that the model was trained on and the newest event; None if the run does not say.
        likelihood: log-likelihood of the latest events; None for a model without a density, or if it has nothing to measure.
        first: the same on the first period after training; None if the events do not hold it.
        fall: mean and 95 % interval of the fall of the log-likelihood since then, in nats per item; None without it.
        alarms: what exceeds its limit, a sentence each.
    """

    model: str
    run: str
    time: int
    since: int
    events: int
    users: int
    new_users: float
    unknown_items: float
    age: float | None
    likelihood: Likelihood | None
    first: Likelihood | None
    fall: tuple[float, float, float] | None
    alarms: tuple[str, ...]
