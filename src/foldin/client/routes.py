"""The calls of the interface, one function a route. The clients have them as methods, which return the answer of the call.

Here are lists, events, users, searches and the state of the service; models, items, experiments and the studio have files of
their own.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ParamSpec
from uuid import uuid4

from foldin.client.answers import ErasedUser, EventReceipt, Item, Readiness, Recommendations, StoredUser
from foldin.client.reading import Call, Calls, as_text, read_as
from foldin.client.requests import Event, RecommendRequest, Time, encoded
from foldin.errors import ConfigError

__all__ = [
    "add_event",
    "add_events",
    "erase_user",
    "health",
    "items",
    "metrics",
    "ready",
    "recommend",
    "recommend_many",
    "similar",
    "user",
]

P = ParamSpec("P")
_BYTES = 900_000  # of the events of one request; by default the service takes 1 MiB


def _of_request(request: Callable[P, RecommendRequest]) -> Callable[P, Call[Recommendations]]:
    """The call for one list, with the arguments of its request."""

    def recommend(*args: P.args, **kwargs: P.kwargs) -> Call[Recommendations]:
        content = encoded(request(*args, **kwargs))
        read = read_as(Recommendations)
        return Call(method="POST", route="/v1/recommendations", read=read, content=content, repeatable=True)

    recommend.__doc__ = (
        "The list for a user, for a history, or for a user about whom nothing is known. The arguments are those of "
        "`RecommendRequest`; one of `user` and `history` may be given."
    )
    recommend.__wrapped__ = request  # type: ignore[attr-defined]  # its arguments are the signature
    return recommend


recommend = _of_request(RecommendRequest)


def recommend_many(requests: Iterable[RecommendRequest]) -> Call[tuple[Recommendations, ...]]:
    """The lists of several requests in their order, all or none. Each counts towards the rate limit of the key."""
    return Call(
        method="POST",
        route="/v1/recommendations:batch",
        read=read_as(tuple[Recommendations, ...], "answers"),
        content=encoded({"requests": list(requests)}),
        repeatable=True,
    )


def add_event(
    user: str,
    item: str,
    *,
    time: Time | None = None,
    kind: str = "",
    value: float | None = None,
    list_id: str | None = None,
    idempotency_key: str | None = None,
) -> Call[EventReceipt]:
    """Store an event. It is on disk when this returns, and the next lists of the user use it.

    Args:
        user: external id of the user.
        item: external id of the item.
        time: seconds since 1970, ISO 8601 with an offset, or a datetime with a time zone; now if omitted.
        kind: kind of the event, such as `view` or `buy`.
        value: value of the event, such as a rating.
        list_id: id of the list in which the user took the item.
        idempotency_key: unique key of this event, to send it again after a restart of the caller; random if omitted.
    """
    (content,) = _contents([Event(user, item, time, kind, value, list_id)], chunk=1)
    return _events(content, idempotency_key or uuid4().hex)


def add_events(events: Iterable[Event], *, chunk: int = 500, idempotency_key: str | None = None) -> Calls[EventReceipt]:
    """Store events, in requests of at most `chunk` events; each request stores all of its events or none.

    Events may come from an iterator, which is read as they are sent. If a request fails, those before it are stored; all events
    may be sent again, since an event with the same user, item, time and kind is stored once.

    Args:
        events: events in any order. Those without a time get the time of sending, once: a retry sends the same time.
        chunk: largest number of events in a request; the service takes up to 1,000 by default.
        idempotency_key: unique key of these events, to send them again after a restart of the caller; random if omitted. Sent
            again with the same key, they must be the same events in the same order, each with a time.

    Raises:
        ConfigError: `chunk` is below 1.
    """
    if chunk < 1:
        raise ConfigError(f"chunk: at least 1, not {chunk}")
    key = idempotency_key or uuid4().hex
    calls = (_events(content, f"{key}-{number}") for number, content in enumerate(_contents(events, chunk)))
    return Calls(calls, _total)


def _events(content: bytes, key: str) -> Call[EventReceipt]:
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"idempotency_key: printable ASCII was expected, not {key[:40]!r}")
    return Call(
        method="POST",
        route="/v1/events",
        read=read_as(EventReceipt),
        content=content,
        headers={"idempotency-key": key},
        repeatable=True,
    )


def _contents(events: Iterable[Event], chunk: int) -> Iterator[bytes]:
    """Bodies with at most so many events, and at most `_BYTES` of them unless one event alone is larger."""
    waiting: list[bytes] = []
    size = 0
    for event in events:
        timed = event if event.time is not None else replace(event, time=int(time.time()))
        one = encoded(timed)
        if waiting and (len(waiting) == chunk or size + len(one) > _BYTES):
            yield b'{"events":[' + b",".join(waiting) + b"]}"
            waiting, size = [], 0
        waiting.append(one)
        size += len(one) + 1
    if waiting:
        yield b'{"events":[' + b",".join(waiting) + b"]}"


def _total(receipts: list[EventReceipt]) -> EventReceipt:
    return EventReceipt(
        accepted=sum(one.accepted for one in receipts),
        duplicates=sum(one.duplicates for one in receipts),
        replayed=bool(receipts) and all(one.replayed for one in receipts),
    )


def user(user: str) -> Call[StoredUser]:
    """All stored data of a user, with the user's events, oldest first."""
    route = "/v1/users/{user}"
    return Call(method="GET", route=route, read=read_as(StoredUser), values={"user": user}, repeatable=True)


def erase_user(user: str) -> Call[ErasedUser]:
    """Delete all stored data of a user. Not sent again if a response is lost, since the number of events would be wrong."""
    return Call(method="DELETE", route="/v1/users/{user}", read=read_as(ErasedUser), values={"user": user})


def items(
    q: str = "", *, limit: int = 20, model: str | None = None, item: Sequence[str] = ()
) -> Call[tuple[Item, ...]]:
    """Items by title or id, best first; the most popular ones for an empty text.

    Args:
        q: words of a title in any order, of which the last may be incomplete, or an id.
        limit: maximum number of items.
        model: name of a model in service; the default model if omitted.
        item: ids of the only items to return, in this order, instead of a search; unknown ids are left out.

    Raises:
        ConfigError: `item` is a text.
    """
    if isinstance(item, str):
        raise ConfigError(f"item: a list was expected, not {item[:40]!r}")
    query = {"q": q, "limit": limit, "model": model, "item": list(item)}
    return Call(method="GET", route="/v1/items", read=read_as(tuple[Item, ...], "items"), query=query, repeatable=True)


def similar(item: str, *, limit: int = 10, model: str | None = None) -> Call[tuple[Item, ...]]:
    """Items that are similar to an item, the most similar first.

    Args:
        item: external id of the item.
        limit: maximum number of items.
        model: name of a model in service; the default model if omitted.
    """
    return Call(
        method="GET",
        route="/v1/items/{item}/similar",
        read=read_as(tuple[Item, ...], "items"),
        values={"item": item},
        query={"limit": limit, "model": model},
        repeatable=True,
    )


def health() -> Call[Mapping[str, str]]:
    """That the process is running: `{"status": "ok"}`. No key is needed."""
    return Call(method="GET", route="/healthz", read=read_as(Mapping[str, str]), repeatable=True)


def ready() -> Call[Readiness]:
    """Whether a model is in service and the event store answers; true if both hold. No key is needed."""
    read = read_as(Readiness)
    return Call(method="GET", route="/readyz", read=read, repeatable=True, accepted=(200, 503))


def metrics() -> Call[str]:
    """The metrics of the service, in the text format of Prometheus."""
    return Call(method="GET", route="/metrics", read=as_text, repeatable=True)
