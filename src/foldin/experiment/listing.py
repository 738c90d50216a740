"""Lists for all users of a table: a request as plain values, which other processes can be given, and what makes its lists."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import Any

import polars as pl

from foldin.data import Catalog, Condition, Everyone, Filters, Histories
from foldin.errors import ConfigError
from foldin.memory import require_memory
from foldin.models import PopularStart, capability, user_key
from foldin.ranking import (
    Approximate,
    Beam,
    Eligibility,
    Ranker,
    Ruled,
    Rules,
    rank,
    ranker_of,
    recall_against,
    resolve_rules,
)
from foldin.runs import Run

__all__ = ["BATCH_SIZE", "ListMaker", "ListRequest"]

BATCH_SIZE = 4096  # users in one block
_ROW_BYTES = 200.0  # memory for one entry of a list before it is written


@dataclass(frozen=True, kw_only=True)
class ListRequest:
    """Which lists a run is to make.

    Args:
        k: number of items in a list.
        ranker: the ranker as text, such as `exact` or `beam:100`; see `ranking.ranker_of`.
        seed: seed of random rankers.
        draws: number of draws from the posterior, for propensities; None for the ranker's default.
        exclude_seen: whether to leave out the items of a user's history.
        allow: ids of the only items that may be listed; None for all.
        deny: ids of items that may not be listed.
        where: conditions on features of the items, all of which must hold.
        rules: business rules of every list.
        batch_size: number of users that are ranked at a time.

    Raises:
        ConfigError: a length or a number of users that is not positive, or no item that may be listed.
    """

    k: int = 10
    ranker: str = "exact"
    seed: int = 0
    draws: int | None = None
    exclude_seen: bool = True
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    where: Mapping[str, Condition] | None = None
    rules: Rules = field(default_factory=Rules)
    batch_size: int = BATCH_SIZE

    def __post_init__(self) -> None:
        if self.k < 1 or self.batch_size < 1:
            raise ConfigError(f"lists of {self.k} items in blocks of {self.batch_size} users: at least 1 was expected")
        if self.allow is not None and not self.allow:
            raise ConfigError("allow contains no item, so that no item may be listed")

    def as_dict(self) -> dict[str, Any]:
        """What the lists depend on, as plain values: all but the number of users in a block, by which only rounding differs."""
        values = {**asdict(self), "rules": repr(self.rules) if self.rules else ""}
        return {name: value for name, value in values.items() if name != "batch_size"}

    def eligibility(self, catalog: Catalog) -> Callable[[Histories], Eligibility]:
        """The function that gives the eligible items of some users.

        Raises:
            ConfigError: a condition on an unknown feature, or one of another type.
            UnknownItemError: an id that is not in the catalog.
        """
        return partial(
            Eligibility.of,
            exclude_seen=self.exclude_seen,
            allow=None if self.allow is None else catalog.indices(self.allow),
            deny=catalog.indices(self.deny) if self.deny else None,
            where=catalog.active(None if self.where is None else Filters(catalog).passing(self.where)),
        )

    def under_rules(self, catalog: Catalog, ranker: Ranker) -> Ranker:
        """The ranker under the business rules; the ranker itself if there are none.

        Raises:
            ConfigError: a rule that does not fit the catalog.
        """
        return Ruled(resolve_rules(self.rules, catalog, Filters(catalog)), ranker) if self.rules else ranker

    def maker(self, run: Run) -> "ListMaker":
        """What makes these lists by a run.

        Raises:
            ConfigError: the run has no such ranker, or a rule or a condition does not fit its catalog.
            UnknownItemError: an id that is not in the catalog.
        """
        made = ranker_of(self.ranker, run.model, seed=self.seed, draws=self.draws, index=lambda: run.index)
        return ListMaker(run, self, self.eligibility(run.catalog), self.under_rules(run.catalog, made))


@dataclass(frozen=True, eq=False)
class ListMaker:
    """A run, and what it needs to make the lists of a request.

    Args:
        run: the run.
        request: the request.
        eligible: gives the eligible items of some users.
        ranker: the ranker, with the rules of the request.
    """

    run: Run
    request: ListRequest
    eligible: Callable[[Histories], Eligibility]
    ranker: Ranker

    @cached_property
    def _popular_start(self) -> Any:
        return capability(self.run.model, PopularStart)

    def frame(self, asked: Everyone, progress: Callable[[int, int], None] | None = None) -> pl.DataFrame:
        """The lists of some users as a table, see `RankedLists.frame`, made block by block.

        The posterior spread of items costs a hundred times the list and is left out, unless the ranker computes it anyway.

        Args:
            progress: called with (users done, all users).

        Raises:
            CapacityError: the table needs more memory than is free.
        """
        users, k, size = asked.histories, self.request.k, self.request.batch_size
        places = min(k, len(self.run.catalog))
        require_memory(
            _ROW_BYTES * float(len(users)) * places,
            f"{len(users):,} lists of {places:,} items",
            "ask for shorter lists (-k), or for fewer users at a time",
        )
        frames = []
        for start in range(0, len(users), size):
            part, ids = users.rows(start, start + size), asked.users[start : start + size]
            keys = [user_key(user) for user in ids]
            found = rank(self.run.model, part, k, ranker=self.ranker, eligible=self.eligible(part), keys=keys)
            frames.append(found.frame(self.run.catalog, ids))
            if progress is not None:
                progress(min(start + size, len(users)), len(users))
        return pl.concat(frames)

    def recall(self, users: Histories) -> float | None:
        """The mean share of the exact lists that the ranker finds, in [0, 1]; None for a ranker that misses nothing."""
        if not isinstance(self.ranker, Approximate | Beam):
            return None
        lists_of = partial(rank, self.run.model, users, self.request.k, eligible=self.eligible(users))
        return float(recall_against(lists_of(ranker=self.ranker), lists_of()).mean()) if len(users) else 1.0

    def given_popularity(self, users: Histories) -> int:
        """Number of users who are given the most popular items, since the model has learned nothing about their histories."""
        return 0 if self._popular_start is None else int(self._popular_start.given_popularity(users).sum())
