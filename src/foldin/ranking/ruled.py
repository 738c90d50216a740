"""Lists of another ranker under business rules, with the price of the rules."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.models import DotProduct, Recommender, required
from foldin.ranking.choosing import choose
from foldin.ranking.diversity import Similarity, alike_by_values, alike_by_vectors
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import Exact, masked_logits
from foldin.ranking.lists import RankedLists
from foldin.ranking.posterior import PosteriorSample, WithSpread
from foldin.ranking.price import price_of
from foldin.ranking.resolved_rules import ResolvedRules, Stage
from foldin.ranking.ruled_draws import propensities_under
from foldin.ranking.sources import Scored, Searched, Source
from foldin.ranking.temperature import Gumbel
from foldin.tensors import Array, Float, Float64, Int64, Tensor

__all__ = ["Ruled"]

_DEEPER = 4  # factor by which a pool grows that did not fill a list
_ENTRIES = 1 << 24  # most scores of a block that are kept in double precision, with their noise


@dataclass(frozen=True)
class Ruled:
    """The lists of another ranker under business rules.

    By rankers that score every item (`Exact`, `Gumbel`, `PosteriorSample`), rules see all items: log-weights can raise any item,
    and caps go down the order until the list is full. By rankers that search (`Beam`, `Approximate`), rules choose from the
    pool that the search finds, and the search is repeated for more items where caps leave the list unfilled; if an item is
    pinned, all items are scored once, for the score of the pin.

    - `Gumbel` draws from the distribution with the log-weights, p(item) e^w, among the items that the caps still admit;
      propensities are those of this draw, 1 for pins. Diversity is refused, since its propensities would be unknown.
    - `PosteriorSample` applies the rules to every draw, so that propensities are those of the lists under rules.
    - `WithSpread` adds the spread of the model, without rules.

    Scores are those of the model alone, over the items that may be listed; `price` is what the rules give up.

    Args:
        rules: the rules, from `resolve_rules`.
        of: ranker of the lists.

    Raises:
        ConfigError: a ranker to which rules cannot be applied.
    """

    random: ClassVar[bool] = True

    rules: ResolvedRules
    of: Any = field(default_factory=Exact)

    def __post_init__(self) -> None:
        inner = self.of.of if isinstance(self.of, WithSpread) else self.of
        if isinstance(inner, Gumbel) and self.rules.diversity is not None:
            raise ConfigError(
                "diversity cannot be combined with drawing by temperature, whose propensities it would make unknown; use "
                "another ranker, or leave out the diversity"
            )
        if inner.random and not isinstance(inner, Gumbel | PosteriorSample):
            raise ConfigError(f"rules cannot be applied to the random lists of {type(inner).__name__}")

    def check(self, model: Recommender[Any]) -> None:
        """Check that the ranker can rank the model, and that the rules are those of its catalog.

        Raises:
            ConfigError: the model lacks what the ranker or diversity needs, or has another number of items.
        """
        self.of.check(model)
        if self.rules.n_items != model.n_items:
            raise ConfigError(f"the rules are those of {self.rules.n_items:,} items, the model of {model.n_items:,}")
        if self.rules.diversity is not None and self.rules.alike is None:
            _vectors(model)

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users to rank at once."""
        size = int(self.of.block(model, k))
        return min(size, max(1, _ENTRIES // model.n_items)) if isinstance(self.of, Gumbel) else size

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> RankedLists:
        """The lists of a block of users.

        Raises:
            ConfigError: a pin beyond the end of the lists.
        """
        self.rules.check_length(k)
        eligible = eligible.admitting(self.rules.forced)
        if isinstance(self.of, WithSpread):
            found = Ruled(self.rules, self.of.of).rank(model, histories, eligible, k, keys)
            return self.of.spread(model, histories, eligible, found, keys)
        source = self._source(model, histories, eligible, k, keys)
        lister = _Lister(self.rules, model, k)
        stages = self.rules.stages()
        made = [lister.lists(source, one) for one in stages]
        items = made[-1][0]
        price = price_of(self.rules.names, [scores for _, scores in made], "nats" if model.has_likelihood else "score")
        found = RankedLists(items, made[-1][1].astype(np.float32), normalized=source.normalized, price=price)
        if isinstance(self.of, Gumbel):
            logp = _log_p(model, histories, eligible).cpu().numpy()
            return propensities_under(stages[-1], found, logp, self.of.temperature)
        if isinstance(self.of, PosteriorSample):

            def listed(logits: Tensor) -> Tensor:
                return torch.from_numpy(lister.lists(Scored(logits, None), stages[-1])[0]).to(logits.device)

            return self.of.with_propensities(model, histories, eligible, found, keys, listed)
        return found

    def _source(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> Source:
        of = self.of
        if isinstance(of, Exact):
            logits = masked_logits(model, histories, eligible)
            return Scored(logits, of.order_and_total(model, logits, 1)[1])
        if isinstance(of, Gumbel):
            logp = _log_p(model, histories, eligible)
            noise = np.stack([of.noise(model.n_items, key) for key in keys]) if len(keys) else np.empty(logp.shape)
            total = torch.zeros_like(logp[:, :1])
            return Scored(logp, total, temperature=of.temperature, noise=torch.from_numpy(noise).to(logp))
        if isinstance(of, PosteriorSample):
            logits = of.drawn(model, histories, eligible, keys)
            return Scored(logits, torch.logsumexp(logits, dim=1, keepdim=True))
        return Searched(of, model, histories, eligible, k)


def _log_p(model: Recommender[Any], histories: Histories, eligible: Eligibility) -> Float[Tensor, "users items"]:
    """log p of the items that may be listed, in nats and in double precision; −∞ for the others."""
    found = masked_logits(model, histories, eligible).double().log_softmax(dim=1)
    return found.masked_fill(found.isnan(), -torch.inf)  # of a user for whom nothing may be listed


def _vectors(model: Recommender[Any]) -> DotProduct:
    return required(model, DotProduct, "diversity needs item vectors, or a feature of the items")


class _Lister:
    """Makes the lists of a block of users under some of the rules."""

    def __init__(self, rules: ResolvedRules, model: Recommender[Any], k: int) -> None:
        self._rules, self._k, self._n_items = rules, k, model.n_items
        self._vectors: Tensor | None = None
        if rules.diversity is not None and rules.alike is None:
            self._vectors = _vectors(model).item_vectors()[0].detach()

    def _similarity(self, items: Int64[Array, " pool"]) -> Similarity:
        if self._rules.alike is not None:
            return alike_by_values(self._rules.alike.matrix[items])
        assert self._vectors is not None
        chosen = self._vectors[torch.from_numpy(items).to(self._vectors.device)]
        return alike_by_vectors(chosen.double().cpu().numpy())

    def lists(self, source: Source, stage: Stage) -> tuple[Int64[Array, "users k"], Float64[Array, "users k"]]:
        """(items, scores under the model) of the lists of all users."""
        # What a search does not find cannot be raised: it is asked for a pool.
        wide = source.misses and stage.weights is not None
        least = max(self._rules.pool, self._k) if wide or stage.diversity is not None else self._k
        if stage.diversity is None and not stage.caps and not stage.pins:
            items, _, scores = source.pools(None, stage.weights, min(least, self._n_items))
            return items[:, : self._k], scores[:, : self._k]
        pinned = np.array([one.item for one in stage.pins], dtype=np.int64)
        of_pins = source.scores_of(pinned) if len(pinned) else None
        size = least if stage.diversity is not None else max(least, _DEEPER * self._k)
        size = min(size + len(pinned), self._n_items)
        pools = source.pools(None, stage.weights, size)
        waiting = np.arange(len(pools[0]))
        items, scores = np.full((len(waiting), self._k), -1, np.int64), np.full((len(waiting), self._k), -np.inf)
        while True:
            unfilled = []
            for place, user in enumerate(waiting.tolist()):
                own = None if of_pins is None else of_pins[user]
                candidates, keys, known = (one[place] for one in pools)
                found, values = self._list(stage, candidates, keys, known, pinned, own)
                if len(found) > np.count_nonzero(
                    items[user] >= 0
                ):  # with diversity, a larger pool may fill less under caps
                    items[user, : len(found)], scores[user, : len(found)] = found, values
                if len(found) < self._k and (source.misses or pools[0][place, -1] >= 0):  # there may be more candidates
                    unfilled.append(user)
            if not unfilled or size >= self._n_items:
                return items, scores
            waiting, size = np.array(unfilled), min(_DEEPER * size, self._n_items)
            pools = source.pools(waiting, stage.weights, size)

    def _list(
        self,
        stage: Stage,
        items: Int64[Array, " pool"],
        keys: Float64[Array, " pool"],
        scores: Float64[Array, " pool"],
        pinned: Int64[Array, " pins"],
        of_pins: Float64[Array, " pins"] | None,
    ) -> tuple[Int64[Array, " listed"], Float64[Array, " listed"]]:
        """One user's list: items and their scores."""
        places = {}
        kept = (items >= 0) & ~np.isin(items, pinned)
        items, keys, scores = items[kept], keys[kept], scores[kept]
        if of_pins is not None:
            eligible = np.isfinite(of_pins)
            placed = [one.place for one, here in zip(stage.pins, eligible, strict=True) if here]
            places = {place: len(items) + at for at, place in enumerate(placed)}
            items = np.concatenate((items, pinned[eligible]))
            keys, scores = (np.concatenate((one, of_pins[eligible])) for one in (keys, scores))
        bonus, theta = None, 1.0
        if stage.diversity is not None and len(items):
            bonus, theta = stage.diversity.begin(self._similarity(items), len(items)), stage.diversity.theta
        chosen = choose(items, keys, self._k, theta=theta, bonus=bonus, caps=stage.caps, pinned=places)
        return items[chosen], scores[chosen]
