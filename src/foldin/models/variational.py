"""What a variational recommender adds to the contract: its posterior, its likelihood and its prior, one by one.

The bound report works with these three and with nothing else, so that every such model is examined alike.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, TypeVar

import torch

from foldin.blocks import multinomial_log_likelihood
from foldin.data import Histories
from foldin.inference import ElboTerms, gaussian_kl, log_normal, reparameterise
from foldin.models.config import Config
from foldin.models.posterior import Posterior
from foldin.tensors import Float, Tensor

__all__ = ["Variational"]

C = TypeVar("C", bound=Config)


class Variational(Posterior[C]):
    """A recommender with q(z|x) = N(μ(x), diag σ²(x)), p(x|z) multinomial, and a prior p(z), or p(z|x) where it is adaptive.

    A subclass sets `standard_prior` and gives `posterior` and `decode`; with another prior also `log_prior`.
    """

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

    def drawn_logits(self, histories: Histories, generator: torch.Generator) -> Iterator[Float[Tensor, "users items"]]:
        mu, logvar = self.posterior(histories)
        while True:
            yield self.decode(reparameterise(mu, logvar, generator))

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self.decode(self.posterior(histories)[0])
