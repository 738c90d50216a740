"""Resolution of one user's history from ids and titles to item indices, for the command line and the service.

Events are sorted by time, repeated items are treated as in the training log of the model, and ids that are not in the catalog
are returned. One history therefore gives the same list from the command line and from the service.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foldin.data.catalog import Catalog
from foldin.data.histories import Histories
from foldin.data.log.options import REPEATS
from foldin.errors import DataError, ShapeError

__all__ = ["ResolvedHistory", "repeats_of", "resolve_history"]


@dataclass(frozen=True)
class ResolvedHistory:
    """A history in the indices of a catalog.

    Args:
        items: item indices, oldest first; each item once, or once for each kind of event.
        times: seconds since 1970 of these events, never decreasing; None for a history without times.
        unknown: ids that are not in the catalog, each once, in the order of the input.
    """

    items: tuple[int, ...]
    times: tuple[int, ...] | None
    unknown: tuple[str, ...]

    def histories(self, n_items: int) -> Histories:
        """The history as a batch of one user."""
        return Histories(
            items=np.array(self.items, dtype=np.int32),
            offsets=np.array([0, len(self.items)], dtype=np.int64),
            n_items=n_items,
            times=None if self.times is None else np.array(self.times, dtype=np.int64),
        )


def repeats_of(info: Mapping[str, Any]) -> str:
    """Which repeated events the training log of a run kept, one of `REPEATS`, from the content of its `run.json`."""
    return str((info.get("source") or {}).get("repeats", "first"))


def resolve_history(
    catalog: Catalog,
    ids: Sequence[str],
    *,
    titles: Sequence[str] = (),
    times: Sequence[int] | None = None,
    kinds: Sequence[str] | None = None,
    repeats: str = "first",
) -> ResolvedHistory:
    """A history as item indices: items of the catalog only, oldest first, each once or once for each kind of event.

    Args:
        catalog: catalog of the model.
        ids: external ids, oldest first.
        titles: titles of further items, which follow `ids`.
        times: seconds since 1970 of all these events, by which they are sorted; events of equal time keep their order.
        kinds: kinds of the events in `ids`; None if all are of one kind.
        repeats: which of several events with one item is kept: the `first`, the `last`, or the `first-of-kind`; see `repeats_of`.

    Raises:
        UnknownItemError: a title is not in the catalog.
        ShapeError: the number of times or kinds differs from the number of events.
        DataError: unknown `repeats`.
    """
    if repeats not in REPEATS:
        raise DataError(f"repeats must be one of {', '.join(map(repr, REPEATS))}, not {repeats!r}")
    places = catalog.places(ids)
    unknown = dict.fromkeys(one for one, at in zip(ids, places, strict=True) if at is None)
    events = [*places, *(catalog.find_title(title) for title in titles)]
    if kinds is not None and len(kinds) != len(ids):
        raise ShapeError(f"history: {len(ids)} events came with {len(kinds)} kinds; each event needs one")
    by_kind = kinds is not None and repeats == "first-of-kind"
    named = [*(kinds if kinds is not None and by_kind else [""] * len(ids)), *[""] * len(titles)]
    if times is not None:
        if len(times) != len(events):
            raise ShapeError(f"history: {len(events)} events came with {len(times)} times; each event needs one")
        order = sorted(range(len(events)), key=times.__getitem__)
        events, times, named = [events[at] for at in order], [times[at] for at in order], [named[at] for at in order]
    # (item, kind) → which event of the history counts, in the order in which they are entered
    kept: dict[tuple[int, str], int] = {}
    for at, (item, kind) in enumerate(zip(events, named, strict=True)):
        if item is None:
            continue
        if repeats == "last":
            kept.pop((item, kind), None)
        kept.setdefault((item, kind), at)
    return ResolvedHistory(
        items=tuple(item for item, _ in kept),
        times=None if times is None else tuple(times[at] for at in kept.values()),
        unknown=tuple(unknown),
    )
