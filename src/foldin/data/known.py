"""Users whose histories are known, by their external ids."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from foldin.data.catalog import Catalog
from foldin.data.histories import Histories
from foldin.data.log.events import EventLog
from foldin.data.splits.base import HeldOut, Split
from foldin.errors import ShapeError, UnknownUserError
from foldin.tensors import Array, Int64

__all__ = ["KnownUsers"]


@dataclass(frozen=True, eq=False)
class KnownUsers:
    """Histories by user id.

    Args:
        ids: external ids, as text, each once.
        histories: history of each of these users, over the catalog of a model.

    Raises:
        ShapeError: the numbers of ids and of histories differ.
    """

    ids: pl.Series
    histories: Histories

    def __post_init__(self) -> None:
        if self.ids.len() != len(self.histories):
            raise ShapeError(f"{self.ids.len():,} users with {len(self.histories):,} histories")

    @classmethod
    def of_log(cls, log: EventLog, catalog: Catalog) -> "KnownUsers":
        """The users of a log; events with items that the catalog lacks are left out."""
        places = catalog.places(log.items["item"])
        new = np.array([-1 if at is None else at for at in places], dtype=np.int64)
        return cls(log.users, _plain(log.histories).reindex(new, len(catalog)))

    @classmethod
    def of_split(cls, split: Split) -> "KnownUsers":
        """Every user of a split with all events that are known of them, held-out ones included, in the order of time.

        A user who is in several groups has the history of the last of training, validation and test.
        """
        parts = [(split.train_users, _plain(split.train))]
        parts += [(held.users, _everything(held)) for held in (split.validation, split.test)]
        ids = pl.concat([users for users, _ in parts])
        last = (
            pl.DataFrame({"id": ids, "at": np.arange(ids.len())}).group_by("id", maintain_order=True).agg(pl.max("at"))
        )
        return cls(last["id"], _stacked([part for _, part in parts]).select(last["at"].to_numpy()))

    @classmethod
    def of_table(cls, table: pl.DataFrame, n_items: int) -> "KnownUsers":
        """The users of a table as returned by the method `table`.

        Raises:
            ShapeError: an item is outside a catalog of that size.
        """
        lengths = table["items"].list.len().fill_null(0).to_numpy()
        times = table["times"].explode().drop_nulls() if "times" in table.columns else None
        return cls(
            table["user"],
            Histories(
                items=table["items"].explode().drop_nulls().cast(pl.Int32).to_numpy(writable=True),
                offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
                n_items=n_items,
                times=None if times is None else times.cast(pl.Int64).to_numpy(writable=True),
            ),
        )

    def table(self) -> pl.DataFrame:
        """A row for each user: `user`, `items` (indices, oldest first), and `times` in seconds where they are known."""
        own = self.histories
        columns = {"items": own.items} if own.times is None else {"items": own.items, "times": own.times}
        lists = pl.DataFrame({"at": own.users(), **columns}).group_by("at", maintain_order=True).agg(pl.all())
        users = pl.DataFrame({"user": self.ids, "at": np.arange(len(own))})
        return users.join(lists, on="at", how="left", maintain_order="left").drop("at")

    def __len__(self) -> int:
        return self.ids.len()

    @cached_property
    def _place(self) -> dict[str, int]:
        return dict(zip(self.ids.to_list(), range(self.ids.len()), strict=True))

    def of(self, users: Iterable[Any]) -> "KnownUsers":
        """The given users, in the given order.

        Raises:
            UnknownUserError: an id is not known (the message lists up to five).
        """
        if isinstance(users, str | bytes):
            raise UnknownUserError(f"a list of ids was expected, not {users!r}")
        wanted = [str(one) for one in users]
        unknown = [one for one in wanted if one not in self._place]
        if unknown:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise UnknownUserError(
                f"no history is known of {', '.join(map(repr, unknown[:5]))}{more}; {len(self):,} users are known. A new user is "
                "given by a table of events"
            )
        at: Int64[Array, " users"] = np.array([self._place[one] for one in wanted], dtype=np.int64)
        return KnownUsers(pl.Series(wanted, dtype=pl.String), self.histories.select(at))


def _plain(histories: Histories) -> Histories:
    """The histories without kinds and values, which no model reads."""
    return replace(histories, kinds=None, values=None)


def _everything(held: HeldOut) -> Histories:
    """All events of held-out users: those that a model may see and the targets, oldest first if they have times."""
    events = _plain(held.seen).followed_by(_plain(held.targets))
    if events.times is None:
        return events
    order = np.lexsort((events.times, events.users()))
    return replace(events, items=events.items[order], times=events.times[order])


def _stacked(parts: list[Histories]) -> Histories:
    """The users of all parts, one part after the other; with times if all parts have them."""
    starts = np.cumsum([0, *(part.n_events for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
    times = [part.times for part in parts]
    return Histories(
        items=np.concatenate([part.items for part in parts]),
        offsets=np.concatenate([*offsets, starts[-1:]]).astype(np.int64),
        n_items=parts[0].n_items,
        times=None if any(one is None for one in times) else np.concatenate([one for one in times if one is not None]),
    )
