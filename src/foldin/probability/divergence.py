"""Entropies and KL divergences of `torch.distributions`: in closed form where there is one, else by Monte Carlo.

A divergence is infinite where p has probability outside the support of q; this is decided from the supports, without draws.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import distributions as td

from foldin.errors import ConfigError, ShapeError
from foldin.probability.bessel import length, log_bessel, shortfall
from foldin.probability.draws import sample
from foldin.probability.supports import heavier_tail, inside, on_edge, outside
from foldin.tensors import Float, Tensor

__all__ = ["Estimate", "entropy", "kl"]


_MOST_VALUES = 10**6


class Estimate(NamedTuple):
    """A value in nats and its standard error, which is 0 for a closed form."""

    value: Tensor
    standard_error: Tensor


def _exact(value: Tensor) -> Estimate:
    return Estimate(value, torch.zeros_like(value))


def _of_von_mises(p: td.VonMises, q: td.VonMises) -> Tensor:
    """KL of von Mises distributions, log I₀(κ_q)/I₀(κ_p) + A(κ_p) (κ_p − κ_q cos(μ_p − μ_q)), without cancellation at large κ."""
    a, b = p.concentration.double(), q.concentration.double()
    turn = torch.sin(0.5 * (p.loc.double() - q.loc.double())).square()
    return (b - a) * shortfall(a) + 2.0 * b * length(a) * turn + log_bessel(b) - log_bessel(a)


def _of_negative_binomial(p: td.NegativeBinomial, q: td.NegativeBinomial) -> Tensor:
    """KL of negative binomials of the same r: r (log (1 − p)/(1 − q) + p/(1 − p) log p/q)."""
    if not bool(torch.as_tensor(p.total_count == q.total_count).all()):
        raise NotImplementedError
    log = torch.nn.functional.logsigmoid
    return p.total_count * (log(-p.logits) - log(-q.logits) + p.logits.exp() * (log(p.logits) - log(q.logits)))


def _of_multinomial(p: td.Multinomial, q: td.Multinomial) -> Tensor:
    """KL of multinomials of the same n, n Σ p log p/q; ∞ for different n, whose supports are disjoint."""
    one = td.kl_divergence(td.Categorical(probs=p.probs), td.Categorical(probs=q.probs))
    return p.total_count * one if p.total_count == q.total_count else torch.full_like(one, torch.inf)


# Closed forms that PyTorch lacks.
_KL: Mapping[type, Callable[[Any, Any], Tensor]] = {
    td.VonMises: _of_von_mises,
    td.NegativeBinomial: _of_negative_binomial,
    td.Multinomial: _of_multinomial,
}


def _mean(terms: Float[Tensor, "draws ..."]) -> Estimate:
    return Estimate(terms.mean(dim=0), terms.std(dim=0) / len(terms) ** 0.5)


def _enough(draws: int) -> None:
    if draws < 2:
        raise ConfigError(f"draws = {draws}: must be at least 2, for a mean and its standard error")


def entropy(q: td.Distribution, rng: np.random.Generator | None = None, *, draws: int = 10_000) -> Estimate:
    """Entropy H(q) in nats; by Monte Carlo with `rng` where there is no closed form.

    Raises:
        ConfigError: there is no closed form and no generator, or fewer than 2 draws.
    """
    _enough(draws)
    if isinstance(q, td.VonMises):
        kappa = q.concentration.double()
        return _exact(np.log(2.0 * np.pi) + log_bessel(kappa) + kappa * shortfall(kappa))
    try:
        return _exact(q.entropy())
    except NotImplementedError:  # PyTorch has no closed form
        if rng is None:
            raise ConfigError(f"{type(q).__name__} has no entropy in closed form: pass a generator") from None
        return _mean(-q.log_prob(sample(q, draws, rng)))


def _closed(p: td.Distribution, q: td.Distribution) -> Tensor | None:
    try:
        if type(p) is type(q) and type(p) in _KL:
            return _KL[type(p)](p, q)
        if isinstance(p, td.Categorical) and p.param_shape[-1:] != getattr(q, "param_shape", ())[-1:]:
            return _sum(p, q)
        return td.kl_divergence(p, q)
    except NotImplementedError:  # PyTorch has no closed form
        return _sum(p, q)


def _sum(p: td.Distribution, q: td.Distribution) -> Tensor | None:
    """KL(p ‖ q) in nats, summed over the values of p, for a categorical, Bernoulli or not too large binomial p; else None."""
    if isinstance(p, td.Categorical):
        most = p.probs.shape[-1] - 1
    elif isinstance(p, td.Bernoulli):
        most = 1
    elif isinstance(p, td.Binomial) and float(p.total_count.max()) < _MOST_VALUES:
        most = int(p.total_count.max())
    else:
        return None
    batch = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    x = torch.arange(most + 1, dtype=torch.float64).reshape(-1, *[1] * len(batch)).expand(-1, *batch)
    own = _log_prob(p, x)
    return torch.where(own.exp() > 0.0, own.exp() * (own - _log_prob(q, x)), 0.0).sum(dim=0)


def kl(
    p: td.Distribution, q: td.Distribution, rng: np.random.Generator | None = None, *, draws: int = 10_000
) -> Estimate:
    """KL(p ‖ q) in nats; by Monte Carlo with `rng` where there is no closed form.

    It is ∞ where p has values outside the support of q (a Student t against a gamma, a Poisson against a binomial, a density
    against a mass function), and where E_p[log q] = −∞. Angles of a von Mises distribution lie in [−π, π].

    Raises:
        ConfigError: there is no closed form and no generator, fewer than 2 draws, or draws of p that underflow to the edge of
            its support.
        ShapeError: values of different shapes, or batch shapes that do not broadcast.
    """
    _enough(draws)
    pair = f"KL({type(p).__name__} ‖ {type(q).__name__})"
    if p.event_shape != q.event_shape:
        raise ShapeError(f"{pair}: values have shapes {tuple(p.event_shape)} and {tuple(q.event_shape)}")
    try:
        batch = torch.broadcast_shapes(p.batch_shape, q.batch_shape)
    except RuntimeError:
        raise ShapeError(f"{pair}: batches have shapes {tuple(p.batch_shape)} and {tuple(q.batch_shape)}") from None
    infinite = (outside(p, q) | heavier_tail(p, q)).expand(batch)
    if bool(infinite.all()):
        return _exact(torch.full(batch, torch.inf, dtype=torch.float64))
    exact = _closed(p, q)
    if exact is not None:
        return _exact(torch.where(infinite, torch.inf, exact))
    if rng is None:
        raise ConfigError(f"{pair} has no closed form: pass a generator")
    x = sample(p, draws, rng)
    if on_edge(p, x):
        raise ConfigError(
            f"{pair}: draws of {type(p).__name__} underflow to the edge of its support: no estimate from them"
        )
    x = x.reshape(draws, *[1] * (len(batch) - len(p.batch_shape)), *p.batch_shape, *p.event_shape)
    x = x.expand(draws, *batch, *p.event_shape)
    found = _mean(_log_prob(p, x) - _log_prob(q, x))
    infinite = infinite | torch.isposinf(found.value)  # a draw has probability 0 under q
    return Estimate(torch.where(infinite, torch.inf, found.value), torch.where(infinite, 0.0, found.standard_error))


def _log_prob(q: td.Distribution, x: Tensor) -> Tensor:
    """log q(x) in nats; −∞ for x outside the support of q."""
    support = q.support
    if support is None:
        return q.log_prob(x)
    good = support.check(x)
    if not bool(good.all()):
        # PyTorch validates every value, so each one outside the support is replaced by one inside.
        shape = good.reshape(*good.shape, *[1] * len(q.event_shape))
        x = torch.where(shape, x, inside(q))
    if isinstance(q, td.Bernoulli):  # PyTorch raises a probability of 0 to 10⁻¹⁶
        found = torch.where(x == 1, q.probs, 1.0 - q.probs).log()
    elif isinstance(q, td.Categorical):
        shares, at = torch.broadcast_tensors(q.probs, x.long().unsqueeze(-1))
        found = shares.gather(-1, at[..., :1]).squeeze(-1).log()
    else:
        found = q.log_prob(x)
    return torch.where(good, found, -torch.inf)
