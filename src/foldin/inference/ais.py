"""Annealed importance sampling: lower bounds on log p(x), and upper bounds where an exact draw from the posterior is known.

    log f_β(z) = (1 − β) log q(z) + β log p(x, z),   0 = β_0 < β_1 < … < β_T = 1,   q = N(μ, diag σ²)

    forward    z_0 ~ q, and z_t from z_{t−1} by a transition that leaves f_β_t invariant,
               log w = Σ_t (β_t − β_{t−1}) [log p(x, z_{t−1}) − log q(z_{t−1})]
    reverse    the same backwards, from z ~ p(z|x)

E[w] = p(x) forward and E[1/w] = 1/p(x) in reverse, so that by Jensen's inequality E[log w] is at most log p(x) forward, and
at least log p(x) in reverse. An exact draw from p(z|x) is known only for simulated data: the z that x was drawn from.

Transitions are those of Hamiltonian Monte Carlo, in units of σ. Step sizes and temperatures are tuned in a separate run and are
fixed in the reported runs, since adaptation within a run would make it inexact.

Source: neal2001, eqs. 4–11 (forward); grosse2015, sections 3 and 4 (reverse, on simulated data); wu2017 (decoders;
HMC); neal2011, section 5.3 (HMC).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from foldin.errors import ShapeError
from foldin.inference.elbo import log_normal, reparameterize
from foldin.tensors import Float, Float64, Tensor

__all__ = ["Annealing", "Schedule", "annealed_weights", "tuned_schedule"]

LogJoint = Callable[[Tensor], Tensor]
_WANTED = 0.8  # target share of accepted proposals
# Relative jitter of a step size, up or down; without it, a direction followed for half its period would only be mirrored.
_JITTER = 0.2
_WARM = 25  # transitions at β = 0 before tuning begins
_QUICK, _PATIENT = 0.3, 0.1  # adaptation rates of a step size, during these transitions and after
_SHARP = 4.0  # steepness of the sigmoid schedule of a tuning run
_WIDE = 4  # temperatures on either side over which a step size is averaged
_TUNED = 4  # a tuning run has this many times fewer temperatures


@dataclass(frozen=True)
class Annealing:
    """Settings of annealed importance sampling.

    Args:
        temperatures: number of temperatures, T; more of them give tighter bounds.
        leapfrogs: mean number of leapfrog steps of a transition.
        chains: number of chains for each row, over which weights are averaged: w forward, 1/w in reverse.

    Raises:
        ShapeError: a setting is below 1.
    """

    temperatures: int = 300
    leapfrogs: int = 5
    chains: int = 1

    def __post_init__(self) -> None:
        if min(self.temperatures, self.leapfrogs, self.chains) < 1:
            raise ShapeError(f"annealing needs a temperature, a leapfrog step and a chain at least: {self}")


def _sigmoid(temperatures: int) -> list[float]:
    """Temperatures from 0 to 1, dense near both ends."""
    places = [math.tanh(_SHARP * (t / temperatures - 0.5)) for t in range(temperatures + 1)]
    return [(one - places[0]) / (places[-1] - places[0]) for one in places]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Temperatures and step sizes of a run, fixed in advance.

    Args:
        betas: β_0 = 0 to β_T = 1.
        step_sizes: step size of each transition and row, in standard deviations of q.
    """

    betas: list[float]
    step_sizes: Float[Tensor, "temperatures users"]


