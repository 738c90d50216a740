"""What a recommender with a posterior adds to the contract: draws of its scores, and lists that say how sure it is.

What is drawn for a user depends on the seed and on the user alone (`streams.py`): not on who else is asked for, nor on how users
are cut into blocks. The list that is shown and the draws that its propensities are counted over come from streams of their own.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, TypeVar

import numpy as np
import torch

from foldin.blocks import top_k
from foldin.data import Histories, Indices
from foldin.errors import ShapeError
from foldin.models.base import Recommender, TopK
from foldin.models.streams import Streams, keys_of, streams
from foldin.tensors import Array, Bool, Float, Int64, Tensor
from foldin.training import Config

__all__ = ["Posterior", "Predictive", "log_of_product"]

_DRAWS = 100
_SHARES = 1 << 25  # probabilities of all draws that are kept at once
C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Predictive(TopK):
    """Lists, and how sure the posterior is of each entry. Empty places hold 0.

    Args:
        mean: posterior mean of the item's probability.
        sd: posterior standard deviation of that probability.
        low, high: ends of its credible interval.
        in_top_k: P(the item is among the k best) over draws from the posterior: X / n of n independent draws that list it X
            times, an unbiased estimate. When exploring, the marginal propensity of the item: that it is somewhere in the list,
            whatever else is. 0 where no draw lists it: then it is small against 1 / n, not impossible.
        in_top_k_se: standard error of that: the posterior standard deviation of a share of which X of n were seen,
            √(p̃ (1 − p̃) / (n + 3)) with p̃ = (X + 1) / (n + 2), which is above 0 at X = 0 and X = n too.
        inverse_propensity: (n + 1) / (X + 1), the weight of the entry in inverse propensity scoring; finite, where n / X
            is not. As an estimate of 1 / p it is nearly unbiased: its mean is (1 − (1 − p)^{n+1}) / p, so that it falls short by
            the share (1 − p)^{n+1}: by 0.7 % at p = .005 and n = 1,000, by 60 % at n = 100. More draws are the remedy.
        draws: n.
    """

    mean: Float[Array, "users k"]
    sd: Float[Array, "users k"]
    low: Float[Array, "users k"]
    high: Float[Array, "users k"]
    in_top_k: Float[Array, "users k"]
    in_top_k_se: Float[Array, "users k"]
    inverse_propensity: Float[Array, "users k"]
    draws: int


class Posterior(Recommender[C]):
    """A recommender that has a posterior over what it does not know of a person (and of itself, where it keeps one).

    A subclass gives `drawn_logits`.

    Args:
        propensity_draws: draws that propensities are counted over when none are asked for.
    """

    has_likelihood = True
    propensity_draws: ClassVar[int] = 1000

    @abstractmethod
    def drawn_logits(self, histories: Histories, streams: Streams) -> Iterator[Float[Tensor, "users items"]]:
        """Logits of p(next item | a draw from the posterior), a fresh draw each time, without end.

        What is unknown of a user is drawn from that user's stream, what is unknown of the model from the shared one. The
        memory may be used again by the next draw, and may be written to.
        """

    @torch.no_grad()
    def predictive(
        self,
        histories: Histories,
        k: int,
        generator: torch.Generator,
        *,
        draws: int | None = None,
        level: float = 0.9,
        explore: bool = False,
        keys: Sequence[int] | None = None,
        exclude_seen: bool = True,
        allow: Indices | None = None,
        deny: Indices | None = None,
    ) -> Predictive:
        """Lists with the uncertainty of the posterior: what would change if the unknown were drawn anew.

        Args:
            histories, k, exclude_seen, allow, deny: as in `recommend`.
            generator: gives the seed; with a generator of the same seed, a user is given the same list in any batch.
            draws: for each person; when None 100, or when exploring `propensity_draws`, since a propensity needs more of them.
            level: share of the draws inside the credible interval, half of the rest on either side.
            explore: take the list of one more draw (Thompson sampling) instead of that of `recommend`. The others, over which
                the spread and the propensities are counted, are independent of it.
            keys: of the users, by `user_key`; their histories, when None: then equal histories are given equal lists.

        Raises:
            ShapeError: as in `recommend`, fewer than two draws, a level outside (0, 1), or not a key for each user.
        """
        draws = (self.propensity_draws if explore else _DRAWS) if draws is None else draws
        if draws < 2 or not 0.0 < level < 1.0:
            raise ShapeError(f"a spread needs at least two draws and a level in (0, 1), not {draws} and {level:g}")
        if keys is not None and len(keys) != len(histories):
            raise ShapeError(f"{len(keys)} keys of {len(histories)} users")
        self._check(histories)
        keys = keys_of(histories) if keys is None else keys
        seed = int(torch.randint(1 << 62, (), generator=generator, device=generator.device, dtype=torch.int64))
        banned = self._banned(allow, deny)
        fixed = self.recommend(histories, k, exclude_seen=exclude_seen, allow=allow, deny=deny)
        k = fixed.items.shape[1]
        mean, sd, low, high, listed_share, error, weight = (np.zeros(fixed.items.shape) for _ in range(7))
        found = Predictive(fixed.items, fixed.scores, mean, sd, low, high, listed_share, error, weight, draws)
        step = max(1, min(self.block() // 4, _SHARES // (draws * k)))
        for start in range(0, len(histories), step):
            part, at, own = histories.rows(start, start + step), slice(start, start + step), keys[start : start + step]
            barred = self._barred(part if exclude_seen else None, len(part), banned)
            if explore:
                (logits,) = islice(self.drawn(part, streams(seed, "shown", own), barred), 1)
                top, items = top_k(logits, k)
                total = torch.logsumexp(logits, dim=1, keepdim=True)
                found.items[at] = items.cpu().numpy()
                found.scores[at] = torch.where(items < 0, -torch.inf, top - total).cpu().numpy()
            chosen = torch.from_numpy(np.maximum(found.items[at], 0)).to(self.device)
            shares = np.empty((draws, len(part), k), dtype=np.float32)
            for draw, logits in enumerate(islice(self.drawn(part, streams(seed, "spread", own), barred), draws)):
                total = torch.logsumexp(logits, dim=1, keepdim=True)
                shares[draw] = (logits.gather(1, chosen) - total).exp().cpu().numpy()
                items = top_k(logits, k)[1]
                # Adds: an empty place must not undo the listing of item 0.
                listed = torch.zeros_like(logits).scatter_add_(1, items.clamp(min=0), (items >= 0).to(logits.dtype))
                found.in_top_k[at] += listed.gather(1, chosen).cpu().numpy()
            found.mean[at] = shares.mean(axis=0, dtype=np.float64)
            found.sd[at] = shares.std(axis=0, ddof=1, dtype=np.float64)
            found.low[at], found.high[at] = np.quantile(shares, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        found.inverse_propensity[:] = (draws + 1.0) / (found.in_top_k + 1.0)
        smooth = (found.in_top_k + 1.0) / (draws + 2.0)
        found.in_top_k_se[:] = np.sqrt(smooth * (1.0 - smooth) / (draws + 3.0))
        found.in_top_k[:] /= draws
        for field in (
            found.mean,
            found.sd,
            found.low,
            found.high,
            found.in_top_k,
            found.in_top_k_se,
            found.inverse_propensity,
        ):
            field[found.items < 0] = 0.0
        return found

    def drawn(
        self, histories: Histories, streams: Streams, barred: Bool[Tensor, "users items"]
    ) -> Iterator[Float[Tensor, "users items"]]:
        """`drawn_logits` under the temperature, −inf for what may not be listed."""
        for logits in self.drawn_logits(histories, streams):
            yield self._tempered(logits, histories).masked_fill_(barred, -torch.inf)

    def _barred(
        self, seen: Histories | None, users: int, banned: Int64[Array, " banned"]
    ) -> Bool[Tensor, "users items"]:
        barred = torch.zeros(users, self.n_items, dtype=torch.bool, device=self.device)
        if seen is not None:
            barred[torch.from_numpy(seen.users()), seen.tensors(self.device)[0]] = True
        barred[:, torch.from_numpy(banned)] = True
        return barred


def log_of_product(
    people: Float[Array, "users parts"], items: Float[Array, "items parts"]
) -> Float[Tensor, "users items"]:
    """log Σ_k exp(people_uk + items_ik) up to a constant a person, in single precision; nothing is below e⁻⁸⁵."""
    a = np.exp(people - people.max(axis=1, keepdims=True)).astype(np.float32)
    b = np.exp(items - items.max()).astype(np.float32)
    return torch.from_numpy(np.maximum(a @ b.T, np.float32(1e-37))).log_()
