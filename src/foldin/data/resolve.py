"""Resolution of one user's history from ids and titles to item indices, for the command line and the service.

Events are sorted by time, repeated items are treated as in the training log of the model, and ids that are not in the catalog
are returned. One history therefore gives the same list from the command line and from the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from foldin.data.catalog import Catalog
from foldin.data.histories import Histories
from foldin.data.log.options import REPEATS
from foldin.data.weighting import EventWeights, sides
from foldin.errors import DataError, ShapeError

__all__ = ["ResolvedHistory", "disliked", "repeats_of", "resolve_history", "weighting_of"]


@dataclass(frozen=True)
class ResolvedHistory:
    """A history in the indices of a catalog.

    Args:
        items: item indices, oldest first; each item once, once for each kind of event, or as often as it was taken.
        times: seconds since 1970 of these events, never decreasing; None for a history without times.
        unknown: ids that are not in the catalog, each once, in the order of the input.
        weights: weight of each of these events; None if all are 1.
        dislikes: items that the user dislikes, which are not among `items`.
        strengths: weight of each of the dislikes.
    """

    items: tuple[int, ...]
    times: tuple[int, ...] | None
    unknown: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    dislikes: tuple[int, ...] = ()
    strengths: tuple[float, ...] = ()

    def histories(self, n_items: int) -> Histories:
        """The history as a batch of one user."""
        return Histories(
            items=np.array(self.items, dtype=np.int32),
            offsets=np.array([0, len(self.items)], dtype=np.int64),
            n_items=n_items,
            times=None if self.times is None else np.array(self.times, dtype=np.int64),
            weights=None if self.weights is None else np.array(self.weights, dtype=np.float32),
            dislikes=disliked([self.dislikes], [self.strengths], n_items),
        )


def disliked(items: Sequence[Sequence[int]], strengths: Sequence[Sequence[float]], n_items: int) -> Histories | None:
    """Dislikes of some users, each with its weight; None if there are none."""
    if not any(items):
        return None
    weights = np.array([weight for one in strengths for weight in one], dtype=np.float32)
    return replace(Histories.from_lists(items, n_items), weights=weights)


def repeats_of(info: Mapping[str, Any]) -> str:
    """Which repeated events the training log of a run kept, one of `REPEATS`, from the content of its `run.json`."""
    stored = _reading(info)
    repeats = str(stored.get("repeats", "first"))
    return "first-of-kind" if stored.get("weights") and repeats == "first" else repeats


def weighting_of(info: Mapping[str, Any]) -> EventWeights | None:
    """The rule by which events of a user count for a run, from the content of its `run.json`; None if all count alike.

    A run whose log was read with a minimum rating alone stores no weights, since its training data had none: its rule leaves out
    the events with a value below the minimum.

    Raises:
        DataError: the stored weights are not what a run stores.
    """
    stored, least = EventWeights.from_dict(info.get("weights")), _reading(info).get("min_rating")
    return EventWeights(min_rating=least) if stored is None and least is not None else stored


def _reading(info: Mapping[str, Any]) -> dict[str, Any]:
    """How the log of a run was read; runs of the first versions have it in their source alone."""
    return {**(info.get("source") or {}), **(info.get("reading") or {})}


def resolve_history(
    catalog: Catalog,
    ids: Sequence[str],
    *,
    titles: Sequence[str] = (),
    times: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
    values: Sequence[float | None] | None = None,
    repeats: str = "first",
    weighting: EventWeights | None = None,
) -> ResolvedHistory:
    """A history as item indices: items of the catalog only, oldest first, as often as `repeats` says.

    Args:
        catalog: catalog of the model.
        ids: external ids, oldest first.
        titles: titles of further items, which follow `ids`.
        times: seconds since 1970 of all these events, by which they are sorted; events of equal time keep their order.
        kinds: kinds of the events in `ids`; None if all are of one kind.
        values: values of the events in `ids`, such as ratings, None for an event without one; they matter for dislikes and for a
            minimum rating, below which an event is left out before repeats are. One without a value counts.
        repeats: which of several events with one item is kept: the `first`, the `last`, the `first-of-kind`, or all (`keep`); see
            `repeats_of`.
        weighting: the rule by which events were weighted or left out in training, see `weighting_of`; None if all count alike.

    Raises:
        UnknownItemError: a title is not in the catalog.
        ShapeError: the number of times, kinds or values differs from the number of events.
        DataError: unknown `repeats`.
    """
    _check(len(ids), kinds, values, repeats)
    places = catalog.places(ids)
    unknown = dict.fromkeys(one for one, at in zip(ids, places, strict=True) if at is None) if None in places else {}
    if weighting is not None and values is not None:
        places = weighting.rated(places, values)
    weighs = weighting is not None and weighting.weighs
    if times is None and not (weighs or titles) and repeats == "first":  # the order alone matters
        return ResolvedHistory(tuple(at for at in dict.fromkeys(places) if at is not None), None, tuple(unknown))
    events = [*places, *(catalog.find_title(title) for title in titles)]
    named = _named(kinds, len(ids), len(events), repeats)
    order: Sequence[int] = range(len(events))
    if times is not None:
        if len(times) != len(events):
            raise ShapeError(f"history: {len(events)} events came with {len(times)} times; each event needs one")
        order = sorted(order, key=times.__getitem__)
        events, times, named = [events[at] for at in order], [times[at] for at in order], [named[at] for at in order]
    kept = _kept(events, named, repeats)
    found = ResolvedHistory(
        items=tuple(item for item, _ in kept),
        times=None if times is None else tuple(times[at] for at in kept.values()),
        unknown=tuple(unknown),
    )
    if weighting is None or not weighs or not kept:
        return found
    given = [order[at] for at in kept.values()]
    return _weighted(found, weighting, _at(kinds, given, ""), _at(values, given, None), len(catalog))


def _check(of_ids: int, kinds: Sequence[str] | None, values: Sequence[float | None] | None, repeats: str) -> None:
    if repeats not in REPEATS:
        raise DataError(f"repeats must be one of {', '.join(map(repr, REPEATS))}, not {repeats!r}")
    for what, beside in (("kinds", kinds), ("values", values)):
        if beside is not None and len(beside) != of_ids:
            raise ShapeError(f"history: {of_ids} events came with {len(beside)} {what}; each event needs one")


def _named(kinds: Sequence[str] | None, of_ids: int, events: int, repeats: str) -> list[str]:
    """What tells an event from others with its item: its kind or its number, if these make it no repeat."""
    if repeats == "keep":
        return [str(at) for at in range(events)]
    named = kinds if kinds is not None and repeats == "first-of-kind" else [""] * of_ids
    return [*named, *[""] * (events - of_ids)]


def _kept(events: Sequence[int | None], named: Sequence[str], repeats: str) -> dict[tuple[int, str], int]:
    """(item, kind, or number of the event) → which event of the history counts, in the order in which they are entered."""
    kept: dict[tuple[int, str], int] = {}
    for at, (item, kind) in enumerate(zip(events, named, strict=True)):
        if item is None:
            continue
        if repeats == "last":
            kept.pop((item, kind), None)
        kept.setdefault((item, kind), at)
    return kept


def _at(beside: Sequence[Any] | None, places: Sequence[int], default: Any) -> list[Any] | None:
    """What some events have, the last ones being titles, which have nothing."""
    return None if beside is None else [beside[at] if at < len(beside) else default for at in places]


def _weighted(
    found: ResolvedHistory,
    weighting: EventWeights,
    kinds: Sequence[str] | None,
    values: Sequence[float | None] | None,
    n_items: int,
) -> ResolvedHistory:
    """The history with its weights, and its dislikes apart."""
    histories = found.histories(n_items)
    of_kinds = None if kinds is None else np.array([weighting.kinds.get(kind, 1.0) for kind in kinds])
    numbers = None if values is None else np.array(values, dtype=np.float32)  # None becomes NaN
    signed = weighting.signed(of_kinds, numbers, histories.times, histories.n_events)
    likes, dislikes = (np.flatnonzero(side).tolist() for side in sides(histories, signed))
    weights = tuple(signed[likes].tolist())
    return replace(
        found,
        items=tuple(found.items[at] for at in likes),
        times=None if found.times is None else tuple(found.times[at] for at in likes),
        weights=None if all(one == 1.0 for one in weights) else weights,
        dislikes=tuple(found.items[at] for at in dislikes),
        strengths=tuple((-signed[dislikes]).tolist()),
    )
