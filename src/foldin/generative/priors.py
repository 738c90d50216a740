"""Priors over z: their options, and the learned ones, which are mixtures of Gaussians with diagonal covariances.

    normal    p(z) = N(z; 0, I)
    mixture   p(z) = Σ_k w_k N(z; m_k, diag s_k²),  w, m and s learned
    vamp      p(z) = 1/K Σ_k q(z | u_k),  the encoder's posterior at K learned pseudo-inputs u_k

The last one approximates the optimal prior for a given encoder, the aggregate posterior, by K components.

Source: tomczak2018, section 2, and their code (pseudo-inputs are clipped to [0, 1]).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from foldin.inference import log_normal, reparameterize
from foldin.tensors import Float, Tensor
from foldin.training import Option, setting

__all__ = ["LearnedPrior", "MixtureOfGaussians", "MixtureOfPosteriors", "MixturePrior", "NormalPrior", "VampPrior"]

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]


class LearnedPrior(nn.Module, ABC):
    """Base class of mixtures Σ_k w_k N(z; m_k, diag s_k²); a subclass defines the components."""

    @abstractmethod
    def components(
        self,
    ) -> tuple[Float[Tensor, " components"], Float[Tensor, "components latent"], Float[Tensor, "components latent"]]:
        """(log w, m, log s²) of the components."""

    def log_prob(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, " rows"]:
        """log p(z) of each vector, in nats."""
        log_weights, mu, logvar = self.components()
        return torch.logsumexp(log_weights + log_normal(z[:, None], mu, logvar), dim=1)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n latent"]:
        """n draws of z."""
        log_weights, mu, logvar = self.components()
        which = torch.multinomial(log_weights.exp(), n, replacement=True, generator=generator)
        return reparameterize(mu[which], logvar[which], generator)


class MixtureOfGaussians(LearnedPrior):
    """A mixture with learned components, which begin with equal weights, means from N(0, I) and unit variances."""

    def __init__(self, components: int, latent: int, *, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components, device=device))
        self.means = nn.Parameter(torch.randn((components, latent), generator=generator).to(device))
        self.log_variances = nn.Parameter(torch.zeros((components, latent), device=device))

    def components(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.logits.log_softmax(dim=0), self.means, self.log_variances


class MixtureOfPosteriors(LearnedPrior):
    """The mixture of the encoder's posteriors at learned pseudo-inputs.

    Args:
        components: number of pseudo-inputs, which begin uniform in [0, 1].
        shape: of an example.
        encode: function pseudo-inputs → (μ, log σ²); its parameters are the model's.
    """

    def __init__(
        self,
        components: int,
        shape: tuple[int, ...],
        encode: Encode,
        *,
        generator: torch.Generator,
        device: torch.device,
    ) -> None:
        super().__init__()
        self.inputs = nn.Parameter(torch.rand((components, *shape), generator=generator).to(device))
        self._encode = encode

    def components(self) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self._encode(self.inputs.clamp(0.0, 1.0))
        count = torch.full((len(mu),), float(len(mu)), device=mu.device, dtype=mu.dtype)
        return -count.log(), mu, logvar


@dataclass(frozen=True, kw_only=True)
class NormalPrior(Option):
    """The standard normal distribution, which is not learned."""

    name = "normal"
    estimator: str = setting(
        "b", "Estimator of the KL term: a from the draws of z, b in closed form.", choices=("a", "b")
    )

    @property
    def described(self) -> str:
        """The prior in words, for the bound report."""
        return "standard normal"


@dataclass(frozen=True, kw_only=True)
class MixturePrior(Option):
    """A mixture of Gaussians with learned weights, means and variances."""

    name = "mixture"
    n_components: int = setting(500, "Gaussians of the mixture, K.", low=1)

    @property
    def described(self) -> str:
        """The prior in words, for the bound report."""
        return f"mixture of {self.n_components} Gaussians; KL by Monte Carlo"


@dataclass(frozen=True, kw_only=True)
class VampPrior(Option):
    """The mixture of the encoder's posteriors at learned pseudo-inputs.

    Source: tomczak2018, section 2.
    """

    name = "vamp"
    n_components: int = setting(500, "Pseudo-inputs, K.", low=1)

    @property
    def described(self) -> str:
        """The prior in words, for the bound report."""
        return f"mixture of the encoder's posteriors at {self.n_components} pseudo-inputs; KL by Monte Carlo"
