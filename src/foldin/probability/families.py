"""The exponential families among `torch.distributions`, each by its statistics, base measure and log-partition function.

Families with a parameter that is not estimated (trials of a binomial, failures of a negative binomial) are left out, as are
Laplace and Student t, which are not exponential families. A categorical value is a one-hot vector.

Source: nielsen2009.
"""

from collections.abc import Mapping

import torch
from torch import distributions as td

from foldin.errors import ConfigError
from foldin.probability.exponential import ExponentialFamily
from foldin.probability.gamma import shape_of
from foldin.tensors import Tensor

__all__ = ["FAMILIES", "family_of"]

_LOG_2_PI = 1.8378770664093453


def _stack(*columns: Tensor) -> Tensor:
    return torch.stack(torch.broadcast_tensors(*columns), dim=-1)


def _zeros(x: Tensor) -> Tensor:
    return torch.zeros_like(x, dtype=torch.float64)


def _of_gamma(eta: Tensor) -> Tensor:
    shape = eta[..., 0] + 1.0
    return torch.lgamma(shape) - shape * torch.log(-eta[..., 1]) + torch.where(shape > 0, 0.0, torch.nan)


def _of_normal(eta: Tensor) -> Tensor:
    return -(eta[..., 0] ** 2) / (4.0 * eta[..., 1]) - 0.5 * torch.log(-2.0 * eta[..., 1])


def _normal_natural(q: td.Normal) -> Tensor:
    return _stack(q.loc / q.scale**2, -0.5 / q.scale**2)


def _normal_parameters(eta: Tensor) -> tuple[Tensor, Tensor]:
    variance = -0.5 / eta[..., 1]
    return eta[..., 0] * variance, variance.sqrt()


def _of_dirichlet(eta: Tensor) -> Tensor:
    a = eta + 1.0
    inside = torch.where((a > 0).all(-1), 0.0, torch.nan)
    return torch.lgamma(a).sum(-1) - torch.lgamma(a.sum(-1)) + inside


def _of_von_mises(eta: Tensor) -> Tensor:
    squares = eta.square().sum(-1)
    near = squares < 1e-8
    kappa = torch.where(near, 1.0, squares).sqrt()
    return torch.where(near, squares / 4.0 - squares.square() / 64.0, torch.log(torch.special.i0e(kappa)) + kappa)


def _multivariate_parts(eta: Tensor) -> tuple[Tensor, Tensor]:
    """(precision × mean, precision) from η = (Λ m, −Λ/2 row by row)."""
    width = int((1 + 4 * eta.shape[-1]) ** 0.5 - 1) // 2
    linear, square = eta[..., :width], eta[..., width:].unflatten(-1, (width, width))
    return linear, -(square + square.mT)


def _of_multivariate(eta: Tensor) -> Tensor:
    linear, precision = _multivariate_parts(eta)
    factor, bad = torch.linalg.cholesky_ex(precision)
    whitened = torch.linalg.solve_triangular(factor, linear.unsqueeze(-1), upper=False).squeeze(-1)
    log_det = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return 0.5 * whitened.square().sum(-1) - log_det + torch.where(bad > 0, torch.nan, 0.0)


def _multivariate_natural(q: td.MultivariateNormal) -> Tensor:
    precision = q.precision_matrix
    linear = (precision @ q.loc.unsqueeze(-1)).squeeze(-1)
    return torch.cat((linear, (-0.5 * precision).flatten(-2)), dim=-1)


def _multivariate_from(eta: Tensor) -> td.Distribution:
    linear, precision = _multivariate_parts(eta)
    return td.MultivariateNormal(
        torch.linalg.solve(precision, linear.unsqueeze(-1)).squeeze(-1), precision_matrix=precision
    )


def _multivariate_start(k: int) -> Tensor:
    width = int((1 + 4 * k) ** 0.5 - 1) // 2
    return torch.cat((torch.zeros(width), -0.5 * torch.eye(width).flatten())).double()


def _of_wishart(eta: Tensor) -> Tensor:
    width = round((eta.shape[-1] - 1) ** 0.5)
    a = eta[..., 0] + 0.5 * (width + 1)
    square = -eta[..., 1:].unflatten(-1, (width, width))
    factor, bad = torch.linalg.cholesky_ex(0.5 * (square + square.mT))
    log_det = 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    outside = (bad > 0) | (2.0 * a <= width - 1)
    return (
        torch.mvlgamma(torch.where(outside, 0.5 * width + 1.0, a), width)
        - a * log_det
        + torch.where(outside, torch.nan, 0.0)
    )


