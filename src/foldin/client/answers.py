"""Answers of the service: frozen dataclasses with the fields of the schemas at `/openapi.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foldin.client.experiments import LoggedList
from foldin.client.prices import Price, RulePrice

__all__ = [
    "Change",
    "Drift",
    "ErasedUser",
    "EventEffect",
    "EventReceipt",
    "Hit",
    "Item",
    "Likelihood",
    "ModelDeployment",
    "Models",
    "Price",
    "Readiness",
    "Recommendations",
    "RulePrice",
    "ServedModel",
    "StoredEvent",
    "StoredUser",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class EventEffect:
    """An event of the history, and its effect on a listed item.

    Args:
        item: external id.
        title: title of the item.
        change: change of the listed item's score by this event, in the unit `effect_unit` of the list.
    """

    item: str
    title: str
    change: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """An entry of a list.

    Args:
        rank: rank in the list; 1 is the best.
        item: external id.
        title: title of the item.
        source: where the entry comes from: `model`; `new`, a new item that exploration has given this place; or the list for all
            users that answered.
        probability: probability that this is the next item, among the items that may be listed; None without a density.
        score: score of a model without a density; it has no unit.
        sd: posterior standard deviation of the probability, if `uncertainty` was requested.
        propensity: probability that exploration lists the item; see the HTTP reference for each way to explore.
        propensity_se: standard error of the propensity of `thompson`.
        inverse_propensity: weight of the item in inverse propensity scoring.
        raised_by: events that raised the item most, strongest first, if `attributions` was requested.
        lowered_by: events that lowered the item most, strongest first, if `attributions` was requested.
    """

    rank: int
    item: str
    title: str
    source: str
    probability: float | None
    score: float | None
    sd: float | None
    propensity: float | None
    propensity_se: float | None
    inverse_propensity: float | None
    raised_by: tuple[EventEffect, ...] | None
    lowered_by: tuple[EventEffect, ...] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Recommendations:
    """A list, with the model and the events that it comes from.

    Args:
        list_id: id of the list, for the `list_id` of the events that come of it.
        model: name of the model of the request; None if none could answer and `source` did.
        run: digest of the model's run; None without a model.
        source: what answered: `model`, or a list for all users in its place (`popular`, `trending` or `recent`).
        user: external id of the user, as in the request.
        known_events: number of events that the list is based on.
        unknown_items: ids of the request or of stored events that are not in the model's catalog.
        effect_unit: unit of the effects of events: `nats` of log-probability, or the `score` of a model without a density.
        prior: whether nothing is known about the user, so that the list is the model's prior prediction.
        price: what the list gives up to the rules of the request; None without rules.
        items: items of the list, best first, in the order in which they were drawn, or in that of the rules.
        fallback_note: why the list that the request names as its `fallback` did not answer; None if it answered, or was not to.
    """

    list_id: str
    model: str | None
    run: str | None
    source: str
    user: str | None
    known_events: int
    unknown_items: tuple[str, ...]
    effect_unit: str
    prior: bool
    price: Price | None
    items: tuple[Hit, ...]
    fallback_note: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """External ids of the items, in the order of the list."""
        return tuple(hit.item for hit in self.items)


@dataclass(frozen=True, kw_only=True, slots=True)
class EventReceipt:
    """The result of storing events, which are on disk.

    Args:
        accepted: number of new events.
        duplicates: number of events that were stored before, or are repeated in the batch.
        replayed: whether everything was stored before, with the same idempotency key.
    """

    accepted: int
    duplicates: int
    replayed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvent:
    """A stored event.

    Args:
        item: external id.
        time: seconds since 1970.
        kind: kind of the event; empty if none was sent.
        value: value of the event; None if none was sent.
        title: title of the item in the catalog of the default model; None if it is not there.
        list_id: id of the list that the event named; None if it named none.
    """

    item: str
    time: int
    kind: str
    value: float | None
    title: str | None = None
    list_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredUser:
    """All stored data of a user.

    Args:
        user: external id.
        events: the user's events, oldest first.
        lists: logged lists that the user was answered with, oldest first.
    """

    user: str
    events: tuple[StoredEvent, ...]
    lists: tuple[LoggedList, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ErasedUser:
    """The result of deleting a user's data.

    Args:
        user: external id.
        erased_events: number of deleted events.
    """

    user: str
    erased_events: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """An item of the catalog.

    Args:
        item: external id.
        title: title of the item.
        count: number of training events.
        similarity: cosine similarity of the item vectors; None in a search, and for models without item vectors.
    """

    item: str
    title: str
    count: int
    similarity: float | None = None


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Readiness:
    """Whether the service can answer: a model is in service, and the event store answers.

    Args:
        deployments: whether every model in service is the wanted one; if not, the one before it serves, which counts as ready.
    """

    models: bool
    events: bool
    deployments: bool

    def __bool__(self) -> bool:
        return self.models and self.events
