"""Histories, the batch type of all models: for each user, item indices in the order of time.

`history_arrays.py` has the arrays, their checks, and what is read from them; here is what makes histories, of lists and of other
histories.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse

from foldin.data.feature_rows import stacked_rows
from foldin.data.history_arrays import BESIDE, HistoryArrays
from foldin.data.indices import Indices, check_indices, count_of, gather_ranges, history_of
from foldin.data.order import one_of_each
from foldin.data.parts import JoinedArrays, many, user_ranges
from foldin.errors import ShapeError
from foldin.tensors import Array, Bool, Int64

__all__ = ["Histories"]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True, repr=False)
class Histories(HistoryArrays):
    """The events of `len(self)` users, oldest first.

    Args:
        items: item indices of all users, one user after another; each in `[0, n_items)`.
        offsets: position in `items` where each user begins, and the end of the last user; starts at 0 and never decreases.
        n_items: size of the catalog.
        times: seconds since 1970 of each event, or None when the log has no times.
        kinds: code of the kind of each event (a view, a purchase, …), or None if events have no kinds; `EventLog.kinds`
            has the names.
        values: value of each event (a rating, a number of plays), NaN for an event without one, or None. Neither kinds nor
            values change the weight of an event; `EventWeights` decides that.
        weights: positive weight of each event as evidence, or None if every event has the weight 1.
        dislikes: for the same users, the events with items that they dislike, with the strength of each dislike as its weight, or
            None if there are none. They are not among `items`, and are never listed.
        user_features: a row of features for each user, users × columns in float32 (`Features.transform`), or None if they are
            unknown.

    Raises:
        ShapeError: the arrays have the wrong type or length, an item index is out of range, or the dislikes or features are those
            of another number of users or over another catalog.
    """

    @classmethod
    def from_lists(cls, lists: Iterable[Any], n_items: int) -> "Histories":
        """Histories of the given item indices: a list or an array of whole numbers for each user, oldest first.

        Raises:
            ShapeError: an entry is not a whole number, an index is out of range, or `lists` is a single history; the message
                gives the history.
        """
        count_of(n_items, "n_items", least=0)
        if isinstance(lists, str | bytes) or not isinstance(lists, Iterable):
            raise ShapeError(f"histories: a list of lists of item indices was expected, not {lists!r}")
        rows = list(lists)
        arrays = [history_of(one, f"history {at}") for at, one in enumerate(rows)]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(one) for one in arrays], out=offsets[1:])
        items = np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64)
        if len(items) and (items.min() < 0 or items.max() >= n_items):  # before they are cast to 32 bits
            for at, one in enumerate(arrays):
                check_indices(one, n_items, f"history {at}")
        return cls(items=items.astype(np.int32), offsets=offsets, n_items=n_items)

    @classmethod
    def empty(cls, users: int, n_items: int) -> "Histories":
        """Histories of `users` users without events."""
        count_of(users, "users", least=0)
        return cls(items=np.empty(0, np.int32), offsets=np.zeros(users + 1, np.int64), n_items=n_items)

    def counts(self) -> Int64[Array, " items"]:
        """Number of events of each item."""
        found = np.zeros(self.n_items, dtype=np.int64)
        for part in self.parts():
            found += np.bincount(part.items, minlength=self.n_items)
        return found

    def parts(self) -> Iterator["Histories"]:
        """These histories, some users at a time where the events are on disk; each part shares memory with them."""
        if not self.on_disk:
            yield self
            return
        for first, last in user_ranges(self.offsets):
            yield self.rows(first, last)

    def by_parts(self, change: Callable[["Histories"], "Histories"]) -> "Histories":
        """`change` of these histories, one part after another where the events are on disk.

        Args:
            change: gives histories of the same users, in which no user depends on another.
        """
        if not self.on_disk:
            return change(self)
        return Histories.joined(map(change, self.parts()))

    @classmethod
    def joined(cls, parts: Iterable["Histories"]) -> "Histories":
        """The users of one part after another: on disk, unless there is a single part.

        Raises:
            ShapeError: no parts, or parts of different catalogs.
        """
        joined, n_items = JoinedArrays(), -1
        dislikes: list[Histories] = []
        features: list[scipy.sparse.csr_array | None] = []
        for part in parts:
            if n_items not in (-1, part.n_items):
                raise ShapeError(f"cannot join parts over {n_items} and over {part.n_items} items")
            n_items = part.n_items
            joined.append(part.lengths, part.arrays())
            dislikes.append(part.dislikes if part.dislikes is not None else cls.empty(len(part), n_items))
            features.append(part.user_features)
        if n_items < 0:
            raise ShapeError("there are no parts to join")
        disliked = cls.joined(dislikes) if any(one.n_events for one in dislikes) else None
        return cls(n_items=n_items, dislikes=disliked, user_features=stacked_rows(features), **joined.arrays())

    def rows(self, start: int, stop: int) -> "Histories":
        """Users `start` to `stop` (exclusive, as in a slice), sharing memory with these histories.

        Raises:
            ShapeError: `start` is out of range or above `stop`.
        """
        if not 0 <= start <= min(stop, len(self)):
            raise ShapeError(f"rows {start} to {stop}: there are histories of {len(self)} users, counted from 0")
        first, last = self.offsets[start], self.offsets[min(stop, len(self))]
        return Histories(
            items=self.items[first:last],
            offsets=self.offsets[start : min(stop, len(self)) + 1] - first,
            n_items=self.n_items,
            dislikes=None if self.dislikes is None else self.dislikes.rows(start, stop),
            user_features=None if self.user_features is None else self.user_features[start:stop],
            **self._beside(slice(first, last)),
        )

    def select(self, users: Indices) -> "Histories":
        """The users at the given indices, in that order, or those where a mask is true; a copy.

        Raises:
            ShapeError: an index out of range, or a mask of another size.
        """
        users = check_indices(users, len(self), "users", "user")
        lengths = self.lengths[users]
        if self.on_disk and len(users) > 1 and many(int(lengths.sum())):
            ranges = user_ranges(np.concatenate(([0], np.cumsum(lengths))))
            return Histories.joined(self.select(users[first:last]) for first, last in ranges)
        offsets = np.zeros(len(users) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        at = gather_ranges(self.offsets[:-1][users], lengths)
        return Histories(
            items=self.items[at],
            offsets=offsets,
            n_items=self.n_items,
            dislikes=None if self.dislikes is None else self.dislikes.select(users),
            user_features=None if self.user_features is None else self.user_features[users],
            **self._beside(at),
        )

    def where(self, keep: Bool[Array, " events"]) -> "Histories":
        """The same users with only the events where the mask is true, and all dislikes; a copy.

        Raises:
            ShapeError: not a boolean array with an entry for each event.
        """
        if keep.dtype != np.bool_ or keep.shape != self.items.shape:
            raise ShapeError(
                f"a mask with an entry for each of the {self.n_events:,} events was expected, not {keep.dtype} of the shape "
                f"{keep.shape}"
            )
        if self.on_disk:
            ranges = user_ranges(self.offsets)
            return Histories.joined(self.rows(a, b).where(keep[self.offsets[a] : self.offsets[b]]) for a, b in ranges)
        before = np.concatenate(([0], np.cumsum(keep, dtype=np.int64)))
        return Histories(
            items=self.items[keep],
            offsets=before[self.offsets],
            n_items=self.n_items,
            dislikes=self.dislikes,
            user_features=self.user_features,
            **self._beside(keep),
        )

    def reindex(self, new: Int64[Array, " items"], n_items: int) -> "Histories":
        """The same users in another catalog: item `i` becomes `new[i]`; events with `new[i] < 0` are dropped.

        Raises:
            ShapeError: `new` has another size, other values than whole numbers, or an index outside the new catalog.
        """
        if new.dtype.kind != "i" or new.shape != (self.n_items,):
            raise ShapeError(
                f"an index for each of the {self.n_items:,} items was expected, not {new.dtype} of the shape {new.shape}"
            )
        if len(new) and new.max() >= n_items:
            raise ShapeError(f"item indices must be below {n_items}, met {new.max()}")

        def changed(part: "Histories") -> "Histories":
            kept = part.where(new[part.items] >= 0)
            dislikes = None if part.dislikes is None else part.dislikes.reindex(new, n_items)
            return replace(kept, items=new[kept.items].astype(np.int32), n_items=n_items, dislikes=dislikes)

        return self.by_parts(changed)

    def followed_by(self, later: "Histories") -> "Histories":
        """Each user's events followed by the same user's events in `later`; with times, kinds and values if both have them.

        Weights, dislikes and features of the users are kept if either has them.

        Raises:
            ShapeError: another number of users or items.
        """
        if len(self) != len(later) or self.n_items != later.n_items:
            raise ShapeError(
                f"cannot join histories of {len(self)} users over {self.n_items} items "
                f"with {len(later)} users over {later.n_items} items"
            )
        order = np.argsort(np.concatenate((self.users(), later.users())), kind="stable")
        beside: dict[str, Any] = {}
        for name in BESIDE:
            first, second = getattr(self, name), getattr(later, name)
            if name == "weights" and (first is None) != (second is None):
                first, second = (
                    np.ones(h.n_events, np.float32) if h.weights is None else h.weights for h in (self, later)
                )
            if first is not None and second is not None:
                beside[name] = np.concatenate((first, second))[order]
        dislikes = [one.dislikes for one in (self, later) if one.dislikes is not None]
        return Histories(
            items=np.concatenate((self.items, later.items))[order],
            offsets=self.offsets + later.offsets,
            n_items=self.n_items,
            dislikes=dislikes[0].followed_by(dislikes[1]) if len(dislikes) == 2 else next(iter(dislikes), None),
            user_features=later.user_features if self.user_features is None else self.user_features,
            **beside,
        )

    def without(self, other: "Histories") -> "Histories":
        """The events with items that the same user does not have in `other`; a copy.

        Raises:
            ShapeError: another number of users or items.
        """
        if len(self) != len(other) or self.n_items != other.n_items:
            raise ShapeError(
                f"cannot take histories of {len(other)} users over {other.n_items} items "
                f"from {len(self)} users over {self.n_items} items"
            )
        if self.on_disk:
            ranges = user_ranges(self.offsets)
            return Histories.joined(self.rows(a, b).without(other.rows(a, b)) for a, b in ranges)
        return self.where(~np.isin(self.pair_keys(), other.pair_keys()))

    def distinct(self) -> "Histories":
        """The first event of each user with each item. Returns the histories themselves if no item repeats."""
        if self.on_disk:
            if all(one_of_each(part.pair_keys()).all() for part in self.parts()):
                return self
            return self.by_parts(Histories.distinct)
        first = one_of_each(self.pair_keys())
        return self if first.all() else self.where(first)