def _wishart_from(eta: Tensor) -> td.Distribution:
    width = round((eta.shape[-1] - 1) ** 0.5)
    square = -eta[..., 1:].unflatten(-1, (width, width))
    return td.Wishart(2.0 * eta[..., 0] + width + 1.0, precision_matrix=square + square.mT)


def _normal_from_mean(mu: Tensor) -> Tensor:
    variance = mu[1] - mu[0] ** 2
    return torch.stack((mu[0] / variance, -0.5 / variance))


def _gamma_from_mean(mu: Tensor) -> Tensor:
    shape = shape_of(float(mu[1].log() - mu[0])) if float(mu[1]) > 0.0 else None
    return mu.new_tensor((torch.nan, torch.nan) if shape is None else (shape - 1.0, -shape / float(mu[1])))


def _multivariate_from_mean(mu: Tensor) -> Tensor:
    width = int((1 + 4 * len(mu)) ** 0.5 - 1) // 2
    spread = mu[width:].unflatten(0, (width, width)) - mu[:width, None] * mu[:width]
    precision, bad = torch.linalg.inv_ex(0.5 * (spread + spread.t()))
    return torch.cat((precision @ mu[:width], (-0.5 * precision).flatten())) + torch.where(bad > 0, torch.nan, 0.0)


