"""Lists with the posterior's uncertainty about each entry, and lists drawn from the posterior (Thompson sampling).

The draws for a user depend only on the seed and on the user's key (`models/streams.py`), and not on the other users or on how
users are divided into blocks. The list that is shown and the draws for its propensities come from separate random streams.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch

from foldin.data import Histories
from foldin.errors import ShapeError
from foldin.kernels import top_k
from foldin.models import PosteriorSampler, Recommender, Streams, required, streams
from foldin.ranking.eligibility import Eligibility
from foldin.ranking.exact import Exact
from foldin.ranking.lists import RankedLists, Spread
from foldin.tensors import Bool, Float, Int, Tensor

__all__ = ["PosteriorSample", "WithSpread"]

# The items that a draw of the logits lists, −1 in empty places.
ListOf = Callable[[Float[Tensor, "users items"]], Int[Tensor, "users k"]]

_DRAWS = 100
_SHARES = 1 << 25  # most probabilities, over all draws, that are kept at once


def _sampler(model: Recommender[Any], what: str) -> PosteriorSampler:
    return required(model, PosteriorSampler, f"{what} needs a model with a posterior")


def _check_draws(draws: int | None, level: float) -> None:
    if (draws is not None and draws < 2) or not 0.0 < level < 1.0:
        raise ShapeError(f"a spread needs at least two draws and a level in (0, 1), not {draws} and {level:g}")


def _block(model: Recommender[Any], draws: int, k: int) -> int:
    return max(1, min(model.block() // 4, _SHARES // (draws * k)))


def drawn_logits(
    model: Recommender[Any], histories: Histories, own: Streams, barred: Bool[Tensor, "users items"]
) -> Iterator[Float[Tensor, "users items"]]:
    """Draws of the logits under the model's temperature, −∞ for items that may not be listed."""
    for logits in _sampler(model, "a draw from the posterior").drawn_logits(histories, own):
        yield model.tempered(logits, histories).masked_fill_(barred, -torch.inf)


