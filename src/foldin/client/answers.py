"""Answers on lists, events, users and items: frozen dataclasses with the fields of the schemas at `/openapi.json`."""

from dataclasses import dataclass

from foldin.client.experiments import LoggedList
from foldin.client.prices import Price, RulePrice

__all__ = [
    "ErasedUser",
    "EventEffect",
    "EventReceipt",
    "Hit",
    "Item",
    "Price",
    "Readiness",
    "Recommendations",
    "RulePrice",
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
