"""What a variational recommender adds to the contract: its posterior, its likelihood and its prior, one by one.

The bound report works with these three and with nothing else, so that every such model is examined alike.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
import torch

from foldin.blocks import multinomial_log_likelihood, top_k
from foldin.data import Histories
from foldin.errors import ShapeError
from foldin.inference import ElboTerms, gaussian_kl, log_normal, reparameterise
from foldin.models.base import Recommender, TopK
from foldin.models.config import Config
from foldin.tensors import Array, Bool, Float, Int64, Tensor

__all__ = ["Predictive", "Variational"]

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class Predictive(TopK):
    """Lists, and how sure the posterior is of each entry. Empty places hold 0.

    Args:
        mean: posterior mean of the item's probability.
        sd: posterior standard deviation of that probability.
        in_top_k: P(the item is among the k best), over draws of z: the propensity of being listed when exploring.
    """

    mean: Float[Array, "users k"]
    sd: Float[Array, "users k"]
    in_top_k: Float[Array, "users k"]


class Variational(Recommender[C]):
    """A recommender with q(z|x) = N(μ(x), diag σ²(x)), p(x|z) multinomial, and a prior p(z), or p(z|x) where it is adaptive.

    A subclass sets `standard_prior` and gives `posterior` and `decode`; with another prior also `log_prior`.
    """

    has_likelihood = True
    standard_prior: ClassVar[bool]

    @abstractmethod
    def posterior(self, histories: Histories) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
        """(μ, log σ²) of each person, without dropout."""

    @abstractmethod
    def decode(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        """Logits of p(item | z); the memory may be used again by the next call, and may be written to."""

    def log_prior(self, z: Float[Tensor, "users latent"], histories: Histories) -> Float[Tensor, " users"]:
        """log p(z) of each person's z, in nats; a standard normal unless the model has another."""
        return log_normal(z, torch.zeros_like(z), torch.zeros_like(z))

    def log_likelihood(self, z: Float[Tensor, "users latent"], histories: Histories) -> Float[Tensor, " users"]:
        """log p(x | z) of each person's items, in nats; without a gradient."""
        items, offsets = histories.tensors(self.device)
        return multinomial_log_likelihood(self.decode(z), items, offsets)

    @abstractmethod
    def differentiable_log_likelihood(
        self, z: Float[Tensor, "users latent"], histories: Histories
    ) -> Float[Tensor, " users"]:
        """As `log_likelihood`, with a gradient in z; the backward pass must come before the next call."""

    @torch.no_grad()
    def elbo(self, histories: Histories, generator: torch.Generator) -> ElboTerms:
        """Each person's bound on log p(x), in nats: one draw of z; the KL in closed form where the prior has one.

        Source: kingma2014, eq. 7 (estimator B), or eq. 6 (estimator A) under another prior.
        """
        self._check(histories)
        mu, logvar = self.posterior(histories)
        z = reparameterise(mu, logvar, generator)
        reconstruction = self.log_likelihood(z, histories)
        if self.standard_prior:
            return ElboTerms(reconstruction, gaussian_kl(mu, logvar))
        return ElboTerms(reconstruction, log_normal(z, mu, logvar) - self.log_prior(z, histories))

    @torch.no_grad()
    def predictive(
        self,
        histories: Histories,
        k: int,
        generator: torch.Generator,
        *,
        draws: int = 100,
        explore: bool = False,
        exclude_seen: bool = True,
        allow: Sequence[int] | None = None,
        deny: Sequence[int] | None = None,
    ) -> Predictive:
        """Lists with the uncertainty of the posterior: what would change if z were drawn anew.

        Args:
            histories, k, exclude_seen, allow, deny: as in `recommend`.
            generator: of the draws, on the model's device.
            draws: of z for each person.
            explore: take the list of the first draw (Thompson sampling) instead of that of the posterior mean.

        Raises:
            ShapeError: as in `recommend`, or fewer than two draws.
        """
        if draws < 2:
            raise ShapeError(f"a spread needs at least two draws, not {draws}")
        banned = self._banned(allow, deny)
        fixed = self.recommend(histories, k, exclude_seen=exclude_seen, allow=allow, deny=deny)
        found = Predictive(fixed.items, fixed.scores, *(np.zeros(fixed.items.shape) for _ in range(3)))
        step = max(1, self.block() // 4)
        for start in range(0, len(histories), step):
            part, at = histories.rows(start, start + step), slice(start, start + step)
            mu, logvar = self.posterior(part)
            barred = self._barred(part if exclude_seen else None, len(part), banned)
            total, squares, listed = (torch.zeros(len(part), self.n_items, device=self.device) for _ in range(3))
            for draw in range(draws):
                logits = self.decode(reparameterise(mu, logvar, generator)).masked_fill_(barred, -torch.inf)
                top, items = top_k(logits, k)
                listed.scatter_add_(1, items.clamp(min=0), (items >= 0).to(listed.dtype))
                shares = torch.softmax(logits, dim=1).nan_to_num_(0.0)
                total += shares
                squares += shares.square()
                if explore and draw == 0:
                    found.items[at] = items.cpu().numpy()
                    found.scores[at] = (top - torch.logsumexp(logits, dim=1, keepdim=True)).cpu().numpy()
            empty = found.items[at] < 0
            chosen = torch.from_numpy(np.maximum(found.items[at], 0)).to(self.device)
            mean = total.gather(1, chosen) / draws
            variance = (squares.gather(1, chosen) / draws - mean.square()).clamp(min=0.0) * draws / (draws - 1)
            for field, value in (
                ("mean", mean),
                ("sd", variance.sqrt()),
                ("in_top_k", listed.gather(1, chosen) / draws),
            ):
                getattr(found, field)[at] = np.where(empty, 0.0, value.cpu().numpy())
        return found

    def _barred(
        self, seen: Histories | None, users: int, banned: Int64[Array, " banned"]
    ) -> Bool[Tensor, "users items"]:
        barred = torch.zeros(users, self.n_items, dtype=torch.bool, device=self.device)
        if seen is not None:
            barred[torch.from_numpy(seen.users()), seen.tensors(self.device)[0]] = True
        barred[:, torch.from_numpy(banned)] = True
        return barred

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self.decode(self.posterior(histories)[0])
