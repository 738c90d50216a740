"""Lists of items that differ from each other, by the model's item vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import Recommender
from foldin.ranking.diversity import DPP, MMR
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import Exact
from foldin.ranking.lists import RankedLists
from foldin.ranking.resolved_rules import ResolvedRules
from foldin.ranking.ruled import Ruled

__all__ = ["Diverse"]


@dataclass(frozen=True)
class Diverse:
    """Lists chosen item by item from the best items of another ranker, by score and by similarity to the items above.

    The score is the model's log-probability where it has one, and the similarity that of the model's item vectors; for
    similarity by a feature of the items, which needs a catalog, state the diversity among `Rules`.

    Source: chen2018b (`DPP`); carbonell1998 (`MMR`).

    Args:
        by: `DPP` or `MMR`, with the weight of the score.
        of: ranker of the candidates, without random draws.
        pool: number of candidates.

    Raises:
        ConfigError: a similarity by a feature, a ranker that draws at random, or a pool below 1.
    """

    random: ClassVar[bool] = False

    by: DPP | MMR
    of: Any = field(default_factory=Exact)
    pool: int = 500

    def __post_init__(self) -> None:
        if self.by.feature is not None:
            raise ConfigError(
                f"diversity by the feature {self.by.feature!r} needs a catalog, which a ranker has "
                f"not: pass rules=Rules(diversity={self.by!r}) instead of the ranker"
            )
        if self.of.random:
            raise ConfigError(f"diverse lists cannot be made from the random lists of {type(self.of).__name__}")
        if self.pool < 1:
            raise ConfigError(f"a pool has at least one item, not {self.pool}")

    def _ruled(self, model: Recommender[Any]) -> Ruled:
        return Ruled(ResolvedRules(model.n_items, diversity=self.by, pool=self.pool), self.of)

    def check(self, model: Recommender[Any]) -> None:
        """Check that the model has item vectors, and that `of` can rank it.

        Raises:
            ConfigError: the model lacks what is needed.
        """
        self._ruled(model).check(model)

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users to rank at once."""
        return int(self.of.block(model, k))

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> RankedLists:
        """The lists of a block of users."""
        return self._ruled(model).rank(model, histories, eligible, k, keys)
