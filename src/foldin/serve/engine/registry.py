"""Models in service: several side by side, swapped without a dropped request, and who is served by which."""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from foldin.data import Filters, repeats_of
from foldin.errors import ConfigError, UnknownModelError
from foldin.ranking import PosteriorSample, RankedLists, WithSpread, ranker_of
from foldin.runs import Run, load_run
from foldin.serve.engine.batcher import Batcher
from foldin.serve.engine.lists import ResolvedRequest, rank_requests
from foldin.serve.engine.loop_batcher import LoopBatcher

__all__ = ["QUICK", "Deployment", "Registry", "digest_in"]

QUICK = 0.05  # seconds that a full batch may hold up the event loop


@dataclass(eq=False)
class Deployment:
    """A run in service.

    Args:
        name: in requests and logs.
        run: loaded and verified.
        queued: requests that may wait.
        ranked_by: the ranker of lists that do not explore, by name; see `ranking.ranker_of`.
        since: seconds since 1970.

    Raises:
        ConfigError: a ranker that draws, or one that the model lacks something for.
    """

    name: str
    run: Run
    queued: int = 1024
    ranked_by: str = "exact"
    since: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.repeats = repeats_of(self.run.info)
        self.filters = Filters(self.run.catalog)
        self.ranker = ranker_of(self.ranked_by, self.run.model)
        if self.ranker.random:
            raise ConfigError(
                f"ranker {self.ranked_by!r}: it draws; a request asks for that by `explore`, and is given a list that does not"
            )
        self.using = threading.RLock()  # a model works in memory of its own: one caller at a time

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
        # A full batch of long histories, twice: the first call also pays for memory that later ones use again.
        probe = [ResolvedRequest(tuple(range(min(50, self.run.model.n_items))), 1, ranker=self.ranker)] * 64
        rank_requests(self.run.model, probe)
        start = time.perf_counter()
        rank_requests(self.run.model, probe)
        self.batch_seconds = time.perf_counter() - start

    def ask(self, request: ResolvedRequest) -> "asyncio.Future[RankedLists]":
        """The list to come, in the running event loop: computed there where that is quick, in the model's thread elsewhere.

        Raises:
            OverloadedError: too many wait.
        """
        draws = isinstance(request.ranker, PosteriorSample | WithSpread)  # a hundred forward passes, not a share of one
        quick = self.batch_seconds < QUICK and not draws
        return self.in_loop.ask(request) if quick else self.batcher.ask(request)

    def waiting(self) -> int:
        """Requests that wait."""
        return self.batcher.waiting() + self.in_loop.waiting()

    @property
    def digest(self) -> str:
        """Of the run: tells two trainings apart."""
        return str(self.run.info["digest"])[:12]


class Registry:
    """What is in service, by name.

    Args:
        device: where models compute.
        queued: requests that may wait for a model.
        rankers: of models, by name; "" for those that are not named.
    """

    def __init__(
        self,
        *,
        device: str | torch.device = "cpu",
        queued: int = 1024,
        rankers: Mapping[str, str] | None = None,
    ) -> None:
        self._device, self._queued = device, queued
        self._rankers = {"": "exact", **(rankers or {})}
        self._lock = threading.Lock()
        self._now: dict[str, Deployment] = {}
        self._before: dict[str, Deployment] = {}
        self._default: str | None = None
        self._shares: dict[str, float] = {}

    def deploy(self, folder: str | Path, name: str | None = None) -> Deployment:
        """Load a run and put it in service under its name; what served under it before is kept for `roll_back`.

        Nothing changes until the new one is loaded, verified, and has answered once.

        Raises:
            RunError: the run is missing, unfinished or damaged.
            ConfigError: its model lacks what its ranker needs.
        """
        run = load_run(folder, device=self._device)
        name = name or Path(folder).resolve().name
        ranked_by = self._rankers.get(name, self._rankers[""])
        new = Deployment(name, run, queued=self._queued, ranked_by=ranked_by)
        with self._lock:
            old = self._now.get(name)
            self._now[name] = new
            self._default = self._default or name
            dropped = self._before.pop(name, None)
            if old is not None:
                self._before[name] = old
        if dropped is not None:
            dropped.batcher.close()
        return new

    def roll_back(self, name: str) -> Deployment:
        """Exchange a model and the one that served under its name before.

        Raises:
            ConfigError: there is none.
        """
        with self._lock:
            if name not in self._before:
                raise ConfigError(f"models: nothing served as {name!r} before")
            self._now[name], self._before[name] = self._before[name], self._now[name]
            return self._now[name]

    def make_default(self, name: str) -> None:
        """Serve whoever names no model by this one.

        Raises:
            ConfigError: no such model.
        """
        self.get(name)
        with self._lock:
            self._default = name

    def split(self, shares: Mapping[str, float]) -> None:
        """Divide those who name no model among models, the same user always to the same; empty ends the test.

        Raises:
            ConfigError: no such model, or shares that are not positive or do not add up to 1.
        """
        for name in shares:
            self.get(name)
        if shares and (min(shares.values()) <= 0 or abs(sum(shares.values()) - 1.0) > 1e-6):
            raise ConfigError(f"models: shares must be positive and add up to 1, not {dict(shares)}")
        with self._lock:
            self._shares = dict(shares)

    def get(self, name: str) -> Deployment:
        """The model of that name.

        Raises:
            UnknownModelError: there is none.
        """
        found = self._now.get(name)
        if found is None:
            raise UnknownModelError(f"models: no model {name!r}; there are {', '.join(sorted(self._now))}")
        return found

    def choose(self, name: str | None, user: str | None) -> Deployment:
        """By name; else by the split, where there is one; else the default.

        Raises:
            ConfigError: no model of that name, or none at all.
        """
        if name is not None:
            try:
                return self.get(name)
            except UnknownModelError as error:
                raise ConfigError(str(error)) from None  # a value in the question, not what the address names
        with self._lock:
            shares, default = self._shares, self._default
        if shares and user is not None:
            # Of the names alone: who has a model keeps it while its share grows.
            digest = hashlib.sha256(f"{sorted(shares)} {user}".encode()).digest()
            at, total = int.from_bytes(digest[:8]) / 2**64, 0.0
            for one, share in sorted(shares.items()):
                total += share
                if at < total:
                    return self.get(one)
        if default is None:
            raise ConfigError("models: none is in service")
        return self.get(default)

    def knows(self, item: str) -> bool:
        """Whether the catalog of a model in service has this external id."""
        return any(one.run.catalog.places([item]) != [None] for one in self.all())

    def all(self) -> list[Deployment]:
        """What is in service, by name."""
        with self._lock:
            return [self._now[name] for name in sorted(self._now)]

    @property
    def default(self) -> str | None:
        """Who serves those who name no model."""
        return self._default

    @property
    def shares(self) -> dict[str, float]:
        """The split in force."""
        return dict(self._shares)

    def can_roll_back(self, name: str) -> bool:
        """Whether something served under this name before."""
        return name in self._before

    def close(self) -> None:
        """Serve what waits, and end."""
        for one in [*self._now.values(), *self._before.values()]:
            one.batcher.close()


def digest_in(folder: Path) -> str | None:
    """Of the run that a folder holds; None while it is written."""
    try:
        return str(json.loads((folder / "run.json").read_text("utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