FAMILIES: Mapping[type[td.Distribution], ExponentialFamily] = {
    family.kind: family
    for family in (
        ExponentialFamily(
            td.Bernoulli,
            statistics=lambda x: x.unsqueeze(-1),
            log_base=_zeros,
            log_partition=lambda eta: torch.logaddexp(eta[..., 0], torch.zeros_like(eta[..., 0])),
            natural=lambda q: q.logits.unsqueeze(-1),
            from_natural=lambda eta: td.Bernoulli(logits=eta[..., 0]),
            start=lambda k: torch.zeros(1),
            closed=torch.logit,
        ),
        ExponentialFamily(
            td.OneHotCategorical,
            statistics=lambda x: x,
            log_base=lambda x: _zeros(x[..., 0]),
            log_partition=lambda eta: torch.logsumexp(eta, dim=-1),
            natural=lambda q: q.logits,
            from_natural=lambda eta: td.OneHotCategorical(logits=eta),
            start=torch.zeros,
            closed=lambda mu: mu.clamp(min=1e-300).log(),
        ),
        ExponentialFamily(
            td.Poisson,
            statistics=lambda x: x.unsqueeze(-1),
            log_base=lambda x: -torch.lgamma(x + 1.0),
            log_partition=lambda eta: eta[..., 0].exp(),
            natural=lambda q: q.rate.log().unsqueeze(-1),
            from_natural=lambda eta: td.Poisson(eta[..., 0].exp()),
            start=lambda k: torch.zeros(1),
            closed=torch.log,
        ),
        ExponentialFamily(
            td.Geometric,
            statistics=lambda x: x.unsqueeze(-1),
            log_base=_zeros,
            log_partition=lambda eta: -torch.log(-torch.expm1(eta[..., 0])),
            natural=lambda q: torch.log1p(-q.probs).unsqueeze(-1),
            from_natural=lambda eta: td.Geometric(probs=-torch.expm1(eta[..., 0])),
            start=lambda k: torch.full((1,), -0.7),
            closed=lambda mu: torch.log(mu / (1.0 + mu)),
        ),
        ExponentialFamily(
            td.Exponential,
            statistics=lambda x: x.unsqueeze(-1),
            log_base=_zeros,
            log_partition=lambda eta: -torch.log(-eta[..., 0]),
            natural=lambda q: -q.rate.unsqueeze(-1),
            from_natural=lambda eta: td.Exponential(-eta[..., 0]),
            start=lambda k: -torch.ones(1),
            closed=lambda mu: -1.0 / mu,
        ),
        ExponentialFamily(
            td.Normal,
            statistics=lambda x: _stack(x, x.square()),
            log_base=lambda x: _zeros(x) - 0.5 * _LOG_2_PI,
            log_partition=_of_normal,
            natural=_normal_natural,
            from_natural=lambda eta: td.Normal(*_normal_parameters(eta)),
            start=lambda k: torch.tensor([0.0, -0.5]),
            closed=_normal_from_mean,
        ),
        ExponentialFamily(
            td.LogNormal,
            statistics=lambda x: _stack(x.log(), x.log().square()),
            log_base=lambda x: -0.5 * _LOG_2_PI - x.log(),
            log_partition=_of_normal,
            natural=lambda q: _normal_natural(q.base_dist),
            from_natural=lambda eta: td.LogNormal(*_normal_parameters(eta)),
            start=lambda k: torch.tensor([0.0, -0.5]),
            closed=_normal_from_mean,
        ),
        ExponentialFamily(
            td.MultivariateNormal,
            statistics=lambda x: torch.cat((x, (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)), dim=-1),
            log_base=lambda x: _zeros(x[..., 0]) - 0.5 * x.shape[-1] * _LOG_2_PI,
            log_partition=_of_multivariate,
            natural=_multivariate_natural,
            from_natural=_multivariate_from,
            start=_multivariate_start,
            closed=_multivariate_from_mean,
        ),
        ExponentialFamily(
            td.Gamma,
            statistics=lambda x: _stack(x.log(), x),
            log_base=_zeros,
            log_partition=_of_gamma,
            natural=lambda q: _stack(q.concentration - 1.0, -q.rate),
            from_natural=lambda eta: td.Gamma(eta[..., 0] + 1.0, -eta[..., 1]),
            start=lambda k: torch.tensor([0.0, -1.0]),
            closed=_gamma_from_mean,
        ),
        ExponentialFamily(
            td.InverseGamma,
            statistics=lambda x: _stack(-x.log(), 1.0 / x),
            log_base=lambda x: -2.0 * x.log(),
            log_partition=_of_gamma,
            natural=lambda q: _stack(q.concentration - 1.0, -q.rate),
            from_natural=lambda eta: td.InverseGamma(eta[..., 0] + 1.0, -eta[..., 1]),
            start=lambda k: torch.tensor([0.0, -1.0]),
            closed=_gamma_from_mean,
        ),
        ExponentialFamily(
            td.Beta,
            statistics=lambda x: _stack(x.log(), torch.log1p(-x)),
            log_base=_zeros,
            log_partition=_of_dirichlet,
            natural=lambda q: _stack(q.concentration1 - 1.0, q.concentration0 - 1.0),
            from_natural=lambda eta: td.Beta(eta[..., 0] + 1.0, eta[..., 1] + 1.0),
            start=lambda k: torch.zeros(2),
        ),
        ExponentialFamily(
            td.Dirichlet,
            statistics=lambda x: x.log(),
            log_base=lambda x: _zeros(x[..., 0]),
            log_partition=_of_dirichlet,
            natural=lambda q: q.concentration - 1.0,
            from_natural=lambda eta: td.Dirichlet(eta + 1.0),
            start=torch.zeros,
        ),
        ExponentialFamily(
            td.Wishart,
            statistics=lambda x: torch.cat((torch.logdet(x).unsqueeze(-1), x.flatten(-2)), dim=-1),
            log_base=lambda x: _zeros(x[..., 0, 0]),
            log_partition=_of_wishart,
            natural=lambda q: torch.cat(
                (
                    0.5 * (q.df - q.event_shape[-1] - 1.0).unsqueeze(-1),
                    (-0.5 * q.precision_matrix).flatten(-2),
                ),
                dim=-1,
            ),
            from_natural=_wishart_from,
            start=lambda k: torch.cat((torch.ones(1), -0.5 * torch.eye(round((k - 1) ** 0.5)).flatten())),
        ),
        ExponentialFamily(
            td.VonMises,
            statistics=lambda x: _stack(x.cos(), x.sin()),
            log_base=lambda x: _zeros(x) - _LOG_2_PI,
            log_partition=_of_von_mises,
            natural=lambda q: _stack(q.concentration * q.loc.cos(), q.concentration * q.loc.sin()),
            from_natural=lambda eta: td.VonMises(
                torch.atan2(eta[..., 1], eta[..., 0]), eta.norm(dim=-1).clamp(min=1e-12)
            ),
            start=lambda k: torch.tensor([0.1, 0.1]),
        ),
    )
}


def family_of(q: td.Distribution) -> ExponentialFamily:
    """The exponential family of a distribution.

    Raises:
        ConfigError: the distribution is not of a family in `FAMILIES`.
    """
    if type(q) not in FAMILIES:
        known = ", ".join(kind.__name__ for kind in FAMILIES)
        raise ConfigError(f"{type(q).__name__} is not an exponential family that foldin knows; there are {known}")
    return FAMILIES[type(q)]
