"""Black-box variational inference: a Gaussian approximation of the posterior, for any log-joint density written in PyTorch.

    θ = T(u),   u ~ q = N(m, L Lᵀ),   ELBO = E_q[log p(x, T(u)) + log |det T'(u)|] + H(q)

T maps unconstrained space onto the support of each parameter (positive numbers, probabilities, a simplex, …). The gradient goes
through u = m + L ε; the entropy is in closed form. L is diagonal in the family `mean-field`, and lower triangular in `full-rank`.

Source: kucukelbir2017 (ADVI), eqs. 4–9; kingma2014, eq. 6; yao2018 for k̂.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.distributions import biject_to, constraints

from foldin.errors import ConfigError, FitError
from foldin.inference.arguments import check_count, check_number
from foldin.inference.psis import effective_sample_size, psis
from foldin.tensors import Array, Float, Float64, Tensor

__all__ = ["BlackBoxResult", "GaussianApproximation", "Parameter", "black_box_vi"]

FAMILIES = ("mean-field", "full-rank")
_SMOOTHED = 25  # fewest draws for which importance weights can be smoothed
_LOG_2_PI_E = math.log(2.0 * math.pi * math.e)
LogJoint = Callable[[Mapping[str, Tensor]], Float[Tensor, " draws"]]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a log-joint density.

    Args:
        shape: shape of its value.
        support: constraint on its value, from `torch.distributions.constraints`; all real numbers by default.
    """

    shape: tuple[int, ...] = ()
    support: constraints.Constraint = constraints.real


@dataclass(frozen=True, eq=False)
class GaussianApproximation:
    """The Gaussian q over unconstrained space, and its map to the parameters.

    Args:
        parameters: the parameters by name.
        mean: mean m of q.
        factor: Cholesky factor L of its covariance, lower triangular; diagonal for mean-field.
    """

    parameters: Mapping[str, Parameter]
    mean: Float64[Tensor, " width"]
    factor: Float64[Tensor, "width width"]

    def values(self, u: Float64[Tensor, "draws width"]) -> tuple[dict[str, Tensor], Float64[Tensor, " draws"]]:
        """(parameters by name, with draws along the first axis; log |det T'| of each draw)."""
        found, log_det, at = {}, u.new_zeros(len(u)), 0
        for name, parameter in self.parameters.items():
            transform = biject_to(parameter.support)
            free = tuple(transform.inverse_shape(parameter.shape))
            size = math.prod(free)
            own = u[:, at : at + size].reshape(len(u), *free)
            value = transform(own)
            jacobian = transform.log_abs_det_jacobian(own, value)
            found[name] = value
            log_det = log_det + jacobian.reshape(len(u), -1).sum(dim=1)
            at += size
        return found, log_det

    def draw(self, n: int, generator: torch.Generator) -> Float64[Tensor, "n width"]:
        """n draws of u from q.

        Raises:
            ConfigError: n is negative.
        """
        check_count("n", n, 0)
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=self.mean.dtype)
        return self.mean + noise @ self.factor.t()

    def sample(self, n: int, generator: torch.Generator) -> dict[str, Tensor]:
        """n draws of the parameters, by name, along the first axis."""
        return self.values(self.draw(n, generator))[0]

    def log_prob(self, u: Float64[Tensor, "draws width"]) -> Float64[Tensor, " draws"]:
        """log q(u), in nats."""
        whitened = torch.linalg.solve_triangular(self.factor, (u - self.mean).t(), upper=False)
        log_det = self.factor.diagonal().log().sum()
        return -0.5 * (whitened.square().sum(dim=0) + len(self.mean) * math.log(2.0 * math.pi)) - log_det

    def entropy(self) -> Float64[Tensor, ""]:
        """H(q), in nats."""
        return 0.5 * len(self.mean) * _LOG_2_PI_E + self.factor.diagonal().log().sum()


