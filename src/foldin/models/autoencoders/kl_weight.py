"""The weight of each user's KL term, as settings."""

from dataclasses import dataclass

from foldin.tensors import Float, Int, Tensor
from foldin.training import Option, Range, setting

__all__ = ["ConstantKL", "KLPerItem"]


@dataclass(frozen=True, kw_only=True)
class KLPerItem(Option):
    """A weight of γ for each item of a user.

    Source: shenbin2020, eq. 12.
    """

    name = "per-item"
    gamma: float = setting(
        0.005, "Weight of the KL for each item of a user, γ.", low=0, range=Range(5e-4, 0.05, log=True)
    )

    def of(self, lengths: Int[Tensor, " users"]) -> Float[Tensor, " users"]:
        """The weight of each user's KL."""
        return self.gamma * lengths


@dataclass(frozen=True, kw_only=True)
class ConstantKL(Option):
    """One weight for all users."""

    name = "constant"
    beta: float = setting(1.0, "Weight of every user's KL, β.", low=0, range=Range(0.02, 1.0, log=True))

    def of(self, lengths: Int[Tensor, " users"]) -> float:
        """The weight of each user's KL."""
        return self.beta
