"""How noise grows over the steps of a diffusion: the forward process, its posterior, and what a network may predict.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I),   t = 0 … T,   ᾱ_0 = 1,   α_t = ᾱ_t / ᾱ_t−1,   β_t = 1 − α_t

    q(x_t−1 | x_t, x_0) = N(μ̃_t, β̃_t I),   β̃_t = β_t (1 − ᾱ_t−1) / (1 − ᾱ_t)
    μ̃_t = √ᾱ_t−1 β_t / (1 − ᾱ_t) x_0 + √α_t (1 − ᾱ_t−1) / (1 − ᾱ_t) x_t

A network that says the noise ε, the clean x_0, or v = √ᾱ_t ε − √(1−ᾱ_t) x_0 says the same thing: x_t is known, so each of the
three gives the other two. Papers count their steps 0 … T − 1; here t = 0 is the data, and the papers' step t is t + 1.

Source: ho2020, eqs. 2, 4, 6 and 7; nichol2021, eqs. 16–17 (cosine); salimans2022, section 3 (v); wang2023, section 3.4 (DiffRec:
a variance that grows in a straight line); kingma2021, eq. 13 (the weights of the bound by signal-to-noise ratios).
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
        alpha_bar: (T + 1,), from exactly 1 for the data, falling, above 0.

    Raises:
        ConfigError: not so.
    """

    alpha_bar: Float[Array, " times"]

    def __post_init__(self) -> None:
        kept = np.asarray(self.alpha_bar, dtype=np.float64)
        if kept.ndim != 1 or len(kept) < 2 or kept[0] != 1.0 or not (np.diff(kept) < 0).all() or not kept[-1] > 0:
            raise ConfigError("a noise schedule needs ᾱ that begins with 1, falls at every step and stays above 0")
        object.__setattr__(self, "alpha_bar", kept)

    @classmethod
    def from_betas(cls, betas: Sequence[float] | Float[Array, " steps"]) -> "NoiseSchedule":
        """Any schedule at all, by the share β_t of the variance that each step replaces."""
        return cls(np.concatenate(([1.0], np.cumprod(1.0 - np.asarray(betas, dtype=np.float64)))))

    @classmethod
    def linear(cls, steps: int, first: float = 1e-4, last: float = 0.02) -> "NoiseSchedule":
        """β in a straight line; the ends are those of 1,000 steps and are scaled to another number of them.

        Source: ho2020, section 4; nichol2021's code (the scaling).
        """
        scale = 1000.0 / _counted(steps)
        return cls.from_betas(np.minimum(np.linspace(first * scale, last * scale, steps), 0.999))

    @classmethod
    def cosine(cls, steps: int, offset: float = 0.008) -> "NoiseSchedule":
        """ᾱ a squared cosine, β cut at .999.

        Source: nichol2021, eqs. 16–17.
        """
        f = np.cos((np.arange(_counted(steps) + 1) / steps + offset) / (1 + offset) * np.pi / 2) ** 2
        return cls.from_betas(np.minimum(1.0 - f[1:] / f[:-1], 0.999))

    @classmethod
    def linear_variance(
        cls, steps: int, scale: float, low: float, high: float, *, first: float | None = 1e-5
    ) -> "NoiseSchedule":
        """1 − ᾱ in a straight line from scale · low to scale · high.

        Args:
            first: β of the first step instead of what follows from the line, as in the authors' code; None leaves that.

        Source: wang2023, eq. 4 and the authors' code (`betas_from_linear_variance`, `beta_fixed`).
        """
        alpha_bar = 1.0 - np.linspace(scale * low, scale * high, _counted(steps))
        betas = 1.0 - alpha_bar / np.concatenate(([1.0], alpha_bar[:-1]))
        if first is not None:
            betas[0] = first
        return cls.from_betas(np.minimum(betas, 0.999))

    @property
    def steps(self) -> int:
        """T."""
        return len(self.alpha_bar) - 1

    @cached_property
    def signal(self) -> Float[Array, " times"]:
        """√ᾱ_t."""
        return np.sqrt(self.alpha_bar)

    @cached_property
    def sigma(self) -> Float[Array, " times"]:
        """√(1 − ᾱ_t)."""
        return np.sqrt(1.0 - self.alpha_bar)

    @property
    def betas(self) -> Float[Array, " times"]:
        """β_t; 0 at t = 0."""
        return np.concatenate(([0.0], 1.0 - self.alpha_bar[1:] / self.alpha_bar[:-1]))

    @property
    def posterior_variance(self) -> Float[Array, " times"]:
        """β̃_t, of q(x_t−1 | x_t, x_0); 0 at t = 1, where x_0 is known, and at t = 0."""
        return np.concatenate(([0.0], self.betas[1:] * (1.0 - self.alpha_bar[:-1]) / (1.0 - self.alpha_bar[1:])))

    @property
    def log_posterior_variance(self) -> Float[Array, " times"]:
        """log β̃_t, with that of t = 2 at t = 1 and below, where it would be −∞.

        Source: ho2020's code (`posterior_log_variance_clipped`).
        """
        kept = self.posterior_variance.copy()
        kept[:2] = kept[2] if self.steps > 1 else self.betas[1]
        return np.log(kept)

    @property
    def mean_coefficients(self) -> tuple[Float[Array, " times"], Float[Array, " times"]]:
        """(of x_0, of x_t) in μ̃_t; at t = 1 they are 1 and 0. What stands at t = 0 means nothing."""
        before, now = self.alpha_bar[:-1], self.alpha_bar[1:]
        of_clean = np.sqrt(before) * self.betas[1:] / (1.0 - now)
        of_now = np.sqrt(now / before) * (1.0 - before) / (1.0 - now)
        return np.concatenate(([1.0], of_clean)), np.concatenate(([0.0], of_now))

    @property
    def snr(self) -> Float[Array, " times"]:
        """ᾱ_t / (1 − ᾱ_t), the signal-to-noise ratio; infinite for the data."""
        with np.errstate(divide="ignore"):
            return self.alpha_bar / (1.0 - self.alpha_bar)

    @cached_property
    def snr_fall(self) -> Float[Array, " times"]:
        """SNR_t−1 − SNR_t, the weight of x_0's squared error at t in twice the bound; 1 at t = 1, where it is infinite.

        Source: kingma2021, eq. 13; wang2023, section 3.3 (the 1).
        """
        return np.concatenate(([1.0, 1.0], self.snr[1:-1] - self.snr[2:]))

    def at(
        self, values: Float[Array, " times"], t: Int[Tensor, " #rows"], like: Float[Tensor, "rows *shape"]
    ) -> Float[Tensor, "..."]:
        """`values[t]` of each row, in a shape that multiplies `like`."""
        chosen = torch.from_numpy(values).to(device=like.device, dtype=like.dtype)[t]
        return chosen.view(-1, *(1 for _ in like.shape[1:]))

    def diffuse(
        self, clean: Float[Tensor, "rows *shape"], t: Int[Tensor, " #rows"], noise: Float[Tensor, "rows *shape"]
    ) -> Float[Tensor, "rows *shape"]:
        """X_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε."""
        return self.at(self.signal, t, clean) * clean + self.at(self.sigma, t, clean) * noise

    def posterior_mean(
        self, clean: Float[Tensor, "rows *shape"], now: Float[Tensor, "rows *shape"], t: Int[Tensor, " #rows"]
    ) -> Float[Tensor, "rows *shape"]:
        """μ̃_t of q(x_t−1 | x_t, x_0); its variance is `posterior_variance[t]`."""
        of_clean, of_now = self.mean_coefficients
        return self.at(of_clean, t, clean) * clean + self.at(of_now, t, now) * now

    def prior_kl(self, clean: Float[Tensor, "rows *shape"]) -> Float[Tensor, " rows"]:
        """KL(q(x_T | x_0) ‖ N(0, I)) of each row, in nats."""
        last, flat = float(self.alpha_bar[-1]), clean.flatten(1)
        return 0.5 * (flat.shape[1] * (-last - math.log1p(-last)) + last * flat.square().sum(dim=1))

    def to_clean(
        self, kind: str, said: Float[Tensor, "rows *shape"], now: Float[Tensor, "rows *shape"], t: Int[Tensor, " #rows"]
    ) -> Float[Tensor, "rows *shape"]:
        """x_0, from x_t and one of `PREDICTIONS`."""
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
        """One of `PREDICTIONS`, from x_t and x_0; t ≥ 1."""
        if kind == "clean":
            return clean
        signal, sigma = self.at(self.signal, t, now), self.at(self.sigma, t, now)
        noise = (now - signal * clean) / sigma
        return noise if kind == "noise" else signal * noise - sigma * clean

    def of_clean(self, kind: str) -> Float[Array, " times"]:
        """How many times the squared error of x_0 is that of `kind`: 1, SNR_t, or SNR_t + 1; t ≥ 1."""
        return {"clean": np.ones_like(self.snr), "noise": self.snr, "velocity": self.snr + 1.0}[kind]


def _counted(steps: int) -> int:
    if steps < 1:
        raise ConfigError(f"a noise schedule needs at least one step, not {steps}")
    return steps
