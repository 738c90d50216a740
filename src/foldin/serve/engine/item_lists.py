"""Lists that are the same for all users: popular, trending and recent items, made every few minutes by one of all processes."""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from foldin.data import EventWeights
from foldin.errors import EventStoreError
from foldin.serve.engine.repeating import Repeating
from foldin.serve.storage.item_lists import ItemListStore, ListedItem, Taken

__all__ = ["PRIOR", "ItemLists", "popular", "trending"]

PRIOR = 10.0  # expected events that the prior of a trend is worth
_LONGEST = 2000  # entries of a list; those that a request excludes are left out later
_READ = 5.0  # seconds between two looks for newer lists


def popular(taken: Sequence[Taken]) -> list[ListedItem]:
    """The items by the sum of the weights of their events, which is their number if all count alike; ties in the given order."""
    found = [ListedItem(one.item, float(one.latest + one.earlier)) for one in taken]
    return sorted(found, key=lambda one: -one.score)


def trending(taken: Sequence[Taken], *, prior: float = PRIOR) -> list[ListedItem]:
    """The items taken on the last day, by how much more often they were taken than before; ties in the given order.

    Item i was taken x_i times on the last day and y_i times before. If its share of all events had stayed the same, it would have
    been taken e_i = X · y_i / Y times, with X = Σ x_j and Y = Σ y_j (e_i = 0 without earlier events), so that days on which
    everything is taken more often raise nothing. With x_i ~ Poisson(λ_i e_i) and λ_i ~ Gamma(a, a), whose mean is 1, the score is
    the posterior mean E[λ_i | x_i] = (a + x_i) / (a + e_i): the Gamma–Poisson shrinker of DuMouchel (1999). A few events of a
    rare item move it little.

    Events of weight w are counted in units of φ = Σ w² / Σ w over all events, which is 1 if all weigh 1: the sum of the weights
    of a Poisson number of events has φ times its mean as its variance, and in these units is as uncertain as a number of events.

    Args:
        taken: how much the items were taken.
        prior: a, in events.
    """
    latest, earlier = sum(one.latest for one in taken), sum(one.earlier for one in taken)
    ratio = latest / earlier if earlier else 0.0
    a = prior * _unit(taken)
    found = [ListedItem(one.item, (a + one.latest) / (a + ratio * one.earlier)) for one in taken if one.latest > 0]
    return sorted(found, key=lambda one: -one.score)


def _unit(taken: Sequence[Taken]) -> float:
    """Σ w² / Σ w over all events."""
    squares = [one.squares for one in taken if one.squares is not None]
    return sum(squares) / sum(one.latest + one.earlier for one in taken) if squares else 1.0


class ItemLists:
    """The lists for all users, in this process.

    Args:
        store: events and lists in the database.
        seconds: time between two computations; 0 for none by this process, which then shows those of others.
        weighting: returns the rule by which events count, that of the default model; all events count alike if omitted.
    """

    def __init__(
        self,
        store: ItemListStore,
        *,
        seconds: float = 300.0,
        weighting: Callable[[], EventWeights | None] = lambda: None,
    ) -> None:
        self.store, self.seconds, self._weighting = store, seconds, weighting
        self._lists: Mapping[str, tuple[ListedItem, ...]] = {}
        self._slot: int | None = None
        self._looking = threading.Lock()
        self._poll = Repeating(self.look, seconds=min(_READ, seconds or _READ), name="lists")

    @property
    def time(self) -> int | None:
        """When the lists were made, in seconds since 1970; None before the first."""
        return self._slot

    def get(self, name: str) -> tuple[ListedItem, ...]:
        """The list `popular`, `trending` or `recent`; empty before the first computation."""
        return self._lists.get(name, ())

    def look(self, now: float | None = None) -> None:
        """Make the lists if nobody has for this period, and read newer ones than this process has.

        Args:
            now: seconds since 1970; the present if omitted.

        Raises:
            EventStoreError: the database is not available.
        """
        moment = time.time() if now is None else now
        with self._looking:
            if self.seconds > 0:
                slot = int(moment // self.seconds * self.seconds)
                if (self._slot is None or self._slot < slot) and self.store.claim(slot):
                    taken = self.store.taken(int(moment), self._weighting())
                    made = {"popular": popular(taken)[:_LONGEST], "trending": trending(taken)[:_LONGEST]}
                    self.store.put(slot, {**made, "recent": self.store.newest_items(_LONGEST)})
            self._read()

    def _read(self) -> None:
        found = self.store.newest(self._slot)
        if found is not None:
            self._slot, self._lists = found

    def start(self) -> None:
        """Read the lists that there are, and begin to make and read others, the first after a moment."""
        with contextlib.suppress(EventStoreError):
            self._read()
        self._poll.start()

    def stop(self) -> None:
        """Stop."""
        self._poll.stop()
