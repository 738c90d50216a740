"""The evidence lower bound: its terms, the reparameterized draw, and the closed-form KL.

log p(x) ≥ E_q(z|x)[log p(x|z)] − KL(q(z|x) ‖ p(z))
"""

import math
from dataclasses import dataclass

import torch

from foldin.tensors import Float, Tensor
from foldin.workers import drawn

__all__ = [
    "ElboTerms",
    "gaussian_kl",
    "gaussian_kl_terms",
    "log_normal",
    "log_normal_terms",
    "perturbed",
    "reparameterize",
]

_LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class ElboTerms:
    """Both terms of each user's bound, in nats; the bound is `reconstruction − kl`."""

    reconstruction: Float[Tensor, " users"]
    kl: Float[Tensor, " users"]

    @property
    def bound(self) -> Float[Tensor, " users"]:
        return self.reconstruction - self.kl


def reparameterize(
    mu: Float[Tensor, "users latent"], logvar: Float[Tensor, "users latent"], generator: torch.Generator
) -> Float[Tensor, "users latent"]:
    """One draw z = μ + σ ε for each user, with ε ~ N(0, I), differentiable in μ and log σ².

    Source: kingma2014, section 2.4.
    """
    noise = drawn(
        mu.shape,
        generator,
        lambda shape: torch.randn(shape, generator=generator, device=mu.device, dtype=mu.dtype),
    )
    return perturbed(mu, logvar, noise)


def perturbed(
    mu: Float[Tensor, "users latent"], logvar: Float[Tensor, "users latent"], noise: Float[Tensor, "users latent"]
) -> Float[Tensor, "users latent"]:
    """The draw z = μ + σ ε of each user for given noise ε."""
    return mu + torch.exp(0.5 * logvar) * noise


def gaussian_kl_terms(
    mu: Float[Tensor, "users latent"], logvar: Float[Tensor, "users latent"]
) -> Float[Tensor, "users latent"]:
    """KL(N(μ_j, σ_j²) ‖ N(0, 1)) of each user's latent dimensions, in nats.

    Source: kingma2014, appendix B.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)


def gaussian_kl(mu: Float[Tensor, "users latent"], logvar: Float[Tensor, "users latent"]) -> Float[Tensor, " users"]:
    """KL(N(μ, diag σ²) ‖ N(0, I)) of each user, in nats: summed over the latent dimensions."""
    return gaussian_kl_terms(mu, logvar).sum(dim=1)


def log_normal_terms(
    z: Float[Tensor, "... latent"], mu: Float[Tensor, "... latent"], logvar: Float[Tensor, "... latent"]
) -> Float[Tensor, "... latent"]:
    """log N(z_j; μ_j, σ_j²) of each latent dimension, in nats."""
    return -0.5 * (_LOG_2_PI + logvar + (z - mu).square() * torch.exp(-logvar))


def log_normal(
    z: Float[Tensor, "... latent"], mu: Float[Tensor, "... latent"], logvar: Float[Tensor, "... latent"]
) -> Float[Tensor, "..."]:
    """log N(z; μ, diag σ²) in nats: summed over the latent dimensions."""
    return log_normal_terms(z, mu, logvar).sum(dim=-1)
