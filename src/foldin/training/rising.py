"""Options for the weight of a term that rises during training, such as that of the KL."""

from dataclasses import dataclass

from foldin.training.config import Option, setting
from foldin.training.trainer import Step

__all__ = ["RisingOverShare", "RisingOverUpdates"]


@dataclass(frozen=True, kw_only=True)
class RisingOverShare(Option):
    """A weight that rises linearly from 0 to its cap over the first share of the planned updates, and then stays there."""

    name = "share"
    share: float = setting(0.85, "Share of the planned updates over which the weight rises.", low=0, high=1)

    def at(self, step: Step, cap: float) -> float:
        """The weight at a step: a pure function of it."""
        return cap * step.risen(self.share)


@dataclass(frozen=True, kw_only=True)
class RisingOverUpdates(Option):
    """A weight that is the smaller of its cap and update ÷ updates, as in the paper of Mult-VAE.

    Source: liang2018, section 2.2.2 and the authors' code.
    """

    name = "updates"
    updates: int = setting(200_000, "Updates over which the weight would rise to 1.", low=1)

    def at(self, step: Step, cap: float) -> float:
        """The weight at a step: a pure function of it."""
        return min(cap, step.number / self.updates)
