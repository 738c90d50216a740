"""Draws, entropies and KL divergences of `torch.distributions`: in closed form where there is one, else by Monte Carlo.

PyTorch draws from its global generator; here NumPy's, which is passed in, draws for every family.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import distributions as td

from foldin.errors import ConfigError
from foldin.tensors import Array, Tensor

__all__ = ["Estimate", "entropy", "kl", "sample"]


class Estimate(NamedTuple):
    """A figure in nats, and its standard error: 0 when it is in closed form."""

    value: Tensor
    standard_error: Tensor


def _array(value: Tensor) -> Array:
    return value.detach().cpu().numpy()


def _categories(q: Any, n: int, rng: np.random.Generator) -> Array:
    shares = _array(q.probs).cumsum(axis=-1)
    return (rng.random((n, *q.batch_shape))[..., None] >= shares[..., :-1]).sum(axis=-1)


def _multivariate(q: Any, n: int, rng: np.random.Generator) -> Array:
    noise = rng.standard_normal((n, *q.batch_shape, *q.event_shape))
    return _array(q.loc) + np.einsum("...ij,n...j->n...i", _array(q.scale_tril), noise)


def _wishart(q: Any, n: int, rng: np.random.Generator) -> Array:
    """Bartlett's decomposition."""
    width = q.event_shape[-1]
    lower = np.tril(rng.standard_normal((n, *q.batch_shape, width, width)), -1)
    for i in range(width):
        lower[..., i, i] = np.sqrt(rng.chisquare(_array(q.df) - i, (n, *q.batch_shape)))
    root = np.matmul(_array(q.scale_tril), lower)
    return np.matmul(root, np.swapaxes(root, -1, -2))


# Family → draws of n rows. `s` below is (n, *batch shape).
_DRAW: Mapping[type, Callable[[Any, int, np.random.Generator], Array]] = {
    td.Bernoulli: lambda q, n, r: r.binomial(1, _array(q.probs), (n, *q.batch_shape)),
    td.Binomial: lambda q, n, r: r.binomial(_array(q.total_count).astype(int), _array(q.probs), (n, *q.batch_shape)),
    td.Categorical: _categories,
    td.Multinomial: lambda q, n, r: r.multinomial(q.total_count, _array(q.probs), (n, *q.batch_shape)),
    td.Poisson: lambda q, n, r: r.poisson(_array(q.rate), (n, *q.batch_shape)),
    # torch counts successes of probability `probs` before `total_count` failures; NumPy has the two the other way round.
    td.NegativeBinomial: lambda q, n, r: r.negative_binomial(
        _array(q.total_count), 1.0 - _array(q.probs), (n, *q.batch_shape)
    ),
    td.Geometric: lambda q, n, r: r.geometric(_array(q.probs), (n, *q.batch_shape)) - 1,
    td.Normal: lambda q, n, r: r.normal(_array(q.loc), _array(q.scale), (n, *q.batch_shape)),
    td.MultivariateNormal: _multivariate,
    td.LogNormal: lambda q, n, r: r.lognormal(_array(q.loc), _array(q.scale), (n, *q.batch_shape)),
    td.Exponential: lambda q, n, r: r.exponential(1.0 / _array(q.rate), (n, *q.batch_shape)),
    td.Gamma: lambda q, n, r: r.gamma(_array(q.concentration), 1.0 / _array(q.rate), (n, *q.batch_shape)),
    td.InverseGamma: lambda q, n, r: 1.0 / r.gamma(_array(q.concentration), 1.0 / _array(q.rate), (n, *q.batch_shape)),
    td.Beta: lambda q, n, r: r.beta(_array(q.concentration1), _array(q.concentration0), (n, *q.batch_shape)),
    td.Dirichlet: lambda q, n, r: _normalised(r.standard_gamma(_array(q.concentration), (n, *q.concentration.shape))),
    td.StudentT: lambda q, n, r: _array(q.loc) + _array(q.scale) * r.standard_t(_array(q.df), (n, *q.batch_shape)),
    td.Laplace: lambda q, n, r: r.laplace(_array(q.loc), _array(q.scale), (n, *q.batch_shape)),
    td.VonMises: lambda q, n, r: r.vonmises(_array(q.loc), _array(q.concentration), (n, *q.batch_shape)),
    td.Wishart: _wishart,
}


def _normalised(x: Array) -> Array:
    return x / x.sum(axis=-1, keepdims=True)


def sample(q: td.Distribution, n: int, rng: np.random.Generator) -> Tensor:
    """n draws, float64: n × batch shape × event shape.

    Raises:
        ConfigError: a family that is not one of foldin's.
    """
    if isinstance(q, td.Independent):
        return sample(q.base_dist, n, rng)
    if isinstance(q, td.MixtureSameFamily):
        own = _categories(q.mixture_distribution, n, rng)
        drawn = sample(q.component_distribution, n, rng)
        extra = (1,) * len(q.event_shape)
        index = torch.from_numpy(own).reshape(*own.shape, 1, *extra).expand(*own.shape, 1, *q.event_shape)
        return drawn.gather(own.ndim, index).squeeze(own.ndim)
    if type(q) not in _DRAW:
        raise ConfigError(
            f"{type(q).__name__}: no draws for this family; there are {', '.join(k.__name__ for k in _DRAW)}"
        )
    return torch.from_numpy(np.asarray(_DRAW[type(q)](q, n, rng), dtype=np.float64))


def _mean(terms: Tensor) -> Estimate:
    return Estimate(terms.mean(dim=0), terms.std(dim=0) / len(terms) ** 0.5)


def entropy(q: td.Distribution, rng: np.random.Generator | None = None, *, draws: int = 10_000) -> Estimate:
    """H(q) in nats; with `rng`, by Monte Carlo where there is no closed form.

    Raises:
        ConfigError: no closed form, and no generator.
    """
    try:
        exact = q.entropy()
        return Estimate(exact, torch.zeros_like(exact))
    except NotImplementedError:  # what PyTorch raises where it knows no closed form
        if rng is None:
            raise ConfigError(f"{type(q).__name__} has no entropy in closed form: pass a generator") from None
        return _mean(-q.log_prob(sample(q, draws, rng)))


def kl(
    p: td.Distribution, q: td.Distribution, rng: np.random.Generator | None = None, *, draws: int = 10_000
) -> Estimate:
    """KL(p ‖ q) in nats; with `rng`, by Monte Carlo where there is no closed form.

    Raises:
        ConfigError: no closed form, and no generator.
    """
    try:
        exact = td.kl_divergence(p, q)
        return Estimate(exact, torch.zeros_like(exact))
    except NotImplementedError:  # what PyTorch raises where it knows no closed form
        if rng is None:
            pair = f"KL({type(p).__name__} ‖ {type(q).__name__})"
            raise ConfigError(f"{pair} has no closed form: pass a generator") from None
        x = sample(p, draws, rng)
        return _mean(p.log_prob(x) - q.log_prob(x))
