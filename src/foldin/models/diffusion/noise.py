"""The noise of a diffusion over histories, as a setting."""

from dataclasses import dataclass

from foldin.diffusion import NoiseSchedule
from foldin.errors import ConfigError
from foldin.training import Option, Range, setting

__all__ = ["LinearVariance"]


@dataclass(frozen=True, kw_only=True)
class LinearVariance(Option):
    """1 − ᾱ rises linearly from scale · low to scale · high.

    Source: wang2023, eq. 4 and the authors' code.

    Raises:
        ConfigError: low is not below high, or scale · high not below 1.
    """

    name = "linear"
    scale: float = setting(
        0.005, "Scale s that both ends of the line are multiplied by.", above=0, range=Range(1e-4, 0.5, log=True)
    )
    low: float = setting(0.005, "Variance 1 − ᾱ of the first step, in scales.", above=0)
    high: float = setting(0.01, "Variance 1 − ᾱ of the last step, in scales.", above=0)
    first: float = setting(
        0.0, "Noise β_1 of the first step, as in the authors' code; 0 for that of the line.", low=0, below=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low < self.high or self.scale * self.high >= 1:
            raise ConfigError(
                f"noise: low = {self.low:g} must be below high = {self.high:g}, and scale · high = "
                f"{self.scale * self.high:g} below 1"
            )

    def schedule(self, steps: int) -> NoiseSchedule:
        """The noise schedule of `steps` steps; a single step has the noise of the last."""
        low = self.low if steps > 1 else self.high
        first = self.first if steps > 1 and self.first > 0 else None
        return NoiseSchedule.linear_variance(steps, self.scale, low, self.high, first=first)
