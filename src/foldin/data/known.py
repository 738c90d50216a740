"""Users whose histories are known, by their external ids."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from foldin.data.catalog import Catalog
from foldin.data.feature_rows import stacked_rows
from foldin.data.histories import Histories
from foldin.data.ids import id_text
from foldin.data.log.events import EventLog
from foldin.data.splits.base import HeldOut, Split
from foldin.data.weighting import EventWeights
from foldin.errors import DataError, ShapeError, UnknownUserError
from foldin.tensors import Array, Float32, Int64

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
    def of_log(cls, log: EventLog, catalog: Catalog, weighting: EventWeights | None = None) -> "KnownUsers":
        """The users of a log; events with items that the catalog lacks are left out.

        Args:
            weighting: the rule by which events are weighted; None if all count alike, or are weighted already.

        Raises:
            DataError: `log` is something else, such as a table.
        """
        if not isinstance(log, EventLog):
            raise DataError(f"an EventLog was expected, not {type(log).__name__}: read it first, with foldin.read_log")
        own = log.histories if weighting is None else weighting.applied(log.histories, log.kinds)
        places = catalog.places(log.items["item"])
        new = np.array([-1 if at is None else at for at in places], dtype=np.int64)
        return cls(log.users, _plain(own).reindex(new, len(catalog)))

    @classmethod
    def of_split(cls, split: Split) -> "KnownUsers":
        """Every user of a split with all events that are known of them, held-out ones included, in the order of time.

        A user who is in several groups has the history of the last of training, validation and test.
        """
        parts = [(split.train_users, _plain(split.train))]
        parts += [(held.users, _everything(held, split)) for held in (split.validation, split.test)]
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
        dislikes = _of_lists(table, "disliked_", n_items) if "disliked_items" in table.columns else None
        return cls(table["user"], replace(_of_lists(table, "", n_items), dislikes=dislikes))

    def table(self) -> pl.DataFrame:
        """A row for each user: `user`, `items` (indices, oldest first), and if there are any, `times` in seconds and `weights`.

        The columns of the items that the user dislikes have `disliked_` before their names.
        """
        found = pl.DataFrame({"user": self.ids, "at": np.arange(len(self))})
        for prefix, own in (("", self.histories), ("disliked_", self.histories.dislikes)):
            if own is None:
                continue
            columns = {"items": own.items, "times": own.times, "weights": own.weights}
            here = {f"{prefix}{name}": values for name, values in columns.items() if values is not None}
            lists = pl.DataFrame({"at": own.users(), **here}).group_by("at", maintain_order=True).agg(pl.all())
            found = found.join(lists, on="at", how="left", maintain_order="left")
        return found.drop("at")

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
        given = [one.item() if isinstance(one, np.generic) else one for one in users]
        wanted = [id_text(one) for one in given]
        unknown = [one for one, text in zip(given, wanted, strict=True) if text not in self._place]
        if unknown:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            raise UnknownUserError(
                f"no history is known of {', '.join(map(repr, unknown[:5]))}{more}; {len(self):,} users are known. A split "
                "drops users with fewer events than its min_events; they and new users are given by a table of events"
            )
        at: Int64[Array, " users"] = np.array([self._place[one] for one in wanted], dtype=np.int64)
        return KnownUsers(pl.Series(wanted, dtype=pl.String), self.histories.select(at))


def _plain(histories: Histories) -> Histories:
    """The histories without kinds and values, which no model reads."""
    dislikes = None if histories.dislikes is None else _plain(histories.dislikes)
    return replace(histories, kinds=None, values=None, dislikes=dislikes)


def _of_lists(table: pl.DataFrame, prefix: str, n_items: int) -> Histories:
    """The histories in the columns of lists whose names begin with a prefix."""

    def column(name: str, dtype: type[pl.DataType]) -> Array | None:
        if prefix + name not in table.columns:
            return None
        return table[prefix + name].explode().drop_nulls().cast(dtype).to_numpy(writable=True)

    lengths = table[f"{prefix}items"].list.len().fill_null(0).to_numpy()
    return Histories(
        items=table[f"{prefix}items"].explode().drop_nulls().cast(pl.Int32).to_numpy(writable=True),
        offsets=np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        n_items=n_items,
        times=column("times", pl.Int64),
        weights=column("weights", pl.Float32),
    )


def _everything(held: HeldOut, split: Split) -> Histories:
    """All events of held-out users: those that a model may see and the targets, oldest first if they have times."""
    targets = held.targets if split.weighting is None else split.weighting.applied(held.targets, split.kinds)
    shown = held.fold_in if split.reading.keeps_repeats else held.seen
    events = _plain(shown).followed_by(_plain(targets))
    if events.times is None:
        return events
    order = np.lexsort((events.times, events.users()))
    weights = None if events.weights is None else events.weights[order]
    return replace(events, items=events.items[order], times=events.times[order], weights=weights)


def _stacked(parts: list[Histories]) -> Histories:
    """The users of all parts, one part after the other; with times if all have them, weights and dislikes if any has."""
    starts = np.cumsum([0, *(part.n_events for part in parts)])
    offsets = [part.offsets[:-1] + start for part, start in zip(parts, starts, strict=False)]
    times = [part.times for part in parts]
    dislikes = None
    if any(part.dislikes is not None for part in parts):
        dislikes = _stacked([part.dislikes or Histories.empty(len(part), part.n_items) for part in parts])
    return Histories(
        items=np.concatenate([part.items for part in parts]),
        offsets=np.concatenate([*offsets, starts[-1:]]).astype(np.int64),
        n_items=parts[0].n_items,
        times=None if any(one is None for one in times) else np.concatenate([one for one in times if one is not None]),
        weights=None
        if all(part.weights is None for part in parts)
        else np.concatenate([_weights(one) for one in parts]),
        dislikes=dislikes,
        user_features=stacked_rows([part.user_features for part in parts]),
    )


def _weights(histories: Histories) -> Float32[Array, " events"]:
    return np.ones(histories.n_events, np.float32) if histories.weights is None else histories.weights
