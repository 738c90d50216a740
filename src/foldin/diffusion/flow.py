"""The likelihood of a diffusion by the change of variables along its deterministic sampler, the probability flow.

With y = x / √ᾱ, s = √((1 − ᾱ) / ᾱ) and ε̂ = (y − x̂_0) / s the probability flow is

    dy/ds = ε̂,   d log p(y)/ds = −tr ∂ε̂/∂y

Where almost only noise is left, tr ∂ε̂/∂y falls as d/s, with d the number of values, and s may grow thirtyfold in the last step: a
rule that takes the trace as linear in s is many nats off. Two forms of the same equations avoid such steep changes:

    s ≤ 1   in the angle θ = arctan s:   dx/dθ = v̂ = √ᾱ ε̂ − √(1−ᾱ) x̂_0,   d log p(x)/dθ = −tr ∂v̂/∂x
    s > 1   dy/ds = ε̂,                   d log p(y)/d log s = −s tr ∂ε̂/∂y

v̂ is nearly constant for data of unit variance, and s tr ∂ε̂/∂y is where noise dominates the data. Above s = 1 the form in θ would
divide the error of a network that predicts ε̂ by √ᾱ; the second form does not.

Source: song2021b, eqs. 39–40; song2021, eq. 14 (the flow in y and s); salimans2022, appendix D (the flow in θ).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch

from foldin.diffusion.samplers import Denoise
from foldin.diffusion.schedule import NoiseSchedule
from foldin.errors import ConfigError
from foldin.tensors import Float, Tensor

__all__ = ["log_likelihood_by_flow"]


def log_likelihood_by_flow(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x: Float[Tensor, "rows *shape"],
    generator: torch.Generator,
    *,
    steps: Sequence[int] | None = None,
    probes: int | None = 1,
    prior: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, " rows"]:
    """log p(x_1) of each example, in nats: the density of the deterministic sampler's output when x_T is drawn from the prior.

    Neither end of the flow is exactly the data's. x_1 is the data with the noise of the first step, √ᾱ_1 x_0 + √(1−ᾱ_1) ε. At the
    other end the sampler begins with N(0, I) rather than with the distribution p_T of the noisy data. Under an exact denoiser the
    result is log p(x_1) + log N(x_T; 0, I) − log p_T(x_T), on average KL(p_T ‖ N(0, I)) too low. That is small where √ᾱ_T is:
    below 10⁻⁴ for the cosine, .006 for the linear schedule of 1,000 steps. A `linear_variance` ending far from 1 needs a `prior`.

    The flow is solved by Heun's rule and the traces are integrated by the trapezoid rule: the error is O(1 / number of steps²).

    Args:
        denoise: the denoiser, differentiable in x.
        x: x_1.
        generator: source of the probes.
        steps: rising steps from 1 to T; all steps when None.
        probes: number of Rademacher vectors per trace, for Hutchinson's estimator, which is unbiased, as is then the result; None
            computes the trace exactly, with as many vector products as an example has values.
        prior: log-density of x_T of each example, in nats; that of N(0, I) when None.

    Raises:
        ConfigError: the steps do not rise from 1 to T, or `probes` is less than 1.
    """
    times = list(range(1, schedule.steps + 1)) if steps is None else list(steps)
    if len(times) < 2 or times[0] != 1 or times[-1] != schedule.steps or any(b <= a for a, b in pairwise(times)):
        raise ConfigError(f"steps that rise from 1 to {schedule.steps} were expected")
    if probes is not None and probes < 1:
        raise ConfigError(f"probes = {probes}: at least 1 was expected, or None for exact traces")
    values = math.prod(x.shape[1:])
    signal = schedule.signal
    s = schedule.sigma / signal
    angle = np.arctan2(schedule.sigma, signal)

    def noise_of(y: Tensor, t: int) -> Tensor:
        now = y * float(signal[t])
        rows = torch.full((len(y),), t, dtype=torch.int64, device=y.device)
        return schedule.from_clean("noise", denoise(now, rows).clean, now, rows)

    def slope(y: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """(ε̂, tr ∂ε̂/∂y) at y."""
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            noise = noise_of(y, t)
            return noise.detach(), _trace(noise, y, generator, probes)

    y, change = x / float(signal[1]), torch.zeros(len(x), dtype=torch.float64, device=x.device)
    noise, trace = slope(y, times[0])
    for now, then in pairwise(times):
        if s[then] <= 1.0:
            h = float(angle[then] - angle[now])
            before = y * float(signal[now])
            velocity = _velocity(noise, y, float(signal[now]), float(s[now]))
            guess = (before + h * velocity) / float(signal[then])
            with torch.no_grad():
                after = _velocity(noise_of(guess, then), guess, float(signal[then]), float(s[then]))
            y = (before + 0.5 * h * (velocity + after)) / float(signal[then])
            weights = [0.5 * h / float(signal[t]) ** 2 for t in (now, then)]
            known = values * (math.log(signal[now] / signal[then]) - 0.5 * h * float(s[now] + s[then]))
        else:
            h = float(s[then] - s[now])
            with torch.no_grad():
                after = noise_of(y + h * noise, then)
            y = y + 0.5 * h * (noise + after)
            weights = [0.5 * math.log(s[then] / s[now]) * float(s[t]) for t in (now, then)]
            known = 0.0
        change += weights[0] * trace.double() + known
        noise, trace = slope(y, then)
        change += weights[1] * trace.double()
    last = y * float(signal[-1])
    if prior is None:
        at_last = -0.5 * last.double().square().flatten(1).sum(dim=1) - 0.5 * values * math.log(2 * math.pi)
    else:
        at_last = prior(last).double()
    # From the density of x_T to that of y_T, then along the flow to y_1, then to x_1.
    return (at_last + values * math.log(signal[-1] / signal[1]) + change).to(x.dtype)


def _velocity(noise: Tensor, y: Tensor, signal: float, s: float) -> Tensor:
    """v̂ = √ᾱ ε̂ − √(1−ᾱ) x̂_0 with x̂_0 = y − s ε̂; its trace by x is tr ∂ε̂/∂y / ᾱ − d s."""
    return noise / signal - (s * signal) * y


def _trace(of: Tensor, by: Tensor, generator: torch.Generator, probes: int | None) -> Float[Tensor, " rows"]:
    """tr ∂of/∂by of each example, estimated with `probes` random vectors, or exact when None."""
    found = by.new_zeros(len(by))
    if probes is None:
        flat = of.flatten(1)
        for at in range(flat.shape[1]):
            (row,) = torch.autograd.grad(flat[:, at].sum(), by, retain_graph=True)
            found += row.flatten(1)[:, at]
        return found
    for _ in range(probes):
        probe = torch.randint(0, 2, by.shape, generator=generator, device=by.device).to(by.dtype) * 2 - 1
        (product,) = torch.autograd.grad(of, by, probe, retain_graph=True)
        found += (product * probe).flatten(1).sum(dim=1) / probes
    return found
