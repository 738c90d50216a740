"""Denoising diffusion over examples of any shape.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 − ᾱ_t) I),   p(x_T) = N(0, I),   p(x_t−1 | x_t) = N(μ̃_t(x̂_0(x_t, t), x_t), σ_t² I)

    −log p(x_0) ≤ KL(q(x_T|x_0) ‖ p(x_T)) + Σ_{t>1} KL(q(x_t−1|x_t, x_0) ‖ p(x_t−1|x_t)) − log p(x_0|x_1)      (L_T, L_t−1, L_0)

With σ_t² = β̃_t, L_t−1 = ½ (SNR_t−1 − SNR_t) ‖x_0 − x̂_0‖². The network predicts the noise, x_0 or v (`diffusion/schedule.py`);
`step_weights` sets the weight of a step's squared error in training:

    simple        1 for the error of the network's prediction (L_simple if that is the noise)
    bound         the weight in the bound, at the variance set by `variance` (at β̃ if that is learned): training optimizes the
                  bound itself, except that L_0 of whole numbers is treated as that of floats
    snr           min(SNR_t, 5) for the error of x_0
    difference    SNR_t−1 − SNR_t for the error of x_0, and 1 at t = 1

Whole numbers 0–255 of type uint8 are scaled to [−1, 1], and log p(x_0|x_1) integrates a Gaussian over each level's bin, so that
the bound is on the log-probability of 8-bit pictures. Floats are used as they are, and the bound is on their log-density.

Source: ho2020, eqs. 2–14; kingma2021, eq. 13; nichol2021, section 3.1 (a learned variance: L_simple + .001 L, the mean held
fixed in the latter); hang2023 (min-SNR, 5); wang2023 (the difference). Sampling and bounds use a moving average of the weights.

Departures from the paper: the U-Net is small (`nn/unet.py`). The last step's σ is that of t = 2, as in the authors' code.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from foldin.data import Examples
from foldin.diffusion import (
    PREDICTIONS,
    Denoised,
    DiffusionBound,
    ancestral,
    ddim,
    evenly,
    log_gaussian,
    reverse_kl,
)
from foldin.errors import ConfigError, DataError, ShapeError
from foldin.generative.diffusion_trainer import DiffusionTrainer
from foldin.generative.networks import MLPNetwork, UNetNetwork
from foldin.generative.noise import CosineNoise, GivenNoise, LinearNoise
from foldin.inference import gaussian_kl
from foldin.tensors import Array, Float, Float64, Int, Shaped, Tensor
from foldin.training import Config, Trainable, Trainer, setting

__all__ = ["Diffusion", "DiffusionConfig"]

_BLOCK_VALUES = 1 << 20  # values of x_t that are processed at once


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(Config):
    noise: LinearNoise | CosineNoise | GivenNoise = setting(CosineNoise(), "Noise of the steps.")
    prediction: str = setting(
        "noise", "What the network predicts: the noise ε, the clean x_0, or the velocity v.", choices=PREDICTIONS
    )
    step_weights: str = setting(
        "simple",
        "Weight of a step's squared error in training: simple for 1, of what the network predicts; bound for its factor in the "
        "bound; snr for min(SNR_t, 5) and difference for SNR_t−1 − SNR_t, of x_0.",
        choices=("simple", "bound", "snr", "difference"),
    )
    importance: bool = setting(
        False, "Whether steps of large losses are trained more often, and count less each time; otherwise all alike."
    )
    variance: str = setting(
        "small",
        "Variance σ² of a reverse step: β̃, β, or learned between the two.",
        choices=("small", "large", "learned"),
    )
    network: UNetNetwork | MLPNetwork = setting(UNetNetwork(), "Network that reads x_t and t.")
    time_dim: int = setting(64, "Width of the embedding of t.", low=2)
    average_decay: float = setting(
        0.999,
        "Decay of the moving average of the network's weights, for each step; 0 for no averaging.",
        low=0,
        below=1,
    )
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0)
    lr_decay: float = setting(
        0.5, "Share of the planned steps, the last ones, over which the learning rate falls to zero.", low=0, high=1
    )
    batch_size: int = setting(128, "Examples in a batch.", low=1)
    epochs: int = setting(50, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.noise, GivenNoise) and len(self.noise.betas) < 2:
            raise ConfigError(f"Diffusion: noise.betas = {self.noise.betas}: those of two steps at least were expected")


class Diffusion(Trainable[DiffusionConfig, Examples]):
    """A denoising diffusion model.

    Args:
        shape: of an example: (height, width) or (channels, height, width) for a U-Net, any shape for an MLP.
        config, seed, device: as for every `Trainable`.

    Raises:
        ShapeError: the network does not support the shape.
    """

    Config = DiffusionConfig

    def __init__(
        self,
        shape: tuple[int, ...],
        config: DiffusionConfig | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if len(shape) == 0 or min(shape) < 1:
            raise ShapeError(f"Diffusion: examples of shape {shape} have no values")
        self.shape = tuple(shape)
        super().__init__(config, seed=seed, device=device)

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        self.schedule = config.noise.schedule()
        self.pictures = torch.zeros(1, dtype=torch.uint8, device=self.device)  # 1 once trained on whole numbers
        self.learned = config.variance == "learned"
        self.network = self._network(generator)
        self.averaged = self._network(torch.Generator().manual_seed(0)).requires_grad_(False)
        self.averaged.load_state_dict(self.network.state_dict())

    def _network(self, generator: torch.Generator) -> nn.Module:
        outputs = 2 if self.learned else 1
        return self.config.network.build(
            self.shape, outputs, self.config.time_dim, generator=generator, device=self.device
        )

    def tensors(self) -> dict[str, Tensor]:
        averaged = {f"averaged.{name}": one for name, one in self.averaged.named_parameters()}
        return {**self._parameters(), **averaged, "pictures": self.pictures}

    def _parameters(self) -> Mapping[str, nn.Parameter]:
        return {f"network.{name}": one for name, one in self.network.named_parameters()}

    def trainer(self, train: Examples) -> Trainer[Examples]:
        return DiffusionTrainer(self)

    def check_training(self, train: Examples) -> None:
        super().check_training(train)
        self._check(train)

    def _check(self, data: Examples) -> None:
        if data.shape != self.shape:
            raise ShapeError(f"Diffusion: examples of shape {self.shape} were expected, not {data.shape}")
        values = data.values
        if values.dtype != torch.uint8 and not (values.is_floating_point() and bool(values.isfinite().all())):
            raise DataError("diffusion: finite floats were expected, or whole numbers 0–255 of type uint8")

    def scaled(self, values: Shaped[Tensor, "rows *shape"]) -> Float[Tensor, "rows *shape"]:
        """x_0: whole numbers 0–255 scaled to [−1, 1], floats as they are."""
        x = values.to(self.device)
        return x.float().mul_(2.0 / 255.0).sub_(1.0) if x.dtype == torch.uint8 else x

    def _said(self, network: nn.Module, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor | None]:
        """(prediction of a network, log σ_t² if it is learned, else None), each with the shape of x."""
        channels = x if len(self.shape) != 2 or isinstance(self.config.network, MLPNetwork) else x.unsqueeze(1)
        said = network(channels, t)
        if not self.learned:
            return said.view(x.shape), None
        said, between = said.chunk(2, dim=1)
        low, high = (
            self.schedule.at(one, t, x)
            for one in (self.schedule.log_posterior_variance, np.log(np.maximum(self.schedule.betas, 1e-20)))
        )
        share = 0.5 * (between.reshape(x.shape) + 1.0)
        return said.reshape(x.shape), share * high + (1.0 - share) * low

    def denoise(self, x: Float[Tensor, "rows *shape"], t: Int[Tensor, " rows"]) -> Denoised:
        """x̂_0 by the averaged weights, and log σ_t² if it is learned; differentiable. Samplers and bounds call this."""
        said, log_variance = self._said(self.averaged, x, t)
        return Denoised(self.schedule.to_clean(self.config.prediction, said, x, t), log_variance)

    @torch.no_grad()
    def clipped(self, x: Float[Tensor, "rows *shape"], t: Int[Tensor, " rows"]) -> Denoised:
        """As `denoise`, with x̂_0 clipped to [−1, 1], the range of pictures, for sampling."""
        clean, log_variance = self.denoise(x, t)
        return Denoised(clean.clamp(-1.0, 1.0), log_variance)

    @property
    def _log_variance(self) -> Float64[Array, " times"]:
        """log σ_t² of each step, if it is not learned."""
        schedule = self.schedule
        if self.config.variance == "large":
            return np.log(np.maximum(schedule.betas, 1e-20))
        return schedule.log_posterior_variance

    def step_nats(
        self, values: Tensor, clean: Tensor, now: Tensor, said: Denoised, t: Tensor
    ) -> Float[Tensor, " rows"]:
        """L_t−1 of each example at its step t, in nats; L_0 where t = 1."""
        schedule = self.schedule
        log_variance = schedule.at(self._log_variance, t, now) if said.log_variance is None else said.log_variance
        mean = schedule.posterior_mean(said.clean, now, t)
        true_mean = schedule.posterior_mean(clean, now, t)
        kl = reverse_kl(true_mean, schedule.at(schedule.log_posterior_variance, t, now), mean, log_variance)
        first = -log_gaussian(values.to(self.device), clean, mean, log_variance)
        return torch.where(t == 1, first, kl)

    @torch.no_grad()
    def bound(self, data: Examples, generator: torch.Generator, *, draws: int | None = None) -> DiffusionBound:
        """The bound of each example, in nats, with one draw of x_t per step.

        Args:
            data: the examples.
            generator: source of the draws.
            draws: number of steps t > 1 drawn for each example, one from each of as many equal parts of 2 … T; all steps when
                None. The expectation is that of the bound in both cases.

        Raises:
            ShapeError: the examples have another shape.
            DataError: the values are neither whole numbers 0–255 of type uint8 nor finite floats.
            ConfigError: the number of draws is not between 1 and T − 1.
        """
        self._check(data)
        later = self.schedule.steps - 1
        draws = later if draws is None else draws
        if not 1 <= draws <= later:
            raise ConfigError(f"{draws} draws of a step: between 1 and {later} were expected")
        size = max(1, _BLOCK_VALUES // math.prod(self.shape))
        parts = [self._bound(data.rows(at, at + size), draws, generator) for at in range(0, max(1, len(data)), size)]
        return DiffusionBound(
            *(torch.cat([getattr(part, name) for part in parts]) for name in ("prior", "each", "reconstruction"))
        )

    def _bound(self, data: Examples, draws: int, generator: torch.Generator) -> DiffusionBound:
        clean, schedule = self.scaled(data.values), self.schedule
        n, later = len(clean), schedule.steps - 1

        def nats(t: Tensor) -> Float[Tensor, " rows"]:
            now = schedule.diffuse(
                clean, t, torch.randn(clean.shape, generator=generator, device=self.device, dtype=clean.dtype)
            )
            return self.step_nats(data.values, clean, now, self.denoise(now, t), t).double()

        last = float(schedule.alpha_bar[-1])
        spread = torch.full_like(clean, math.log1p(-last))
        prior = gaussian_kl((math.sqrt(last) * clean).flatten(1), spread.flatten(1)).double()
        each = torch.empty(n, draws, dtype=torch.float64, device=self.device)
        for draw in range(draws):
            # A step of this draw's part of 2 … T, weighted by the number of steps in that part.
            low, high = draw * later // draws, (draw + 1) * later // draws
            t = 2 + torch.randint(low, high, (n,), generator=generator, device=self.device)
            each[:, draw] = (high - low) * nats(t)
        return DiffusionBound(prior, each, -nats(torch.ones(n, dtype=torch.int64, device=self.device)))

    @torch.no_grad()
    def sample(
        self, n: int, generator: torch.Generator, *, steps: int | None = None, eta: float = 0.0
    ) -> Float[Tensor, "n *shape"]:
        """n draws of x_0: by ancestral sampling over all steps or, with `steps`, by DDIM over that many steps with η = `eta`.

        After training on whole numbers these are pictures in [−1, 1], with x̂_0 clipped to that range at every step; see `levels`.

        Raises:
            ConfigError: `steps` is not between 1 and T, or `eta` is given without it.
        """
        if steps is None and eta != 0.0:
            raise ConfigError("eta: it is DDIM's; say over how many steps")
        x = torch.randn((n, *self.shape), generator=generator, device=self.device)
        denoise = torch.no_grad()(self.clipped if bool(self.pictures) else self.denoise)
        if steps is None:
            variance = "large" if self.config.variance == "large" else "small"
            return ancestral(denoise, self.schedule, x, generator, variance=variance)
        return ddim(denoise, self.schedule, x, evenly(self.schedule.steps, steps), generator, eta=eta)

    @staticmethod
    def levels(x: Float[Tensor, "rows *shape"]) -> Shaped[Tensor, "rows *shape"]:
        """Pictures in [−1, 1] as whole numbers 0–255 of type uint8."""
        return ((x.clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
