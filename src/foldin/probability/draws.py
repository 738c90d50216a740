"""Draws from `torch.distributions` by a NumPy generator that is passed in; PyTorch itself would use its global generator."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import distributions as td

from foldin.errors import ConfigError
from foldin.tensors import Array, Tensor

__all__ = ["sample"]


def _array(value: Tensor) -> Array:
    return value.detach().cpu().numpy()


def _categories(q: Any, n: int, rng: np.random.Generator) -> Array:
    shares = _array(q.probs).cumsum(axis=-1)
    return (rng.random((n, *q.batch_shape))[..., None] >= shares[..., :-1]).sum(axis=-1)


def _multivariate(q: Any, n: int, rng: np.random.Generator) -> Array:
    noise = rng.standard_normal((n, *q.batch_shape, *q.event_shape))
    return _array(q.loc) + np.einsum("...ij,n...j->n...i", _array(q.scale_tril), noise)


def _wishart(q: Any, n: int, rng: np.random.Generator) -> Array:
    """n draws of a Wishart distribution by Bartlett's decomposition."""
    width = q.event_shape[-1]
    lower = np.tril(rng.standard_normal((n, *q.batch_shape, width, width)), -1)
    for i in range(width):
        lower[..., i, i] = np.sqrt(rng.chisquare(_array(q.df) - i, (n, *q.batch_shape)))
    root = np.matmul(_array(q.scale_tril), lower)
    return np.matmul(root, np.swapaxes(root, -1, -2))


# Family → n draws of shape (n, *batch shape, *event shape).
_DRAW: Mapping[type, Callable[[Any, int, np.random.Generator], Array]] = {
    td.Bernoulli: lambda q, n, r: r.binomial(1, _array(q.probs), (n, *q.batch_shape)),
    td.Binomial: lambda q, n, r: r.binomial(_array(q.total_count).astype(int), _array(q.probs), (n, *q.batch_shape)),
    td.Categorical: _categories,
    td.Multinomial: lambda q, n, r: r.multinomial(q.total_count, _array(q.probs), (n, *q.batch_shape)),
    td.Poisson: lambda q, n, r: r.poisson(_array(q.rate), (n, *q.batch_shape)),
    # PyTorch counts successes of probability `probs` before `total_count` failures; in NumPy the two are exchanged.
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
    td.Dirichlet: lambda q, n, r: _normalized(r.standard_gamma(_array(q.concentration), (n, *q.concentration.shape))),
    td.StudentT: lambda q, n, r: _array(q.loc) + _array(q.scale) * r.standard_t(_array(q.df), (n, *q.batch_shape)),
    td.Laplace: lambda q, n, r: r.laplace(_array(q.loc), _array(q.scale), (n, *q.batch_shape)),
    td.VonMises: lambda q, n, r: r.vonmises(_array(q.loc), _array(q.concentration), (n, *q.batch_shape)),
    td.Wishart: _wishart,
}


def _normalized(x: Array) -> Array:
    return x / x.sum(axis=-1, keepdims=True)


def sample(q: td.Distribution, n: int, rng: np.random.Generator) -> Tensor:
    """n draws of a distribution, float64, of shape n × batch shape × event shape.

    Raises:
        ConfigError: n is negative, the family is not supported, or NumPy cannot draw with the parameters.
    """
    if n < 0:
        raise ConfigError(f"n = {n}: the number of draws must not be negative")
    if isinstance(q, td.Independent):
        return sample(q.base_dist, n, rng)
    if isinstance(q, td.MixtureSameFamily):
        own = _categories(q.mixture_distribution, n, rng)
        found = sample(q.component_distribution, n, rng)
        extra = (1,) * len(q.event_shape)
        index = torch.from_numpy(own).reshape(*own.shape, 1, *extra).expand(*own.shape, 1, *q.event_shape)
        return found.gather(own.ndim, index).squeeze(own.ndim)
    if type(q) not in _DRAW:
        raise ConfigError(
            f"{type(q).__name__}: no draws for this family; there are {', '.join(k.__name__ for k in _DRAW)}"
        )
    try:
        drawn = _DRAW[type(q)](q, n, rng)
    except ValueError as error:  # parameters beyond NumPy's integers
        raise ConfigError(f"{type(q).__name__}: no draws with these parameters: {error}") from None
    return torch.from_numpy(np.asarray(drawn, dtype=np.float64))
