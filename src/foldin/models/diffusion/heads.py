"""Outputs of DiffRec's network with their losses: the clean row itself, or a distribution over items."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from foldin.diffusion import Coefficients, NoiseSchedule, coefficients
from foldin.kernels import multinomial_from_hidden
from foldin.models.diffusion._history_denoiser import HistoryDenoiser
from foldin.models.diffusion._squared_error import squared_error_from_hidden
from foldin.tensors import Float, Int, Tensor
from foldin.training import Option, setting

__all__ = ["Head", "Multinomial", "SquaredError"]


class Head(Option, ABC):
    """An output with its loss; a subclass states whether its softmax is a density over the catalog."""

    density: ClassVar[bool]
    guidance: float = 0.0

    @abstractmethod
    def steps(self, schedule: NoiseSchedule) -> list[Coefficients]:
        """The reverse process in serving, from the last step down."""

    @abstractmethod
    def loss(
        self,
        network: HistoryDenoiser,
        schedule: NoiseSchedule,
        t: Int[Tensor, " users"],
        states: Float[Tensor, "users last"],
        items: Int[Tensor, " events"],
        offsets: Int[Tensor, " offsets"],
        read: Float[Tensor, " events"],
    ) -> tuple[Float[Tensor, " users"], dict[str, Tensor]]:
        """(loss of each user, terms to report).

        Args:
            t: the step to which each row was noised.
            states: input of the last layer.
            read: entry of the row x at each event.
        """


@dataclass(frozen=True, kw_only=True)
class SquaredError(Head):
    """The row x_0 itself, trained by its squared error divided by the number of items, as in the paper.

    Source: wang2023, eqs. 9 and 10; song2021, eq. 12 (few steps); ho2022, eq. 6 (guidance).
    """

    name = "squared"
    density = False
    reweighted: bool = setting(True, "Whether losses of steps are weighed by SNR_t−1 − SNR_t; otherwise all weigh 1.")
    reverse_steps: int | None = setting(
        None, "Steps of DDIM in serving; none for the posterior mean of every step.", low=1
    )
    guidance: float = setting(0.0, "Guidance w of (1 + w) f(x_t, t) − w f(0, t) in serving; 0 for none.", low=0)

    def steps(self, schedule: NoiseSchedule) -> list[Coefficients]:
        return coefficients(schedule, self.reverse_steps)

    def weight(self, schedule: NoiseSchedule, t: Int[Tensor, " users"]) -> Float[Tensor, " users"]:
        """w_t, the weight of a step's error."""
        if not self.reweighted:
            return torch.ones(len(t), device=t.device)
        return torch.from_numpy(schedule.snr_fall).float().to(t.device)[t]

    def loss(
        self,
        network: HistoryDenoiser,
        schedule: NoiseSchedule,
        t: Int[Tensor, " users"],
        states: Float[Tensor, "users last"],
        items: Int[Tensor, " events"],
        offsets: Int[Tensor, " offsets"],
        read: Float[Tensor, " events"],
    ) -> tuple[Float[Tensor, " users"], dict[str, Tensor]]:
        # The target is the input row, since the output of a step is the input of the next one and must have its scale.
        error = squared_error_from_hidden(
            states, network.last, network.last_bias, items, offsets, read, network.buffers_out
        )
        return self.weight(schedule, t) * error / len(network.last), {"squared_error": error.mean()}


@dataclass(frozen=True, kw_only=True)
class Multinomial(Head):
    """A distribution over items, trained by the log-likelihood of the history: a density with a bound; one step in serving.

    Source: liang2018, eq. 2.
    """

    name = "multinomial"
    density = True

    def steps(self, schedule: NoiseSchedule) -> list[Coefficients]:
        return coefficients(schedule, 1)

    def loss(
        self,
        network: HistoryDenoiser,
        schedule: NoiseSchedule,
        t: Int[Tensor, " users"],
        states: Float[Tensor, "users last"],
        items: Int[Tensor, " events"],
        offsets: Int[Tensor, " offsets"],
        read: Float[Tensor, " events"],
    ) -> tuple[Float[Tensor, " users"], dict[str, Tensor]]:
        found = multinomial_from_hidden(states, network.last, network.last_bias, items, offsets, network.buffers_out)
        return -found, {"reconstruction": found.mean()}
