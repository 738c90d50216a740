"""From noise to data: samplers of a diffusion as functions of a denoiser.

A denoiser predicts x_0 from x_t and t ≥ 1: `(x_t, t) → Denoised(clean, log variance of the step or None)`. Every sampler takes x
at the first of its steps and returns x_0. A sampler that skips steps takes the list of its steps, such as `evenly(T, n)`.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from foldin.diffusion.schedule import NoiseSchedule
from foldin.errors import ConfigError
from foldin.tensors import Float, Int, Tensor

__all__ = [
    "Denoise",
    "Denoised",
    "ancestral",
    "ddim",
    "dpm_solver",
    "evenly",
    "evenly_in_snr",
    "guided",
]


class Denoised(NamedTuple):
    """Output of a denoiser for x_t: its prediction of x_0, and the log variance of x_t−1 where that is learned."""

    clean: Float[Tensor, "rows *shape"]
    log_variance: Float[Tensor, "rows *shape"] | None = None


Denoise = Callable[[Tensor, Tensor], Denoised]


def evenly(steps: int, n: int) -> list[int]:
    """n of the steps 1 … `steps`, evenly spaced, from the last to the first.

    Raises:
        ConfigError: n is less than 1 or larger than `steps`.
    """
    if not 1 <= n <= steps:
        raise ConfigError(f"{n} of {steps} steps: between 1 and {steps} were expected")
    return [round(at) for at in np.linspace(steps, 1, n)] if n > 1 else [steps]


def evenly_in_snr(schedule: NoiseSchedule, n: int) -> list[int]:
    """n different steps from T down to 1, as evenly spaced in the log of the signal-to-noise ratio as possible.

    The usual steps of `dpm_solver`.

    Source: lu2022, section 3.4.

    Raises:
        ConfigError: n is less than 1 or larger than T.
    """
    evenly(schedule.steps, n)
    log_snr = np.log(schedule.snr[1:])
    found: list[int] = []
    for place, at in enumerate(np.linspace(log_snr[-1], log_snr[0], n)):
        below = found[-1] - 1 if found else schedule.steps
        found.append(int(np.clip(np.abs(log_snr - at).argmin() + 1, n - place, below)))  # room for later steps
    return found


def _rows(t: int, x: Tensor) -> Int[Tensor, " rows"]:
    return torch.full((len(x),), t, dtype=torch.int64, device=x.device)


def _normal(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def ancestral(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x: Float[Tensor, "rows *shape"],
    generator: torch.Generator,
    *,
    variance: str = "small",
) -> Float[Tensor, "rows *shape"]:
    """x_0, drawn from x = x_T by x_t−1 ~ N(μ̃_t(x̂_0, x_t), σ_t² I) over all steps; the last step adds no noise.

    Args:
        variance: σ_t², unless the denoiser gives a variance: `small` for β̃_t, optimal for data that is a single point; `large`
            for β_t, optimal for data from N(0, I).

    Source: ho2020, algorithm 2 and section 3.2.

    Raises:
        ConfigError: an unknown variance.
    """
    if variance not in ("small", "large"):
        raise ConfigError(f"variance = {variance!r}: small or large was expected")
    # At t = 1 no noise is added, whatever the variance.
    values = schedule.posterior_variance if variance == "small" else schedule.betas
    for step in range(schedule.steps, 0, -1):
        t = _rows(step, x)
        said = denoise(x, t)
        x = schedule.posterior_mean(said.clean, x, t)
        if step > 1:
            own = said.log_variance
            sigma = schedule.at(np.sqrt(values), t, x) if own is None else torch.exp(0.5 * own)
            x = x + sigma * _normal(x, generator)
    return x


def ddim(
    denoise: Denoise,
    schedule: NoiseSchedule,
    x: Float[Tensor, "rows *shape"],
    steps: Sequence[int],
    generator: torch.Generator | None = None,
    *,
    eta: float = 0.0,
) -> Float[Tensor, "rows *shape"]:
    """x_0 from x at `steps[0]`, over falling steps: deterministic at η = 0, and `ancestral` at η = 1 over all steps.

    x_s = √ᾱ_s x̂_0 + √(1 − ᾱ_s − σ²) ε̂ + σ z,   σ² = η² (1 − ᾱ_s) / (1 − ᾱ_t) · (1 − ᾱ_t / ᾱ_s)

    Source: song2021, eqs. 12 and 16.

    Raises:
        ConfigError: the steps do not fall, or η > 0 without a generator.
    """
    _check_steps(steps, schedule)
    if eta > 0 and generator is None:
        raise ConfigError(f"eta = {eta:g}: the noise needs a generator")
    alpha_bar = schedule.alpha_bar
    for now, then in pairwise([*steps, 0]):
        clean = denoise(x, _rows(now, x)).clean
        a, b = float(alpha_bar[now]), float(alpha_bar[then])
        sigma = eta * math.sqrt((1.0 - b) / (1.0 - a) * (1.0 - a / b))
        # With ε̂ = (x − √ᾱ_t x̂_0) / √(1−ᾱ_t) inserted.
        kept = math.sqrt(max(0.0, 1.0 - b - sigma**2) / (1.0 - a))
        x = torch.add(clean * (math.sqrt(b) - kept * math.sqrt(a)), x, alpha=kept)
        if sigma > 0 and generator is not None:
            x = x + sigma * _normal(x, generator)
    return x


def dpm_solver(
    denoise: Denoise, schedule: NoiseSchedule, x: Float[Tensor, "rows *shape"], steps: Sequence[int]
) -> Float[Tensor, "rows *shape"]:
    """x_0 as from `ddim` at η = 0, to second order: x̂_0 is extrapolated from the last two, in λ = log(√ᾱ / √(1−ᾱ)).

    Source: lu2022b (DPM-Solver++), algorithm 2 (2M). Departure: a step that is longer in λ than the one before extrapolates as if
    it were as long. The algorithm's factor grows with the ratio of the two lengths; near the data, where λ diverges, it would
    overshoot by a multiple of the difference of the two predictions.

    Raises:
        ConfigError: the steps do not fall.
    """
    _check_steps(steps, schedule)
    signal, sigma = schedule.signal, schedule.sigma
    half_log_snr = np.log(signal[1:]) - np.log(sigma[1:])
    before: Tensor | None = None
    h_before = 0.0
    for now, then in pairwise([*steps, 0]):
        clean = denoise(x, _rows(now, x)).clean
        if then == 0:
            return clean  # λ is infinite at the data: only x̂_0 is left
        h = float(half_log_snr[then - 1] - half_log_snr[now - 1])
        at = clean if before is None else clean + (clean - before) * (0.5 * min(1.0, h / h_before))
        x = (sigma[then] / sigma[now]) * x - signal[then] * math.expm1(-h) * at
        before, h_before = clean, h
    return x


def guided(conditional: Denoise, unconditional: Denoise, weight: float) -> Denoise:
    """Denoiser with classifier-free guidance, (1 + w) x̂_0(x_t | c) − w x̂_0(x_t); w = 0 gives the conditional one.

    Guiding ε̂ instead would give the same, because x̂_0 is linear in ε̂.

    Source: ho2022, eq. 6.
    """

    def denoise(x: Tensor, t: Tensor) -> Denoised:
        said, other = conditional(x, t), unconditional(x, t)
        return Denoised((1.0 + weight) * said.clean - weight * other.clean, said.log_variance)

    return denoise


def _check_steps(steps: Sequence[int], schedule: NoiseSchedule) -> None:
    if not steps or steps[0] > schedule.steps or steps[-1] < 1 or any(b >= a for a, b in pairwise(steps)):
        raise ConfigError(f"steps that fall, between {schedule.steps} and 1, were expected, not {list(steps)}")
