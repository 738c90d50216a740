"""The log of lists: each answered list waits in memory for a moment, and a thread writes what waits.

A request adds one entry to a queue and waits for nothing. What is not written yet when the process is killed is lost: the lists
of the last second at most. A queue that is full, because the database is away, takes no more; what it does not take is counted.
"""

import json
import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from foldin.errors import ConfigError, EventStoreError
from foldin.models import user_key
from foldin.ranking import RankedLists
from foldin.serve.engine.impression_entries import Waiting, of_fallback, plain, with_new, with_propensities
from foldin.serve.engine.routing import RoutedRequest
from foldin.serve.schemas import Hit, RecommendRequest
from foldin.serve.storage.impressions import HELD_BACK, Impression, ImpressionStore
from foldin.serve.telemetry import Telemetry

__all__ = ["ImpressionLog", "ListLogging"]

logger = logging.getLogger("foldin.serve")
_KEYS = float(2**128)  # number of keys of users
_AT_ONCE = 1000  # lists of a transaction
_PURGED = 600.0  # seconds between two purges


@dataclass(frozen=True, kw_only=True)
class ListLogging:
    """Which lists are logged, and for how long.

    Args:
        share: share of the users whose lists are logged, all of them; of requests without a user, share of the lists.
        days: number of days for which they are kept; None for ever.
        queued: maximum number of lists that wait to be written.
        seconds: time between two writes.

    Raises:
        ConfigError: a share outside [0, 1], or a number that is not positive.
    """

    share: float = 1.0
    days: float | None = 90.0
    queued: int = 8192
    seconds: float = 0.25

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"share: a share of the users between 0 and 1 was expected, not {self.share:g}")
        if not (self.days is None or self.days > 0.0):
            raise ConfigError(f"days: a positive number was expected, not {self.days:g}")


class ImpressionLog:
    """The log of the lists that this process answers.

    Args:
        store: where they are written.
        telemetry: counters of lists that were written or dropped, and of events that name a list.
        settings: which lists are logged, and for how long.
    """

    def __init__(self, store: ImpressionStore, telemetry: Telemetry, settings: ListLogging | None = None) -> None:
        self.store, self.telemetry, self.settings = store, telemetry, settings or ListLogging()
        self._waiting: deque[Waiting] = deque()
        self._taken: list[Impression] = []  # for a transaction that is under way, or failed
        self._chosen, self._rng = self.settings.share * _KEYS, random.Random()
        self._flushing, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None
        self._purged = -math.inf

    def add(
        self,
        list_id: str,
        routed: RoutedRequest,
        answer: RankedLists,
        explored: Sequence[Hit] | None = None,
        share: float = 0.0,
    ) -> None:
        """Have a list logged, if it is one of the share; the queue takes it, or is full.

        Args:
            list_id: id of the list.
            routed: the request.
            answer: the model's list.
            explored: the entries of the list if new items have some of its places.
            share: probability with which each place was given to a new item.
        """
        if not self._takes(routed.resolved.key):
            return
        now = time.time()
        if explored is not None:
            self._waiting.append(lambda: with_new(list_id, now, routed, answer, explored, share))
        elif answer.propensity is not None:
            self._waiting.append(lambda: with_propensities(list_id, now, routed, answer))
        else:
            self._waiting.append(plain(list_id, now, routed, answer))

    def add_fallback(
        self, list_id: str, request: RecommendRequest, routed: RoutedRequest | None, hits: Sequence[Hit]
    ) -> None:
        """Have a list for all users logged, which answered in place of a model, if it is one of the share."""
        if self._takes(None if request.user is None else user_key(request.user)):
            now = time.time()
            self._waiting.append(lambda: of_fallback(list_id, now, request, routed, hits))

    def _takes(self, key: int | None) -> bool:
        """Whether a list of a user is to be logged, and the queue has room for it; what it has no room for is counted."""
        if (self._rng.random() * _KEYS if key is None else key) > self._chosen:
            return False
        if len(self._waiting) >= self.settings.queued:
            self.telemetry.impressions.labels("dropped").inc()
            return False
        return True

    def waiting(self) -> int:
        """Number of lists that are not written yet."""
        return len(self._waiting) + len(self._taken)

    def flush(self) -> None:
        """Write all lists that wait.

        Raises:
            EventStoreError: the database is not available; what waits is written by a later call.
        """
        with self._flushing:
            while self._waiting or self._taken:
                while self._waiting and len(self._taken) < _AT_ONCE:
                    self._taken.append(self._waiting.popleft()())
                try:
                    written = self.store.write(self._taken)
                except EventStoreError:
                    oldest = time.time() - HELD_BACK
                    kept = [one for one in self._taken if one.time > oldest]
                    self._drop(len(self._taken) - len(kept))
                    self._taken = kept
                    raise
                except Exception:  # a bug: these lists would fail again and hold up all that follow
                    self._drop(len(self._taken))
                    self._taken = []
                    raise
                self.telemetry.impressions.labels("written").inc(written)
                self._taken = []

    def purge(self) -> int:
        """Delete the lists that are older than the days for which they are kept; returns their number.

        Raises:
            EventStoreError: the database is not available.
        """
        days = self.settings.days
        return self.store.purge(0 if days is None else int(time.time() - 86_400.0 * days))

    def note_events(self, lists: list[str]) -> None:
        """Count events by whether the lists that they name are in the log.

        Raises:
            EventStoreError: the database is not available.
        """
        known = self.store.known(set(lists))
        found = sum(one in known for one in lists)
        self.telemetry.listed_events.labels("known").inc(found)
        self.telemetry.listed_events.labels("unknown").inc(len(lists) - found)

    def start(self) -> None:
        """Begin to write."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="foldin-impressions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and stop."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        away, last = False, False
        while not last:
            last = self._stop.wait(self.settings.seconds)
            try:
                self.flush()
                if not last and time.monotonic() - self._purged > _PURGED:
                    self.purge()
                    self._purged = time.monotonic()
                away = False
            except Exception as error:  # the database is away, or a bug: requests are not affected
                if not away:
                    logger.warning(json.dumps({"lists": "not logged", "error": str(error)}))
                away = True

    def _drop(self, count: int) -> None:
        if count:
            self.telemetry.impressions.labels("dropped").inc(count)
