"""One user's history, from what somebody writes down to what a model reads: for the command line and the service alike.

Ids and titles become item indices, events are put in the order of their times, repeats are treated as in the log that the
model was trained on, and ids that the catalog does not have are handed back. So one history gives one list, whatever the way in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foldin.data.catalog import Catalog
from foldin.data.histories import Histories
from foldin.errors import DataError, ShapeError

__all__ = ["ResolvedHistory", "repeats_of", "resolve_history"]


@dataclass(frozen=True)
class ResolvedHistory:
    """A history in the indices of a catalog.

    Args:
        items: item indices, oldest first; each item once.
        times: seconds since 1970 of these events, never falling; None where the history came without times.
        unknown: ids that the catalog does not have, each once, in the order in which they came.
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
    """Which event the log of a run kept of one user with one item, `first` or `last`, from the content of its `run.json`."""
    return str((info.get("source") or {}).get("repeats", "first"))


def resolve_history(
    catalog: Catalog,
    ids: Sequence[str],
    *,
    titles: Sequence[str] = (),
    times: Sequence[int] | None = None,
    repeats: str = "first",
) -> ResolvedHistory:
    """A history in indices: known items only, oldest first, each once.

    Args:
        catalog: the items that the model knows.
        ids: external ids, oldest first.
        titles: titles of further items, after those.
        times: seconds since 1970 of all these events; they decide the order, and events of one time stay in theirs.
        repeats: of the events with one item, the `first` or the `last` counts; see `repeats_of`.

    Raises:
        UnknownItemError: a title that the catalog does not have.
        ShapeError: another number of times than of events.
        DataError: `repeats` is neither of the two.
    """
    if repeats not in ("first", "last"):
        raise DataError(f"repeats must be 'first' or 'last', not {repeats!r}")
    places = catalog.places(ids)
    unknown = dict.fromkeys(one for one, at in zip(ids, places, strict=True) if at is None)
    events = [*places, *(catalog.find_title(title) for title in titles)]
    if times is not None:
        if len(times) != len(events):
            raise ShapeError(f"history: {len(events)} events came with {len(times)} times; each event needs one")
        order = sorted(range(len(events)), key=times.__getitem__)
        events, times = [events[at] for at in order], [times[at] for at in order]
    kept: dict[int, int] = {}  # item → which event of the history counts, in the order in which the items are entered
    for at, item in enumerate(events):
        if item is None:
            continue
        if repeats == "last":
            kept.pop(item, None)
        kept.setdefault(item, at)
    return ResolvedHistory(
        items=tuple(kept),
        times=None if times is None else tuple(times[at] for at in kept.values()),
        unknown=tuple(unknown),
    )
