"""Encoded events in the order of a file → `Histories`: users together, each user's events in order, repeats dropped."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from foldin.data.histories import Histories
from foldin.data.order import one_of_each, stable_argsort
from foldin.tensors import Array, Bool, Float32, Int32, Int64, UInt8

__all__ = ["Events", "arranged", "repeats_text"]


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
    users, items = events.users, events.items
    with ThreadPoolExecutor(2) as pool:  # both jobs are NumPy sorts, which release the interpreter lock
        pairs = pool.submit(lambda: repeats != "keep" and _has_repeats(users, items, n_items))
        order = pool.submit(lambda: _order(users, events.keys)).result()
        repeated = pairs.result()
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    histories = Histories(
        items=items[order],
        offsets=offsets,
        n_items=n_items,
        times=None if events.times is None else events.times[order],
        kinds=None if events.kinds is None else events.kinds[order],
        values=None if events.values is None else events.values[order],
    )
    if not repeated:
        return histories, 0
    kept = _kept_of_repeats(histories, repeats)
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


def _order(users: Array, keys: Array | None) -> Array:
    """Events by user, then by key, then as in the file."""
    if keys is None or (keys[1:] >= keys[:-1]).all():
        return stable_argsort(users)
    by_key = stable_argsort(keys)
    return by_key[stable_argsort(users[by_key])]


def _has_repeats(users: Array, items: Array, n_items: int) -> bool:
    pairs = users.astype(np.int64)
    pairs *= n_items
    pairs += items
    pairs.sort()
    return bool((pairs[1:] == pairs[:-1]).any())


def _kept_of_repeats(histories: Histories, repeats: str) -> Bool[Array, " events"]:
    """Mask of the events that are kept if a user has several with one item."""
    keys = histories.pair_keys()
    if repeats == "first-of-kind" and histories.kinds is not None:
        return one_of_each(keys * 256 + histories.kinds)
    return one_of_each(keys, last=repeats == "last")
