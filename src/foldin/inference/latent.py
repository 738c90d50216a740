"""What every latent-variable model with an encoder shares: posterior, likelihood and prior, one by one, and its bound.

Recommenders and models of pictures alike: the bound report works with these three and with nothing else.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch

from foldin.inference.elbo import ElboTerms, gaussian_kl, log_normal, reparameterize
from foldin.rows import Rows
from foldin.tensors import Float, Tensor

__all__ = ["LatentModel"]

D = TypeVar("D", bound=Rows)


class LatentModel(ABC, Generic[D]):
    """q(z|x) = N(μ(x), diag σ²(x)), p(x|z), and a prior p(z), or p(z|x) where it is adaptive, for rows x of D.

    A subclass sets `standard_prior` and `device`, and with another prior gives `log_prior` and `draw`.
    """

    standard_prior: bool
    prior_sees_data: bool = False  # p(z|x): what is optimized is then no bound on a log p(x)
    device: torch.device

    @abstractmethod
    def _check(self, data: D) -> None:
        """Raises: ShapeError: rows of another shape than the model's."""

    @abstractmethod
    def block(self) -> int:
        """Rows to work on at once."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything learned, by name: the live tensors."""

    @abstractmethod
    def posterior(self, data: D) -> tuple[Float[Tensor, "rows latent"], Float[Tensor, "rows latent"]]:
        """(μ, log σ²) of each row, without dropout."""

    @abstractmethod
    def log_likelihood(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """log p(x | z) of each row, in nats; without a gradient."""

    @abstractmethod
    def differentiable_log_likelihood(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """As `log_likelihood`, with a gradient in z; the backward pass must come before the next call."""

    @property
    def prior_name(self) -> str:
        """The prior, in the words of a report."""
        return "standard normal" if self.standard_prior else "of its own; KL by Monte Carlo"

    def log_prior(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """log p(z) of each row's z, in nats; a standard normal unless the model has another."""
        return log_normal(z, torch.zeros_like(z), torch.zeros_like(z))

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n latent"] | None:
        """Draws of z from the prior; None where it is the standard normal, or looks at x."""
        return None

    def simulated(self, z: Float[Tensor, "rows latent"], data: D, generator: torch.Generator) -> D | None:
        """A draw of x from p(x|z) for each z, of as many units as the rows of `data` have; None where that is not to be had."""
        return None

    @torch.no_grad()
    def elbo(self, data: D, generator: torch.Generator) -> ElboTerms:
        """Each row's bound on log p(x), in nats: one draw of z; the KL in closed form where the prior has one.

        Where the prior looks at x (`prior_sees_data`), it is the model's objective, and not a bound on any log p(x).

        Blocks of rows take their draws one after the other.

        Source: kingma2014, eq. 7 (estimator B), or eq. 6 (estimator A) under another prior.
        """
        self._check(data)
        step = self.block()
        parts = [self._elbo(data.rows(at, at + step), generator) for at in range(0, max(1, len(data)), step)]
        return ElboTerms(torch.cat([part.reconstruction for part in parts]), torch.cat([part.kl for part in parts]))

    def _elbo(self, data: D, generator: torch.Generator) -> ElboTerms:
        mu, logvar = self.posterior(data)
        z = reparameterize(mu, logvar, generator)
        reconstruction = self.log_likelihood(z, data)
        if self.standard_prior:
            return ElboTerms(reconstruction, gaussian_kl(mu, logvar))
        return ElboTerms(reconstruction, log_normal(z, mu, logvar) - self.log_prior(z, data))
