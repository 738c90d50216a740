"""What a caller sends: events, and requests for lists; and their JSON."""

import dataclasses
import json
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime
from typing import Any, Literal

from foldin.client.filters import ItemFilter, refuse_text
from foldin.client.rules import Rules
from foldin.errors import ConfigError

__all__ = ["Event", "ItemFilter", "RecommendRequest", "Time", "encoded"]

Time = int | str | datetime  # seconds since 1970, ISO 8601 with an offset, or a datetime with a time zone


@dataclass(frozen=True, slots=True)
class Event:
    """An event: a user took an item.

    Args:
        user: external id of the user.
        item: external id of the item, as in the training log.
        time: seconds since 1970, ISO 8601 with an offset, or a datetime with a time zone; the time of sending if omitted.
        kind: kind of the event, such as `view` or `buy`.
        value: value of the event, such as a rating.
        list_id: id of the list in which the user took the item.
    """

    user: str
    item: str
    time: Time | None = None
    kind: str = ""
    value: float | None = None
    list_id: str | None = None


@dataclass(frozen=True, slots=True)
class RecommendRequest:
    """A request for a list: for a user, for a history, or for a user about whom nothing is known.

    Args:
        user: external id of a user, who is folded in from their newest stored events.
        history: ids of items that the user took, oldest first, instead of stored events.
        times: times of the events of `history`, one each.
        k: maximum number of items in the list.
        exclude_seen: whether to exclude all items that the user has taken; None to exclude them unless the model's log keeps
            repeats.
        allow: ids of the only items that may be listed.
        deny: ids of items that may not be listed.
        filter: conditions by name of a feature of the items; all must hold.
        rules: business rules of the list; the answer says what the list gives up to them.
        explore: how the list is made: `none`, the best items; `thompson`, the best items of one draw from the posterior;
            `temperature`, items drawn one by one.
        temperature: temperature for `temperature`; above 1 explores more.
        seed: seed of the draws; random if omitted.
        draws: number of draws from which propensities and uncertainties are estimated; chosen by the service if omitted.
        uncertainty: whether each item comes with the posterior standard deviation of its probability.
        attributions: whether each item comes with the events that raised and lowered it most.
        model: name of a model in service; if omitted, the model of the split or the default model.
        fallback: list for all users that answers if the model knows nothing about the user, or if no model can answer; None for
            the model's prior prediction, or the error.
        context: what is to be logged with the list, such as the page that shows it, in at most 1,000 bytes of JSON.
    """

    user: str | None = None
    _: KW_ONLY
    history: Sequence[str] | None = None
    times: Sequence[Time] | None = None
    k: int = 10
    exclude_seen: bool | None = None
    allow: Sequence[str] | None = None
    deny: Sequence[str] | None = None
    filter: Mapping[str, ItemFilter] | None = None
    rules: Rules | None = None
    explore: Literal["none", "thompson", "temperature"] = "none"
    temperature: float = 1.0
    seed: int | None = None
    draws: int | None = None
    uncertainty: bool = False
    attributions: bool = False
    model: str | None = None
    fallback: Literal["popular", "trending", "recent"] | None = None
    context: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        refuse_text(self, "history", "times", "allow", "deny")


def encoded(value: Any) -> bytes:
    """A value as JSON in UTF-8; of a request's fields, only those that differ from their defaults.

    Raises:
        ConfigError: a value has no JSON form: a number that is not finite, a time without a zone, or another type.
    """
    try:
        return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError, for half of a surrogate pair, is a ValueError
        raise ConfigError(f"the request cannot be sent: {error}") from None


def _plain(value: Any) -> Any:
    """A value in the types of JSON."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, numbers.Integral):  # of NumPy
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigError(f"{value.isoformat()} has no time zone; add one, as in datetime.now(UTC)")
        return value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value):
        pairs = ((one, getattr(value, one.name)) for one in dataclasses.fields(value))
        return {one.name: _plain(found) for one, found in pairs if not _is_default(one, found)}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Iterable):
        return [_plain(one) for one in value]
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _is_default(field: "dataclasses.Field[Any]", value: Any) -> bool:
    return value is None or (isinstance(value, str | bool | int | float) and value == field.default)
