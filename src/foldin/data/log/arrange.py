"""Encoded events in the order of a file → `Histories`: users together, each user's events in order, repeats dropped."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from foldin.data.histories import Histories
from foldin.data.history_arrays import BESIDE
from foldin.data.order import one_of_each, stable_argsort
from foldin.data.parts import user_ranges
from foldin.tensors import Array, Bool, Float32, Int32, Int64, UInt8

__all__ = ["Events", "arranged", "repeats_text"]

_CACHED = 1 << 17  # events that are compared in the processor's cache


class Events(NamedTuple):
    """Encoded events in the order of a file: one entry for each event; None for what the log lacks."""

    users: Int32[Array, " n"]
    items: Int32[Array, " n"]
    keys: Int64[Array, " n"] | None = None  # that sort a user's events
    times: Int64[Array, " n"] | None = None
    kinds: UInt8[Array, " n"] | None = None
    values: Float32[Array, " n"] | None = None


def arranged(events: Events, counts: Int64[Array, " users"], n_items: int, repeats: str) -> tuple[Histories, int]:
    """(histories of all users, number of repeated events that were dropped).

    Args:
        counts: number of events of each user.
        repeats: one of `REPEATS`.
    """
    users, items, keys = events.users, events.items, events.keys
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    order, sorted_keys = _order(users, keys, offsets)
    beside: dict[str, Any] = {
        name: sorted_keys if one is keys else np.take(one, order)
        for name in BESIDE
        if (one := getattr(events, name, None)) is not None
    }
    histories = Histories(items=np.take(items, order), offsets=offsets, n_items=n_items, **beside)
    if repeats == "keep" or (kept := _kept_of_repeats(histories, repeats)).all():
        return histories, 0
    return histories.where(kept), int((~kept).sum())


def repeats_text(repeats: str, kinds: int) -> str:
    """Why repeated events are dropped, for the report.

    Args:
        kinds: number of kinds of events; 0 for a log without kinds.
    """
    if repeats == "first-of-kind" and kinds:
        return "repeated events of a user with an item (the first of each kind is kept)"
    hint = "; --repeats first-of-kind keeps one of each kind" if kinds > 1 else ""
    return f"repeated events of a user with an item (the {'last' if repeats == 'last' else 'first'} is kept{hint})"


def _order(users: Array, keys: Array | None, offsets: Array) -> tuple[Array, Array | None]:
    """(events by user, then by key, then as in the file; the keys in this order)."""
    order = stable_argsort(users)
    if keys is None:
        return order, None
    sorted_keys = np.take(keys, order)
    if not _ascending(sorted_keys, offsets):
        del order, sorted_keys  # as large as what follows
        order = stable_argsort(keys)
        order = order[stable_argsort(users[order])]
        sorted_keys = np.take(keys, order)
    return order, sorted_keys


def _ascending(keys: Array, offsets: Array) -> bool:
    """Whether the keys of each user's events ascend."""
    ascending = keys[1:] >= keys[:-1]
    first = offsets[(offsets > 0) & (offsets < len(keys))]
    ascending[first - 1] = True
    return bool(ascending.all())


def _kept_of_repeats(histories: Histories, repeats: str) -> Bool[Array, " events"]:
    """Mask of the events that are kept if a user has several with one item."""
    kept = np.empty(histories.n_events, dtype=bool)

    def of_users(first: int, last: int) -> None:
        part = histories.rows(first, last)
        keys = part.pair_keys()
        if repeats == "first-of-kind" and part.kinds is not None:
            keys = keys * 256 + part.kinds
        kept[histories.offsets[first] : histories.offsets[last]] = one_of_each(keys, last=repeats == "last")

    with ThreadPoolExecutor(2) as pool:  # NumPy sorts release the interpreter lock
        list(pool.map(lambda users: of_users(*users), user_ranges(histories.offsets, _CACHED)))
    return kept
