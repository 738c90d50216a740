"""The options for the noise schedule of a diffusion."""

from dataclasses import dataclass

import numpy as np

from foldin.diffusion import NoiseSchedule
from foldin.training import Option, setting

__all__ = ["CosineNoise", "GivenNoise", "LinearNoise"]


@dataclass(frozen=True, kw_only=True)
class LinearNoise(Option):
    """Noise with β_t that rises linearly.

    Source: ho2020, section 4.
    """

    name = "linear"
    n_steps: int = setting(1000, "Steps of the diffusion, T.", low=2)

    def schedule(self) -> NoiseSchedule:
        """The noise of every step."""
        return NoiseSchedule.linear(self.n_steps)


@dataclass(frozen=True, kw_only=True)
class CosineNoise(Option):
    """Noise with ᾱ_t that falls as a squared cosine.

    Source: nichol2021, eqs. 16–17.
    """

    name = "cosine"
    n_steps: int = setting(1000, "Steps of the diffusion, T.", low=2)

    def schedule(self) -> NoiseSchedule:
        """The noise of every step."""
        return NoiseSchedule.cosine(self.n_steps)


@dataclass(frozen=True, kw_only=True)
class GivenNoise(Option):
    """Noise with β_t given for every step."""

    name = "given"
    betas: tuple[float, ...] = setting((), "Noise β_1 … β_T of the steps; their number is T.", above=0, below=1)

    def schedule(self) -> NoiseSchedule:
        """The noise of every step."""
        return NoiseSchedule.from_betas(np.array(self.betas))