@dataclass(frozen=True, eq=False)
class BlackBoxResult:
    """The fitted approximation, with its ELBO and diagnostics.

    Args:
        approximation: the fitted q.
        elbos: estimate of the ELBO at each step, in nats.
        standard_errors: standard error of each of these estimates.
        elbo, standard_error: ELBO of the final q in nats, over many draws, and its standard error.
        k_hat: Pareto shape k̂ of the importance weights; below 0.7, q is close enough to the posterior to reweight its draws.
        ess: effective sample size of the `final_draws` draws, reweighted to the posterior.
    """

    approximation: GaussianApproximation
    elbos: Float64[Array, " steps"]
    standard_errors: Float64[Array, " steps"]
    elbo: float
    standard_error: float
    k_hat: float
    ess: float


def black_box_vi(
    log_joint: LogJoint,
    parameters: Mapping[str, Parameter],
    generator: torch.Generator,
    *,
    family: str = "mean-field",
    steps: int = 2000,
    draws: int = 16,
    learning_rate: float = 0.05,
    final_draws: int = 4000,
) -> BlackBoxResult:
    """The Gaussian closest to the posterior, by stochastic gradient ascent on the ELBO.

    Args:
        log_joint: log p(x, θ) in nats for a batch of draws; each parameter has a leading axis of draws, float64.
        parameters: parameters of `log_joint`, by name.
        generator: generator of all random draws.
        family: `mean-field` or `full-rank`.
        steps: number of steps of Adam; the learning rate falls to zero over the second half.
        draws: number of draws in each step.
        learning_rate: learning rate of Adam.
        final_draws: number of draws for the final ELBO, k̂ and the effective sample size; at least 25.

    Raises:
        ConfigError: an unknown family, no parameters, no steps or draws, fewer than 25 final draws (k̂ needs them), or a
            learning rate that is not positive.
        FitError: the ELBO is not finite; the message says at which step.
    """
    if family not in FAMILIES or not parameters:
        raise ConfigError(f"family = {family!r}: must be one of {', '.join(FAMILIES)}, with one parameter at least")
    check_count("steps", steps, 1)
    check_count("draws", draws, 1)
    check_count("final_draws", final_draws, _SMOOTHED)
    check_number("learning_rate", learning_rate, above=0.0)
    width = sum(math.prod(biject_to(p.support).inverse_shape(p.shape)) for p in parameters.values())
    mean = torch.zeros(width, dtype=torch.float64, requires_grad=True)
    log_diagonal = torch.zeros(width, dtype=torch.float64, requires_grad=True)
    below = torch.zeros(width, width, dtype=torch.float64, requires_grad=family == "full-rank")

    def q() -> GaussianApproximation:
        return GaussianApproximation(parameters, mean, torch.diag(log_diagonal.exp()) + below.tril(-1))

    def terms(approximation: GaussianApproximation, n: int) -> tuple[Tensor, Tensor]:
        u = approximation.draw(n, generator)
        values, log_det = approximation.values(u)
        return log_joint(values) + log_det, u

    optimizer = torch.optim.Adam([one for one in (mean, log_diagonal, below) if one.requires_grad], lr=learning_rate)
    elbos, errors = np.empty(steps), np.empty(steps)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * min(1.0, 2.0 * (1.0 - step / steps))
        optimizer.zero_grad()
        approximation = q()
        found, _ = terms(approximation, draws)
        bound = found.mean() + approximation.entropy()
        (-bound).backward()
        optimizer.step()
        elbos[step] = bound.item()
        errors[step] = found.detach().std().item() / draws**0.5 if draws > 1 else math.nan
        if not math.isfinite(elbos[step]):
            raise FitError(f"black-box VI, step {step}: the ELBO is {elbos[step]}; a smaller learning rate may help")
    with torch.no_grad():
        last = q()
        last = GaussianApproximation(parameters, last.mean.detach(), last.factor.detach())
        found, u = terms(last, final_draws)
        ratios = (found - last.log_prob(u)).numpy()
    elbo = float(ratios.mean())
    if not math.isfinite(elbo):
        raise FitError(f"black-box VI: the ELBO of the final approximation is {elbo}; a smaller learning rate may help")
    error = float(ratios.std(ddof=1)) / final_draws**0.5
    return BlackBoxResult(last, elbos, errors, elbo, error, psis(ratios)[1], effective_sample_size(ratios))
