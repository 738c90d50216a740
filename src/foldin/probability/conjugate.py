"""Conjugate pairs: the posterior, of the same family as the prior, and the predictive distribution of the next observation.

Source: gelman2013, chapters 2 and 3; murphy2007 for the normal with unknown mean and variance.
"""

import math
from dataclasses import dataclass

import torch
from torch.distributions import Bernoulli, Beta, Categorical, Dirichlet, Gamma, NegativeBinomial, Normal, StudentT

from foldin.errors import FitError, ShapeError
from foldin.tensors import Shaped, Tensor

__all__ = [
    "NormalGamma",
    "beta_bernoulli",
    "dirichlet_categorical",
    "gamma_exponential",
    "gamma_poisson",
    "normal_normal",
]


_LOG_2_PI = math.log(2.0 * math.pi)


def _seen(what: str, values: Tensor) -> Tensor:
    """The counts or totals, checked.

    Raises:
        FitError: a value that is negative or not finite.
    """
    if not bool((torch.isfinite(values) & (values >= 0)).all()):
        raise FitError(f"{what} must be finite and not negative, not {values.tolist()}")
    return values


def beta_bernoulli(prior: Beta, successes: Tensor, failures: Tensor) -> tuple[Beta, Bernoulli]:
    """Posterior of p, Beta(a + successes, b + failures), and predictive distribution of the next observation.

    Raises:
        FitError: a count that is negative or not finite.
    """
    posterior = Beta(
        prior.concentration1 + _seen("successes", successes), prior.concentration0 + _seen("failures", failures)
    )
    return posterior, Bernoulli(probs=posterior.mean)


def dirichlet_categorical(prior: Dirichlet, counts: Shaped[Tensor, "... k"]) -> tuple[Dirichlet, Categorical]:
    """Posterior of the category probabilities, Dirichlet(a + counts), and predictive distribution of the next observation.

    Raises:
        FitError: a count that is negative or not finite.
    """
    posterior = Dirichlet(prior.concentration + _seen("counts", counts))
    return posterior, Categorical(probs=posterior.mean)


def gamma_poisson(prior: Gamma, total: Tensor, observations: Tensor) -> tuple[Gamma, NegativeBinomial]:
    """Posterior of the rate, Gamma(a', b') = Gamma(a + total, b + observations), and predictive distribution of the next count.

    The latter is a negative binomial, NB(a', 1/(1 + b')).

    Args:
        prior: prior distribution of the rate.
        total: sum of the counts.
        observations: number of counts.

    Raises:
        FitError: a total or a number of observations that is negative or not finite.
    """
    posterior = Gamma(prior.concentration + _seen("total", total), prior.rate + _seen("observations", observations))
    return posterior, NegativeBinomial(posterior.concentration, probs=1.0 / (1.0 + posterior.rate))


def gamma_exponential(prior: Gamma, total: Tensor, observations: Tensor) -> Gamma:
    """Posterior of the rate, Gamma(a', b') = Gamma(a + observations, b + total).

    The next value follows a Lomax distribution of shape a' and scale b'.

    Args:
        prior: prior distribution of the rate.
        total: sum of the values.
        observations: number of values.

    Raises:
        FitError: a total or a number of observations that is negative or not finite.
    """
    return Gamma(prior.concentration + _seen("observations", observations), prior.rate + _seen("total", total))


def normal_normal(prior: Normal, sd: Tensor, mean: Tensor, observations: Tensor) -> tuple[Normal, Normal]:
    """Posterior of the mean, and predictive distribution of the next observation, for normal data of known standard deviation.

    Args:
        prior: prior distribution of the mean.
        sd: standard deviation of one observation.
        mean: mean of the observations.
        observations: number of observations.

    Raises:
        FitError: a standard deviation that is not positive and finite, a mean that is not finite, or a negative number of
            observations.
    """
    if not bool((torch.isfinite(sd) & (sd > 0)).all() and torch.isfinite(mean).all()):
        raise FitError("sd must be positive and finite, and mean finite")
    # Computed from standard deviations, since their squares may overflow or underflow.
    weight = _seen("observations", observations).sqrt() * prior.scale / sd
    length = torch.hypot(torch.ones_like(weight), weight)
    share = (weight / length) ** 2
    posterior = Normal(prior.loc + share * (mean - prior.loc), prior.scale / length)
    return posterior, Normal(posterior.loc, torch.hypot(posterior.scale, sd.to(posterior.scale)))


@dataclass(frozen=True)
class NormalGamma:
    """Normal-gamma distribution of the mean μ and the precision τ of normal data: τ ~ Gamma(a, b), μ | τ ~ N(m, 1/(β τ)).

    All results are computed in float64, whatever the types of the parameters and the data.

    Args:
        m, beta: location of the mean, and its precision relative to τ.
        a, b: shape and rate of the precision.
    """

    m: Shaped[Tensor, "..."]
    beta: Shaped[Tensor, "..."]
    a: Shaped[Tensor, "..."]
    b: Shaped[Tensor, "..."]

    def _checked(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        m, beta, a, b = (value.to(torch.float64) for value in (self.m, self.beta, self.a, self.b))
        if not bool(torch.isfinite(m).all()) or not all(
            bool((torch.isfinite(one) & (one > 0)).all()) for one in (beta, a, b)
        ):
            raise FitError("normal-gamma: m must be finite, and beta, a and b positive and finite")
        return m, beta, a, b

    def posterior(self, x: Shaped[Tensor, "n ..."]) -> "NormalGamma":
        """Posterior given the observations along the first axis of x; the prior itself if there are none.

        Raises:
            ShapeError: x is a single number, without an axis of observations.
            FitError: parameters outside their range, or data that are not finite.
        """
        m, prior, a, b = self._checked()
        if x.ndim == 0:
            raise ShapeError("normal-gamma: x must have observations along its first axis, not be a single number")
        x = x.to(torch.float64)
        if not bool(torch.isfinite(x).all()):
            raise FitError("normal-gamma: data must be finite")
        n = len(x)
        if n == 0:
            return NormalGamma(m, prior, a, b)
        mean = x.mean(dim=0)
        spread = (x - mean).square().sum(dim=0)
        beta = prior + n
        b = b + 0.5 * spread + 0.5 * prior * n * (mean - m).square() / beta
        return NormalGamma(m + n / beta * (mean - m), beta, a + n / 2, b)

    def predictive(self) -> StudentT:
        """Predictive distribution of the next observation."""
        m, beta, a, b = self._checked()
        return StudentT(2 * a, m, (b * (beta + 1) / (a * beta)).sqrt())

    def log_evidence(self, x: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "..."]:
        """Log evidence log p(x) of all observations together, in nats.

        Raises:
            FitError: parameters outside their range, or data that are not finite.
        """
        _, beta, a, b = self._checked()
        after, n = self.posterior(x), len(x)
        terms = torch.lgamma(after.a) - torch.lgamma(a) - a * (after.b / b).log() - 0.5 * n * after.b.log()
        return terms + 0.5 * (beta / after.beta).log() - 0.5 * n * _LOG_2_PI
