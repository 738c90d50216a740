"""Answers of the service: frozen dataclasses with the fields of the schemas at `/openapi.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Change",
    "ErasedUser",
    "EventEffect",
    "EventReceipt",
    "Hit",
    "Item",
    "ModelDeployment",
    "Models",
    "Readiness",
    "Recommendations",
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
        model: name of the model that answered.
        run: digest of the run that answered.
        user: external id of the user, as in the request.
        known_events: number of events that the list is based on.
        unknown_items: ids of the request or of stored events that are not in the model's catalog.
        effect_unit: unit of the effects of events: `nats` of log-probability, or the `score` of a model without a density.
        prior: whether nothing is known about the user, so that the list is the model's prior prediction.
        items: items of the list, best first, or in the order in which they were drawn.
    """

    model: str
    run: str
    user: str | None
    known_events: int
    unknown_items: tuple[str, ...]
    effect_unit: str
    prior: bool
    items: tuple[Hit, ...]

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
    """

    item: str
    time: int
    kind: str
    value: float | None
    title: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredUser:
    """All stored data of a user.

    Args:
        user: external id.
        events: the user's events, oldest first.
    """

    user: str
    events: tuple[StoredEvent, ...]


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
        attribute_kinds: type of the values of each of these features: `number`, `truth`, `text` or `other`.
        refused: values of `explore` that the model refuses, with the reason.
        repeats: which of several events of a user with one item is used: `first`, `last`, or `first-of-kind`.
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
class Readiness:
    """Whether the service can answer.

    Args:
        models: whether a model is in service.
        events: whether the event store answers.
        deployments: whether every model in service is the wanted one; if not, the one before it serves, which counts as ready.
    """

    models: bool
    events: bool
    deployments: bool

    def __bool__(self) -> bool:
        return self.models and self.events
