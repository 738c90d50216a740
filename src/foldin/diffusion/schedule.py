"""Noise schedules: how noise grows over the steps of a diffusion, its posterior, and what a network may predict.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I),   t = 0 … T,   ᾱ_0 = 1,   α_t = ᾱ_t / ᾱ_t−1,   β_t = 1 − α_t

    q(x_t−1 | x_t, x_0) = N(μ̃_t, β̃_t I),   β̃_t = β_t (1 − ᾱ_t−1) / (1 − ᾱ_t)
    μ̃_t = √ᾱ_t−1 β_t / (1 − ᾱ_t) x_0 + √α_t (1 − ᾱ_t−1) / (1 − ᾱ_t) x_t

A network may predict the noise ε, the clean x_0, or v = √ᾱ_t ε − √(1−ᾱ_t) x_0. They are equivalent: since x_t is known, each of
the three gives the other two. Papers count their steps 0 … T − 1; here t = 0 is the data, and the papers' step t is t + 1.

Source: ho2020, eqs. 2, 4, 6 and 7; nichol2021, eqs. 16–17 (cosine); salimans2022, section 3 (v); wang2023, section 3.4 (DiffRec:
a variance that grows linearly); kingma2021, eq. 13 (the weights of the bound by signal-to-noise ratios).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from foldin.errors import ConfigError
from foldin.tensors import Array, Float, Int, Tensor

__all__ = ["PREDICTIONS", "NoiseSchedule"]

PREDICTIONS = ("noise", "clean", "velocity")


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """ᾱ_t of every step, in double precision.

    Args:
        alpha_bar: ᾱ_0 … ᾱ_T, (T + 1,): exactly 1 at t = 0, the data, strictly falling, and above 0.

    Raises:
        ConfigError: `alpha_bar` is not of this form.
    """

    alpha_bar: Float[Array, " times"]

    def __post_init__(self) -> None:
        kept = np.asarray(self.alpha_bar, dtype=np.float64)
        if kept.ndim != 1 or len(kept) < 2 or kept[0] != 1.0 or not (np.diff(kept) < 0).all() or not kept[-1] > 0:
            raise ConfigError("a noise schedule needs ᾱ that begins with 1, falls at every step and stays above 0")
        object.__setattr__(self, "alpha_bar", kept)

    @classmethod
    def from_betas(cls, betas: Sequence[float] | Float[Array, " steps"]) -> "NoiseSchedule":
        """The schedule with given β_1 … β_T, the share of the variance that each step replaces by noise."""
        return cls(np.concatenate(([1.0], np.cumprod(1.0 - np.asarray(betas, dtype=np.float64)))))

    @classmethod
    def linear(cls, steps: int, first: float = 1e-4, last: float = 0.02) -> "NoiseSchedule":
        """The schedule with β linear in t; `first` and `last` are for 1,000 steps and are scaled to other numbers of steps.

        Source: ho2020, section 4; nichol2021's code (the scaling).
        """
        scale = 1000.0 / _counted(steps)
        return cls.from_betas(np.minimum(np.linspace(first * scale, last * scale, steps), 0.999))

    @classmethod
    def cosine(cls, steps: int, offset: float = 0.008) -> "NoiseSchedule":
        """The schedule with ᾱ a squared cosine, β at most .999.

        Source: nichol2021, eqs. 16–17.
        """
        f = np.cos((np.arange(_counted(steps) + 1) / steps + offset) / (1 + offset) * np.pi / 2) ** 2
        return cls.from_betas(np.minimum(1.0 - f[1:] / f[:-1], 0.999))

    @classmethod
    def linear_variance(
        cls, steps: int, scale: float, low: float, high: float, *, first: float | None = 1e-5
    ) -> "NoiseSchedule":
        """The schedule with 1 − ᾱ linear from scale · low to scale · high.

        Args:
            first: β_1, which replaces the linear schedule's as in the authors' code; None keeps the linear schedule's.

        Source: wang2023, eq. 4 and the authors' code (`betas_from_linear_variance`, `beta_fixed`).
        """
        alpha_bar = 1.0 - np.linspace(scale * low, scale * high, _counted(steps))
        betas = 1.0 - alpha_bar / np.concatenate(([1.0], alpha_bar[:-1]))
        if first is not None:
            betas[0] = first
        return cls.from_betas(np.minimum(betas, 0.999))

    @property
    def steps(self) -> int:
        """Number of steps, T."""
        return len(self.alpha_bar) - 1

    @cached_property
    def signal(self) -> Float[Array, " times"]:
        """√ᾱ_t, the factor of x_0 in x_t."""
        return np.sqrt(self.alpha_bar)

    @cached_property
    def sigma(self) -> Float[Array, " times"]:
        """√(1 − ᾱ_t), the factor of the noise in x_t."""
        return np.sqrt(1.0 - self.alpha_bar)

    @property
    def betas(self) -> Float[Array, " times"]:
        """β_t, the share of the variance that step t replaces by noise; 0 at t = 0."""
        return np.concatenate(([0.0], 1.0 - self.alpha_bar[1:] / self.alpha_bar[:-1]))

    @property
    def posterior_variance(self) -> Float[Array, " times"]:
        """β̃_t, the variance of q(x_t−1 | x_t, x_0); 0 at t = 1, where x_t−1 is x_0, and at t = 0."""
        return np.concatenate(([0.0], self.betas[1:] * (1.0 - self.alpha_bar[:-1]) / (1.0 - self.alpha_bar[1:])))

    @property
    def log_posterior_variance(self) -> Float[Array, " times"]:
        """log β̃_t; at t = 1 and 0, where it would be −∞, the value of t = 2.

        Source: ho2020's code (`posterior_log_variance_clipped`).
        """
        kept = self.posterior_variance.copy()
        kept[:2] = kept[2] if self.steps > 1 else self.betas[1]
        return np.log(kept)

    @property
    def mean_coefficients(self) -> tuple[Float[Array, " times"], Float[Array, " times"]]:
        """(coefficient of x_0, coefficient of x_t) in μ̃_t; 1 and 0 at t = 1. The values at t = 0 have no meaning."""
        before, now = self.alpha_bar[:-1], self.alpha_bar[1:]
        of_clean = np.sqrt(before) * self.betas[1:] / (1.0 - now)
        of_now = np.sqrt(now / before) * (1.0 - before) / (1.0 - now)
        return np.concatenate(([1.0], of_clean)), np.concatenate(([0.0], of_now))

    @property
    def snr(self) -> Float[Array, " times"]:
        """Signal-to-noise ratio SNR_t = ᾱ_t / (1 − ᾱ_t); infinite at t = 0, the data."""
        with np.errstate(divide="ignore"):
            return self.alpha_bar / (1.0 - self.alpha_bar)

    @cached_property
    def snr_fall(self) -> Float[Array, " times"]:
        """SNR_t−1 − SNR_t, twice the weight of x_0's squared error at t in the bound; 1 at t = 1, where it would be infinite.

        Source: kingma2021, eq. 13; wang2023, section 3.3 (1 at t = 1).
        """
        return np.concatenate(([1.0, 1.0], self.snr[1:-1] - self.snr[2:]))

    def at(
        self, values: Float[Array, " times"], t: Int[Tensor, " #rows"], like: Float[Tensor, "rows *shape"]
    ) -> Float[Tensor, "..."]:
        """`values[t]` of each example, in a shape that broadcasts against `like`."""
        chosen = torch.from_numpy(values).to(device=like.device, dtype=like.dtype)[t]
        return chosen.view(-1, *(1 for _ in like.shape[1:]))

    def diffuse(
        self, clean: Float[Tensor, "rows *shape"], t: Int[Tensor, " #rows"], noise: Float[Tensor, "rows *shape"]
    ) -> Float[Tensor, "rows *shape"]:
        """The noisy examples x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε."""
        return self.at(self.signal, t, clean) * clean + self.at(self.sigma, t, clean) * noise

    def posterior_mean(
        self, clean: Float[Tensor, "rows *shape"], now: Float[Tensor, "rows *shape"], t: Int[Tensor, " #rows"]
    ) -> Float[Tensor, "rows *shape"]:
        """Mean μ̃_t of q(x_t−1 | x_t, x_0), whose variance is `posterior_variance[t]`."""
        of_clean, of_now = self.mean_coefficients
        return self.at(of_clean, t, clean) * clean + self.at(of_now, t, now) * now

    def prior_kl(self, clean: Float[Tensor, "rows *shape"]) -> Float[Tensor, " rows"]:
        """KL(q(x_T | x_0) ‖ N(0, I)) of each example, in nats."""
        last, flat = float(self.alpha_bar[-1]), clean.flatten(1)
        return 0.5 * (flat.shape[1] * (-last - math.log1p(-last)) + last * flat.square().sum(dim=1))

    def to_clean(
        self, kind: str, said: Float[Tensor, "rows *shape"], now: Float[Tensor, "rows *shape"], t: Int[Tensor, " #rows"]
    ) -> Float[Tensor, "rows *shape"]:
        """Prediction of x_0, from x_t (`now`) and the network's output (`said`), which is of a `kind` in `PREDICTIONS`."""
        if kind == "clean":
            return said
        signal, sigma = self.at(self.signal, t, now), self.at(self.sigma, t, now)
        if kind == "velocity":
            return signal * now - sigma * said
        return (now - sigma * said) / signal

    def from_clean(
        self,
        kind: str,
        clean: Float[Tensor, "rows *shape"],
        now: Float[Tensor, "rows *shape"],
        t: Int[Tensor, " #rows"],
    ) -> Float[Tensor, "rows *shape"]:
        """The quantity of a `kind` in `PREDICTIONS` that corresponds to x_t (`now`) and x_0; t ≥ 1."""
        if kind == "clean":
            return clean
        signal, sigma = self.at(self.signal, t, now), self.at(self.sigma, t, now)
        noise = (now - signal * clean) / sigma
        return noise if kind == "noise" else signal * noise - sigma * clean

    def of_clean(self, kind: str) -> Float[Array, " times"]:
        """Squared error of a `kind` in `PREDICTIONS` ÷ that of x_0: 1, SNR_t for noise, SNR_t + 1 for velocity; t ≥ 1."""
        return {"clean": np.ones_like(self.snr), "noise": self.snr, "velocity": self.snr + 1.0}[kind]


def _counted(steps: int) -> int:
    if steps < 1:
        raise ConfigError(f"a noise schedule needs at least one step, not {steps}")
    return steps
