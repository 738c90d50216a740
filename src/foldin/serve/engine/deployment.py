"""A run in service: its queue of requests, its view of the catalog, and what its lists depend on."""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from foldin.data import repeats_of
from foldin.models import dislikes_inform
from foldin.ranking import PosteriorSample, RankedLists, Ruled, WithSpread
from foldin.runs import Run
from foldin.serve.engine.batcher import Batcher
from foldin.serve.engine.catalog_view import CatalogView
from foldin.serve.engine.lists import ResolvedRequest, rank_requests
from foldin.serve.engine.loop_batcher import LoopBatcher
from foldin.serve.engine.run_ranker import ranker_in_service
from foldin.serve.storage.items import ItemRow, ItemsState

__all__ = ["QUICK", "Deployment"]

QUICK = 0.05  # seconds that a full batch may hold up the event loop

_SLOW = PosteriorSample | WithSpread | Ruled


@dataclass(eq=False)
class Deployment:
    """A run in service.

    Args:
        name: name in requests and logs.
        run: the loaded and verified run.
        queued: maximum number of waiting requests.
        ranked_by: name of the ranker of lists without exploration; `exact` in its place if the run's index cannot be used.
        since: time of deployment, in seconds since 1970.
        trained: the run as it was trained, if `run` has new items too.
        new_rows: these items as they were sent.
        using: the lock of what computes with the model, whose memory is reused: one caller at a time. Deployments of one run with
            other new items have the same, since experts of their models may be the same.

    Raises:
        ConfigError: the ranker draws at random, or needs a capability that the model lacks.
    """

    name: str
    run: Run
    queued: int = 1024
    ranked_by: str = "exact"
    since: float = field(default_factory=time.time)
    trained: Run | None = None
    new_rows: Mapping[str, ItemRow] = field(default_factory=dict)
    using: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.repeats, self.dislikes_inform = repeats_of(self.run.info), dislikes_inform(self.run.model)
        self.excludes_seen = self.repeats != "keep"  # unless a request says otherwise
        weighting = self.run.weighting
        self.has_min_rating = weighting is not None and weighting.min_rating is not None
        self.view, self._showing = CatalogView(self.run.catalog), threading.Lock()
        self.ranker, self.ranked_by = ranker_in_service(self.name, self.run, self.ranked_by)
        # A full batch of long histories, twice: the first call also allocates memory that later calls reuse. It comes before
        # the threads, which would keep a model that fails at it.
        probe = [ResolvedRequest(tuple(range(min(50, self.run.model.n_items))), 1, ranker=self.ranker)] * 64
        with self.using:
            rank_requests(self.run.model, probe)
            start = time.perf_counter()
            rank_requests(self.run.model, probe)
            self.batch_seconds = time.perf_counter() - start

        def work(requests: Sequence[ResolvedRequest]) -> list[RankedLists]:
            with self.using:
                return rank_requests(self.run.model, requests)

        self.batcher: Batcher[ResolvedRequest, RankedLists] = Batcher(work, queued=self.queued)
        self.in_loop: LoopBatcher[ResolvedRequest, RankedLists] = LoopBatcher(
            work,
            free=lambda: self.using.acquire(blocking=False),
            release=self.using.release,
            elsewhere=self.batcher.put,
            queued=self.queued,
        )

    def ask(self, request: ResolvedRequest) -> "asyncio.Future[RankedLists]":
        """A future of the list, in the running event loop. Fast models compute in the loop, others in the model's thread.

        Raises:
            OverloadedError: too many requests wait.
        """
        # A hundred forward passes and not one, or a choice item by item.
        slow = isinstance(request.ranker, _SLOW)
        quick = self.batch_seconds < QUICK and not slow
        return self.in_loop.ask(request) if quick else self.batcher.ask(request)

    def waiting(self) -> int:
        """Number of waiting requests."""
        return self.batcher.waiting() + self.in_loop.waiting()

    def show(self, items: ItemsState) -> None:
        """Show the catalog with the titles and features of these items, and list no retired ones, if they are newer."""
        with self._showing:
            if items.revision > self.view.revision:
                self.view = CatalogView(self.run.catalog, items, self.view)

    @property
    def edition(self) -> str:
        """The digest, with that of the new items if there are some: what is computed from the model depends on it."""
        if not self.new_rows:
            return self.digest
        told = [(row.item, row.title, row.features) for row in self.new_rows.values()]
        return f"{self.digest}+{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}"

    @property
    def digest(self) -> str:
        """Digest of the run, different for two trainings."""
        return str(self.run.info["digest"])[:12]
