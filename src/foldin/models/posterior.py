"""What a recommender with a posterior adds to the contract: draws of its scores, and lists that say how sure it is."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from foldin.blocks import top_k
from foldin.data import Histories, Indices
from foldin.errors import ShapeError
from foldin.models.base import Recommender, TopK
from foldin.tensors import Array, Bool, Float, Int64, Tensor
from foldin.training import Config

__all__ = ["Posterior", "Predictive", "log_gammas", "log_of_product", "numpy_generator"]

_SHARES = 1 << 25  # probabilities of all draws that are kept at once
C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Predictive(TopK):
    """Lists, and how sure the posterior is of each entry. Empty places hold 0.

    Args:
        mean: posterior mean of the item's probability.
        sd: posterior standard deviation of that probability.
        low, high: ends of its credible interval.
        in_top_k: P(the item is among the k best), over the draws: the propensity of being listed when exploring.
    """

    mean: Float[Array, "users k"]
    sd: Float[Array, "users k"]
    low: Float[Array, "users k"]
    high: Float[Array, "users k"]
    in_top_k: Float[Array, "users k"]


class Posterior(Recommender[C]):
    """A recommender that has a posterior over what it does not know of a person (and of itself, where it keeps one).

    A subclass gives `drawn_logits`.
    """

    has_likelihood = True

    @abstractmethod
    def drawn_logits(self, histories: Histories, generator: torch.Generator) -> Iterator[Float[Tensor, "users items"]]:
        """Logits of p(next item | a draw from the posterior), a fresh draw each time, without end.

        The memory may be used again by the next draw, and may be written to.
        """

    @torch.no_grad()
    def predictive(
        self,
        histories: Histories,
        k: int,
        generator: torch.Generator,
        *,
        draws: int = 100,
        level: float = 0.9,
        explore: bool = False,
        exclude_seen: bool = True,
        allow: Indices | None = None,
        deny: Indices | None = None,
    ) -> Predictive:
        """Lists with the uncertainty of the posterior: what would change if the unknown were drawn anew.

        Args:
            histories, k, exclude_seen, allow, deny: as in `recommend`.
            generator: of the draws, on the model's device.
            draws: for each person.
            level: share of the draws inside the credible interval, half of the rest on either side.
            explore: take the list of the first draw (Thompson sampling) instead of that of `recommend`.

        Raises:
            ShapeError: as in `recommend`, fewer than two draws, or a level outside (0, 1).
        """
        if draws < 2 or not 0.0 < level < 1.0:
            raise ShapeError(f"a spread needs at least two draws and a level in (0, 1), not {draws} and {level:g}")
        self._check(histories)
        k, banned = self._places(k), self._banned(allow, deny)
        fixed = self.recommend(histories, k, exclude_seen=exclude_seen, allow=allow, deny=deny)
        found = Predictive(fixed.items, fixed.scores, *(np.zeros(fixed.items.shape) for _ in range(5)))
        step = max(1, min(self.block() // 4, _SHARES // (draws * k)))
        for start in range(0, len(histories), step):
            part, at = histories.rows(start, start + step), slice(start, start + step)
            barred = self._barred(part if exclude_seen else None, len(part), banned)
            shares = np.empty((draws, len(part), k))
            for draw, drawn in enumerate(islice(self.drawn_logits(part, generator), draws)):
                logits = drawn.masked_fill_(barred, -torch.inf)
                top, items = top_k(logits, k)
                total = torch.logsumexp(logits, dim=1, keepdim=True)
                if explore and draw == 0:
                    found.items[at] = items.cpu().numpy()
                    found.scores[at] = torch.where(items < 0, -torch.inf, top - total).cpu().numpy()
                chosen = torch.from_numpy(np.maximum(found.items[at], 0)).to(self.device)
                shares[draw] = (logits.gather(1, chosen) - total).exp().cpu().numpy()
                # Adds: an empty place must not undo the listing of item 0.
                listed = torch.zeros_like(logits).scatter_add_(1, items.clamp(min=0), (items >= 0).to(logits.dtype))
                found.in_top_k[at] += listed.gather(1, chosen).cpu().numpy()
            found.in_top_k[at] /= draws
            found.mean[at] = shares.mean(axis=0)
            found.sd[at] = shares.std(axis=0, ddof=1)
            found.low[at], found.high[at] = np.quantile(shares, [0.5 - level / 2, 0.5 + level / 2], axis=0)
        for field in (found.mean, found.sd, found.low, found.high, found.in_top_k):
            field[found.items < 0] = 0.0
        return found

    def _barred(
        self, seen: Histories | None, users: int, banned: Int64[Array, " banned"]
    ) -> Bool[Tensor, "users items"]:
        barred = torch.zeros(users, self.n_items, dtype=torch.bool, device=self.device)
        if seen is not None:
            barred[torch.from_numpy(seen.users()), seen.tensors(self.device)[0]] = True
        barred[:, torch.from_numpy(banned)] = True
        return barred


def log_gammas(shape: Float[Array, "..."], rng: np.random.Generator) -> Float[Array, "..."]:
    """log of a draw from Gamma(shape, 1) for each shape, however small: log G(a) = log G(a + 1) + log(U) / a.

    Source: marsaglia2000, section 6.
    """
    return np.log(rng.standard_gamma(shape + 1.0)) + np.log1p(-rng.random(shape.shape)) / shape


def log_of_product(
    people: Float[Array, "users parts"], items: Float[Array, "items parts"]
) -> Float[Tensor, "users items"]:
    """log Σ_k exp(people_uk + items_ik) up to a constant a person, in single precision; nothing is below e⁻⁸⁵."""
    a = np.exp(people - people.max(axis=1, keepdims=True)).astype(np.float32)
    b = np.exp(items - items.max()).astype(np.float32)
    return torch.from_numpy(np.maximum(a @ b.T, np.float32(1e-37))).log_()


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """NumPy's generator, seeded from PyTorch's: for families that the latter draws from its global generator only."""
    seed = torch.randint(1 << 62, (), generator=generator, device=generator.device, dtype=torch.int64)
    return np.random.default_rng(int(seed))