@dataclass(frozen=True)
class WithSpread:
    """The lists of a ranker, with the posterior's uncertainty about each entry.

    Args:
        of: ranker of the lists.
        draws: number of draws from the posterior for each user; 100 if None.
        level: share of the draws inside the credible interval, with half of the rest on either side.
        seed: seed of the draws.

    Raises:
        ShapeError: fewer than two draws, or a level outside (0, 1).
    """

    random: ClassVar[bool] = True

    of: Any = field(default_factory=Exact)
    draws: int | None = None
    level: float = 0.9
    seed: int = 0

    def __post_init__(self) -> None:
        _check_draws(self.draws, self.level)

    def check(self, model: Recommender[Any]) -> None:
        """Check that the model has a posterior, and that `of` can rank it.

        Raises:
            ConfigError: the model lacks what is needed.
        """
        _sampler(model, "a spread")
        self.of.check(model)

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users whose draws are kept at once."""
        return min(self.of.block(model, k), _block(model, self.draws or _DRAWS, k))

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> RankedLists:
        """The lists of a block of users."""
        found = self.of.rank(model, histories, eligible, k, keys)
        return self.spread(model, histories, eligible, found, keys)

    def spread(
        self,
        model: Recommender[Any],
        histories: Histories,
        eligible: Eligibility,
        lists: RankedLists,
        keys: Sequence[int],
        list_of: ListOf | None = None,
    ) -> RankedLists:
        """The given lists, with the spread of their entries.

        Args:
            list_of: the items that a draw lists; the k best ones if None.
        """
        draws, shape = self.draws or _DRAWS, lists.items.shape
        barred = eligible.mask(model.device)
        chosen = torch.from_numpy(np.maximum(lists.items, 0)).to(model.device)
        shares, hits = np.empty((draws, *shape), dtype=np.float32), np.zeros(shape)
        own = streams(self.seed, "spread", keys)
        for draw, logits in enumerate(islice(drawn_logits(model, histories, own, barred), draws)):
            total = torch.logsumexp(logits, dim=1, keepdim=True)
            shares[draw] = (logits.gather(1, chosen) - total).exp().cpu().numpy()
            items = top_k(logits, shape[1])[1] if list_of is None else list_of(logits)
            # Adds instead of writing, since an empty place, clamped to item 0, must not clear the mark of item 0.
            listed = torch.zeros_like(logits).scatter_add_(1, items.clamp(min=0), (items >= 0).to(logits.dtype))
            hits += listed.gather(1, chosen).cpu().numpy()
        smooth = (hits + 1.0) / (draws + 2.0)
        low, high = np.quantile(shares, [0.5 - self.level / 2, 0.5 + self.level / 2], axis=0)
        empty = lists.items < 0
        mean, sd, low, high, share, error = (
            np.where(empty, 0.0, values)
            for values in (
                shares.mean(axis=0, dtype=np.float64),
                shares.std(axis=0, ddof=1, dtype=np.float64),
                low,
                high,
                hits / draws,
                np.sqrt(smooth * (1.0 - smooth) / (draws + 3.0)),
            )
        )
        return replace(lists, spread=Spread(mean, sd, low, high, share, error, draws))


@dataclass(frozen=True)
class PosteriorSample:
    """The list of one draw from the posterior (Thompson sampling), with marginal propensities.

    Source: chapelle2011.

    Args:
        seed: seed of the draws; a user's list depends on it and on the user's key, and is the same in any batch.
        draws: number of draws for the spread and the propensities, independent of the one that is shown; the model's
            `propensity_draws` if None, since a propensity needs more draws than a spread.
        level: share of the draws inside the credible interval.

    Raises:
        ShapeError: fewer than two draws, or a level outside (0, 1).
    """

    random: ClassVar[bool] = True

    seed: int = 0
    draws: int | None = None
    level: float = 0.9

    def __post_init__(self) -> None:
        _check_draws(self.draws, self.level)

    def check(self, model: Recommender[Any]) -> None:
        """Check that the model has a posterior.

        Raises:
            ConfigError: it has none.
        """
        _sampler(model, "a draw from the posterior")

    def _spread(self, model: Recommender[Any]) -> WithSpread:
        draws = _sampler(model, "a draw from the posterior").propensity_draws if self.draws is None else self.draws
        return WithSpread(draws=draws, level=self.level, seed=self.seed)

    def block(self, model: Recommender[Any], k: int) -> int:
        """Number of users whose draws are kept at once."""
        return self._spread(model).block(model, k)

    def rank(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, k: int, keys: Sequence[int]
    ) -> RankedLists:
        """The lists of a block of users."""
        logits = self.drawn(model, histories, eligible, keys)
        top, items = top_k(logits, k)
        total = torch.logsumexp(logits, dim=1, keepdim=True)
        values = torch.where(items < 0, -torch.inf, top - total).float()
        shown = RankedLists(items.cpu().numpy(), values.cpu().numpy(), normalized=True)
        return self.with_propensities(model, histories, eligible, shown, keys)

    def drawn(
        self, model: Recommender[Any], histories: Histories, eligible: Eligibility, keys: Sequence[int]
    ) -> Float[Tensor, "users items"]:
        """The logits of the draw that is shown, −∞ for items that may not be listed; the next draw may reuse the memory."""
        own = streams(self.seed, "shown", keys)
        (logits,) = islice(drawn_logits(model, histories, own, eligible.mask(model.device)), 1)
        return logits

    def with_propensities(
        self,
        model: Recommender[Any],
        histories: Histories,
        eligible: Eligibility,
        shown: RankedLists,
        keys: Sequence[int],
        list_of: ListOf | None = None,
    ) -> RankedLists:
        """The given lists, with the spread and the propensities of their entries, estimated by further draws.

        Args:
            list_of: the items that a draw lists; the k best ones if None.
        """
        found = self._spread(model).spread(model, histories, eligible, shown, keys, list_of)
        assert found.spread is not None
        draws = found.spread.draws
        hits = np.rint(found.spread.in_top_k * draws)
        return replace(
            found,
            propensity=found.spread.in_top_k,
            propensity_se=found.spread.in_top_k_se,
            inverse_propensity=np.where(shown.items < 0, 0.0, (draws + 1.0) / (hits + 1.0)),
        )
