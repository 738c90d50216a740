"""Conjugate pairs: a prior and data to a posterior of the same kind, and what it predicts of the next observation.

Source: gelman2013, chapters 2 and 3; murphy2007 for the normal with unknown mean and variance.
"""

from dataclasses import dataclass

import torch
from torch.distributions import Bernoulli, Beta, Categorical, Dirichlet, Gamma, NegativeBinomial, Normal, StudentT

from foldin.tensors import Float64, Tensor

__all__ = [
    "NormalGamma",
    "beta_bernoulli",
    "dirichlet_categorical",
    "gamma_exponential",
    "gamma_poisson",
    "normal_normal",
]


def beta_bernoulli(prior: Beta, successes: Tensor, failures: Tensor) -> tuple[Beta, Bernoulli]:
    """(posterior of p, of the next observation): Beta(a + successes, b + failures)."""
    posterior = Beta(prior.concentration1 + successes, prior.concentration0 + failures)
    return posterior, Bernoulli(probs=posterior.mean)


def dirichlet_categorical(prior: Dirichlet, counts: Float64[Tensor, "... k"]) -> tuple[Dirichlet, Categorical]:
    """(posterior of the shares, of the next observation): Dirichlet(a + counts)."""
    posterior = Dirichlet(prior.concentration + counts)
    return posterior, Categorical(probs=posterior.mean)


def gamma_poisson(prior: Gamma, total: Tensor, observations: Tensor) -> tuple[Gamma, NegativeBinomial]:
    """(posterior of the rate, of the next count): Gamma(a + total, b + observations), NB(a', 1/(1 + b'))."""
    posterior = Gamma(prior.concentration + total, prior.rate + observations)
    return posterior, NegativeBinomial(posterior.concentration, probs=1.0 / (1.0 + posterior.rate))


def gamma_exponential(prior: Gamma, total: Tensor, observations: Tensor) -> Gamma:
    """Posterior of the rate: Gamma(a + observations, b + total). The next value is Lomax, of shape a' and scale b'."""
    return Gamma(prior.concentration + observations, prior.rate + total)


def normal_normal(prior: Normal, sd: Tensor, mean: Tensor, observations: Tensor) -> tuple[Normal, Normal]:
    """(posterior of the mean, of the next observation) of normal data with known standard deviation.

    Args:
        prior: of the mean.
        sd: of an observation.
        mean: of the data.
        observations: how many.
    """
    precision = prior.scale**-2 + observations * sd**-2
    posterior = Normal((prior.loc * prior.scale**-2 + observations * mean * sd**-2) / precision, precision**-0.5)
    return posterior, Normal(posterior.loc, (posterior.scale**2 + sd**2).sqrt())


@dataclass(frozen=True)
class NormalGamma:
    """Of the mean and the precision of a normal: τ ~ Gamma(a, b), μ | τ ~ N(m, 1/(β τ)).

    Args:
        m, beta, a, b: parameters.
    """

    m: Float64[Tensor, "..."]
    beta: Float64[Tensor, "..."]
    a: Float64[Tensor, "..."]
    b: Float64[Tensor, "..."]

    def posterior(self, x: Float64[Tensor, "n ..."]) -> "NormalGamma":
        """After seeing the rows of x."""
        n, mean = len(x), x.mean(dim=0)
        spread = (x - mean).square().sum(dim=0)
        beta = self.beta + n
        b = self.b + 0.5 * spread + 0.5 * self.beta * n * (mean - self.m).square() / beta
        return NormalGamma((self.beta * self.m + n * mean) / beta, beta, self.a + n / 2, b)

    def predictive(self) -> StudentT:
        """Of the next observation."""
        scale = (self.b * (self.beta + 1) / (self.a * self.beta)).sqrt()
        return StudentT(2 * self.a, self.m, scale)

    def log_evidence(self, x: Float64[Tensor, "n ..."]) -> Float64[Tensor, "..."]:
        """log p(x), in nats."""
        after, n = self.posterior(x), len(x)
        terms = torch.lgamma(after.a) - torch.lgamma(self.a) + self.a * self.b.log() - after.a * after.b.log()
        return terms + 0.5 * (self.beta / after.beta).log() - 0.5 * n * torch.log(torch.tensor(2.0 * torch.pi))