def tuned_schedule(
    log_joint: LogJoint,
    mu: Float[Tensor, "users latent"],
    logvar: Float[Tensor, "users latent"],
    generator: torch.Generator,
    settings: Annealing,
) -> Schedule:
    """Temperatures that are dense where log p(x, z) − log q(z) changes fast, and step sizes at which 80 % of proposals are taken.

    Both come from a shorter run, in which each row's step size follows its acceptance probability.

    Source: gelman1998, section 2.3 (equal steps of ∫ sd of the difference dβ have the least variance).
    """
    first = _sigmoid(max(50, settings.temperatures // _TUNED))
    path = _Path(log_joint, mu, logvar, settings.leapfrogs)
    state, size = path.at(reparameterize(mu, logvar, generator)), torch.full_like(mu[:, 0], 0.5 / mu.shape[1] ** 0.25)
    sizes, speeds = [], []
    for turn, beta in enumerate([0.0] * _WARM + first):
        before = state.difference
        state, accepted = path.moved(state, beta, size, generator)
        pace = _QUICK if turn < _WARM else _PATIENT
        size = size * torch.exp(pace * (accepted.exp() / _WANTED - 1.0)).to(size.dtype)
        sizes.append(size)
        speeds.append(float((state.difference - before).square().nanmean().sqrt()))
    speed = np.convolve(np.pad(np.array(speeds[_WARM:]), 2, mode="edge"), np.full(5, 0.2), mode="valid")
    speed = np.maximum(np.nan_to_num(speed), 0.1 * np.nanmean(speed) + 1e-12)
    length = np.concatenate(([0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(first))))
    betas = np.interp(np.linspace(0.0, length[-1], settings.temperatures + 1), length, first)
    betas[0], betas[-1] = 0.0, 1.0
    at = torch.from_numpy(np.searchsorted(first, betas[1:], side="left")).to(mu.device)
    # Averaged over neighboring temperatures, since a single step size carries the noise of the last few acceptances.
    logs = torch.stack(sizes).log()
    wide = torch.stack([logs[max(0, t - _WIDE) : t + _WIDE + 1].mean(dim=0) for t in range(_WARM, len(logs))])
    return Schedule(betas.tolist(), wide.exp()[at])


def annealed_weights(
    log_joint: LogJoint,
    mu: Float[Tensor, "users latent"],
    logvar: Float[Tensor, "users latent"],
    schedule: Schedule,
    generator: torch.Generator,
    settings: Annealing,
    *,
    exact: Float[Tensor, "users latent"] | None = None,
) -> tuple[Float64[Tensor, " users"], float]:
    """(log w of each row in nats, share of accepted proposals); E[log w] is at most log p(x), or at least log p(x) with `exact`.

    Args:
        log_joint: z → log p(x, z) of each row, in nats, differentiable in z.
        mu, logvar: mean and log-variance of q, where the path begins; any Gaussian is valid, one close to the posterior is best.
        schedule: from `tuned_schedule`, or any other that does not depend on these draws.
        exact: an exact draw from p(z|x) for each row, from which the path is run in reverse.
    """
    path, betas = _Path(log_joint, mu, logvar, settings.leapfrogs), schedule.betas
    last, taken = len(betas) - 1, 0.0
    state = path.at(reparameterize(mu, logvar, generator) if exact is None else exact)
    total = torch.zeros(len(mu), dtype=torch.float64, device=mu.device)
    # Forward, a transition at β_T = 1 would come after the last weight; in reverse, it would keep the distribution of an exact
    # draw. Both runs omit it and share all other transitions.
    for t in range(1, last + 1) if exact is None else range(last, 0, -1):
        if exact is None:
            total += (betas[t] - betas[t - 1]) * state.difference
        if t < last:
            state, accepted = path.moved(state, betas[t], schedule.step_sizes[t - 1], generator)
            taken += float(accepted.exp().mean())
        if exact is not None:
            total += (betas[t] - betas[t - 1]) * state.difference
    return total, taken / max(1, last - 1)


@dataclass(frozen=True)
class _State:
    """State of a chain: z, log q(z) and log p(x, z), with their gradients."""

    z: Tensor
    own: Tensor
    joint: Tensor
    own_slope: Tensor
    joint_slope: Tensor

    @property
    def difference(self) -> Tensor:
        return self.joint - self.own

    def energy(self, beta: float) -> Tensor:
        return (1.0 - beta) * self.own + beta * self.joint

    def slope(self, beta: float) -> Tensor:
        return (1.0 - beta) * self.own_slope + beta * self.joint_slope


class _Path:
    """The densities between q and the posterior, and transitions that leave them invariant."""

    def __init__(self, log_joint: LogJoint, mu: Tensor, logvar: Tensor, leapfrogs: int) -> None:
        self.log_joint, self.mu, self.logvar, self.leapfrogs = log_joint, mu, logvar, leapfrogs
        self.scale, self.precision = torch.exp(0.5 * logvar), torch.exp(-logvar)

    def at(self, z: Tensor) -> _State:
        joint, slope = self._joint(z)
        return _State(z, log_normal(z, self.mu, self.logvar).double(), joint.double(), self._own_slope(z), slope)

    def _own_slope(self, z: Tensor) -> Tensor:
        return (self.mu - z) * self.precision

    def _joint(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """(log p(x, z) in nats, its gradient in z)."""
        z = z.detach().requires_grad_()
        with torch.enable_grad():
            joint = self.log_joint(z)
            (slope,) = torch.autograd.grad(joint.sum(), z)
        return joint.detach(), slope

    def _leaps(self, generator: torch.Generator) -> int:
        """A random number of leapfrog steps, between half and one and a half times the setting."""
        least, most = (self.leapfrogs + 1) // 2, self.leapfrogs + self.leapfrogs // 2
        return int(torch.randint(least, most + 1, (), generator=generator, device=self.mu.device))

    def moved(
        self, state: _State, beta: float, size: Tensor, generator: torch.Generator
    ) -> tuple[_State, Float64[Tensor, " users"]]:
        """(state after a transition that leaves f_β invariant, log acceptance probability of each row's proposal)."""
        momentum = torch.randn(state.z.shape, generator=generator, device=state.z.device, dtype=state.z.dtype)
        before = state.energy(beta) - 0.5 * momentum.double().square().sum(dim=1)
        jitter = torch.rand(size.shape, generator=generator, device=size.device, dtype=size.dtype)
        step = (size * (1.0 - _JITTER + 2.0 * _JITTER * jitter)).unsqueeze(1) * self.scale
        z, slope = state.z, state.slope(beta)
        momentum = momentum + 0.5 * step * slope
        for _ in range(self._leaps(generator) - 1):
            z = z + step * momentum
            momentum = momentum + step * ((1.0 - beta) * self._own_slope(z) + beta * self._joint(z)[1])
        there = self.at(z + step * momentum)
        momentum = momentum + 0.5 * step * there.slope(beta)
        after = there.energy(beta) - 0.5 * momentum.double().square().sum(dim=1)
        accepted = (after - before).nan_to_num(nan=-math.inf).clamp(max=0.0)
        drawn = torch.rand(accepted.shape, generator=generator, device=accepted.device, dtype=torch.float64)
        taken = drawn.log() < accepted
        wide = taken.unsqueeze(1)
        new = _State(
            torch.where(wide, there.z, state.z),
            torch.where(taken, there.own, state.own),
            torch.where(taken, there.joint, state.joint),
            torch.where(wide, there.own_slope, state.own_slope),
            torch.where(wide, there.joint_slope, state.joint_slope),
        )
        return new, accepted
