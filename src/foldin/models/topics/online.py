"""Online steps of variational inference, as settings."""

from dataclasses import dataclass

from foldin.tensors import Tensor
from foldin.training import Option, setting

__all__ = ["CoordinateAscent", "Online", "StochasticAscent"]


@dataclass(frozen=True, kw_only=True)
class _Steps(Option):
    """Natural-gradient steps over batches of users, with rate (τ₀ + t)^−κ."""

    batch_size: int = setting(256, "Users in a batch.", low=1)
    delay: float = setting(10.0, "Delay of the steps, τ₀, which makes early ones smaller.", low=0)
    forgetting: float = setting(0.7, "Exponent by which steps shrink, κ.", above=0.5, high=1)

    def rate(self, steps: Tensor) -> float:
        """The rate of the step that follows `steps` earlier ones, in double precision."""
        return float((steps + self.delay + 1.0) ** -self.forgetting)


@dataclass(frozen=True, kw_only=True)
class Online(_Steps):
    """Natural-gradient steps over batches of users.

    Source: hoffman2010, algorithm 2.
    """

    name = "online"


@dataclass(frozen=True, kw_only=True)
class CoordinateAscent(Option):
    """Full passes over all users."""

    name = "coordinate"
    restart: bool = setting(
        True,
        "Whether each pass takes users to convergence from the prior; otherwise one update from where the last pass left them.",
    )


@dataclass(frozen=True, kw_only=True)
class StochasticAscent(_Steps):
    """Natural-gradient steps over batches of users.

    Source: hoffman2013, figure 4.
    """

    name = "stochastic"
    delay: float = setting(64.0, "Delay of the steps, τ₀, which makes early ones smaller.", low=0)
