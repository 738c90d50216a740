"""Answers from a list for all users, where a model knows nothing about the user or cannot answer."""

from collections.abc import Iterator, Sequence

from foldin.errors import ConfigError, OverloadedError
from foldin.serve.engine.new_items import admitted, bare_hit
from foldin.serve.engine.routing import GivenHistory, RoutedRequest
from foldin.serve.schemas import Fallback, Hit, Recommendations, RecommendRequest
from foldin.serve.storage.item_lists import ListedItem
from foldin.serve.storage.items import ItemRow, ItemsState

__all__ = ["fallback_answer", "fallback_hits", "is_bare", "unanswered", "why_empty", "why_not"]

_NOT_COMPUTED = "it is not computed yet"
_EMPTY = {
    "popular": "no item was taken in the last 30 days",
    "trending": "no item was taken on the last day",
    "recent": "no item was sent",
}


def is_bare(request: RecommendRequest) -> bool:
    """Whether a request can be answered without the catalog of a model: it has neither a filter nor rules."""
    return not request.filter and request.rules is None


def why_empty(name: Fallback, *, is_computed: bool) -> str:
    """Why a list for all users is empty, as a clause."""
    return _EMPTY[name] if is_computed else _NOT_COMPUTED


def why_not(
    request: RecommendRequest, routed: RoutedRequest | None, *, is_computed: bool, is_empty: bool
) -> str | None:
    """Why the list that a request names did not answer it; None if it names none.

    Args:
        request: the request.
        routed: the request with its model; None if none can answer.
        is_computed: whether the list was ever computed.
        is_empty: whether it has no item at all.
    """
    name = request.fallback
    if name is None:
        return None
    if routed is None and not is_bare(request):
        why = "without a model there is no catalog to evaluate a filter or rules on"
    else:
        why = why_empty(name, is_computed=is_computed) if is_empty else "it has no item that the request admits"
    return f"the list {name!r} did not answer: {why}"


def unanswered(error: ConfigError | OverloadedError, why: str | None) -> ConfigError | OverloadedError:
    """The error of a request that no model can answer, with the reason why no list does; the error itself without a reason."""
    return error if why is None else type(error)(f"{error}; {why}")


def fallback_hits(
    name: Fallback,
    entries: Sequence[ListedItem],
    request: RecommendRequest,
    history: GivenHistory,
    routed: RoutedRequest | None,
    state: ItemsState,
) -> list[Hit]:
    """The entries of a list for all users that a request admits, at most as many as it asks for.

    With a model, these are items of its catalog, or new ones, that pass the request's filter; rules do not apply. Without, they
    are those that `allow` and `deny` leave. Retired items are not listed, nor, unless the request says otherwise, what the user
    has taken.

    Args:
        name: name of the list.
        entries: the list, best first.
        request: the request.
        history: the events that the request is based on.
        routed: the request with its model; None if none can answer.
        state: the items that were sent.
    """
    titles = _of_model(entries, request, history, routed) if routed else _of_all(entries, request, history, state)
    hits: list[Hit] = []
    for item, title in titles:
        hits.append(bare_hit(len(hits) + 1, item, title, name))
        if len(hits) == request.k:
            break
    return hits


def fallback_answer(
    name: Fallback, hits: list[Hit], request: RecommendRequest, routed: RoutedRequest | None, list_id: str
) -> Recommendations:
    """A list for all users in the form of the API."""
    return {
        "list_id": list_id,
        "model": None if routed is None else routed.deployment.name,
        "run": None if routed is None else routed.deployment.digest,
        "source": name,
        "user": request.user,
        "known_events": 0 if routed is None else len(routed.resolved.history),
        "unknown_items": [] if routed is None else routed.unknown,
        "effect_unit": "score",
        "prior": False,
        "price": None,
        "fallback_note": None,
        "items": hits,
    }


def _of_model(
    entries: Sequence[ListedItem], request: RecommendRequest, history: GivenHistory, routed: RoutedRequest
) -> Iterator[tuple[str, str]]:
    """(id, title) of the admitted entries, as a model's catalog has them, or among the new items."""
    view, barred = routed.deployment.view, routed.resolved.barred
    taken = history.items if routed.resolved.exclude_seen else ()
    fresh, seen = admitted(view, request, taken), set(routed.resolved.seen)
    new = {} if fresh is None else fresh.titles
    for one in entries:
        (at,) = view.base.places([one.item])
        if at is None:
            if one.item in new:
                yield one.item, new[one.item]
        elif at not in seen and (barred is None or not barred[at]):
            yield one.item, view.catalog.titles[at]


def _of_all(
    entries: Sequence[ListedItem], request: RecommendRequest, history: GivenHistory, state: ItemsState
) -> Iterator[tuple[str, str]]:
    """(id, title) of the admitted entries without a model's catalog; the title of an item that was never sent is its id."""
    allowed = None if request.allow is None else set(request.allow)
    barred = {*(request.deny or ()), *(() if request.exclude_seen is False else history.items)}
    for one in entries:
        row = state.rows.get(one.item) or ItemRow(item=one.item)
        if row.is_active is not False and one.item not in barred and (allowed is None or one.item in allowed):
            yield one.item, row.title or one.item
