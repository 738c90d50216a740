"""The weight of the KL term during training, as settings."""

from dataclasses import dataclass

from foldin.tensors import Float, Int, Tensor
from foldin.training import Option, Step, setting

__all__ = ["ConstantKL", "KLPerItem", "RisingOverShare", "RisingOverUpdates"]


@dataclass(frozen=True, kw_only=True)
class RisingOverShare(Option):
    """From 0 to the cap in a straight line over the first share of the planned updates, and the cap from there on."""

    name = "share"
    share: float = setting(0.85, "Share of the planned updates over which the weight rises.", low=0, high=1)

    def at(self, step: Step, cap: float) -> float:
        """The weight at a step: a pure function of it."""
        return cap * step.risen(self.share)


@dataclass(frozen=True, kw_only=True)
class RisingOverUpdates(Option):
    """min(cap, update ÷ updates), as in the paper of Mult-VAE.

    Source: liang2018, section 2.2.2 and the authors' code.
    """

    name = "updates"
    updates: int = setting(200_000, "Updates over which the weight would rise to 1.", low=1)

    def at(self, step: Step, cap: float) -> float:
        """The weight at a step: a pure function of it."""
        return min(cap, step.number / self.updates)


@dataclass(frozen=True, kw_only=True)
class KLPerItem(Option):
    """γ for each item of a user.

    Source: shenbin2020, eq. 12.
    """

    name = "per-item"
    gamma: float = setting(0.005, "Weight of the KL for each item of a user, γ.", low=0)

    def of(self, lengths: Int[Tensor, " users"]) -> Float[Tensor, " users"]:
        """The weight of each user's KL."""
        return self.gamma * lengths


@dataclass(frozen=True, kw_only=True)
class ConstantKL(Option):
    """One weight for all users."""

    name = "constant"
    beta: float = setting(1.0, "Weight of every user's KL, β.", low=0)

    def of(self, lengths: Int[Tensor, " users"]) -> float:
        """The weight of each user's KL."""
        return self.beta
