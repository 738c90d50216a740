"""Interface of latent-variable models with an encoder: posterior, likelihood, prior, and the bound that they give.

Recommenders and models of pictures share it; the bound report uses nothing else of a model.
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
    """A model of rows x of D: q(z|x) = N(μ(x), diag σ²(x)), p(x|z), and a prior p(z), or p(z|x) if it adapts to x.

    A subclass sets `standard_prior` and `device`; one with another prior also overrides `log_prior` and `draw`.
    """

    standard_prior: bool
    prior_sees_data: bool = False  # for a prior p(z|x): the objective is then not a bound on log p(x)
    device: torch.device

    @abstractmethod
    def _check(self, data: D) -> None:
        """Check that rows have the shape that the model expects.

        Raises:
            ShapeError: they have another shape.
        """

    @abstractmethod
    def block(self) -> int:
        """Number of rows to process at once."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """All learned tensors by name: the live tensors, not copies."""

    @abstractmethod
    def posterior(self, data: D) -> tuple[Float[Tensor, "rows latent"], Float[Tensor, "rows latent"]]:
        """(μ, log σ²) of q(z|x) for each row, without dropout."""

    @abstractmethod
    def log_likelihood(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """log p(x | z) of each row, in nats; without a gradient."""

    @abstractmethod
    def differentiable_log_likelihood(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """As `log_likelihood`, with a gradient in z; the backward pass must come before the next call."""

    @property
    def prior_name(self) -> str:
        """Name of the prior in reports."""
        return "standard normal" if self.standard_prior else "of its own; KL by Monte Carlo"

    def log_prior(self, z: Float[Tensor, "rows latent"], data: D) -> Float[Tensor, " rows"]:
        """log p(z) of each row's z, in nats; a standard normal unless the model has another."""
        return log_normal(z, torch.zeros_like(z), torch.zeros_like(z))

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n latent"] | None:
        """n draws of z from the prior; None if it is the standard normal or depends on x."""
        return None

    def simulated(self, z: Float[Tensor, "rows latent"], data: D, generator: torch.Generator) -> D | None:
        """A draw of x from p(x|z) for each z, with as many units as the rows of `data`; None if the model cannot simulate."""
        return None

    @torch.no_grad()
    def elbo(self, data: D, generator: torch.Generator) -> ElboTerms:
        """Terms of each row's bound on log p(x), in nats, from one draw of z; the KL is in closed form if the prior has one.

        If the prior depends on x (`prior_sees_data`), they are the terms of the model's objective, not of a bound on log p(x).

        Blocks of rows use consecutive draws of the generator.

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
