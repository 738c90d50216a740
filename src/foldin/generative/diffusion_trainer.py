"""Training of a diffusion: noisy examples, steps drawn by their losses, averaged weights. See `generative/diffusion.py`."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from foldin.data import Examples
from foldin.diffusion import Denoised, StepSampler
from foldin.tensors import Float, Int, Tensor
from foldin.training import FullPass, GradientPhase, Loss, Step, Trainer, falling, shuffled

if TYPE_CHECKING:
    from foldin.generative.diffusion import Diffusion

__all__ = ["DiffusionTrainer"]

_BOUND_SHARE = 1e-3  # weight of the bound, if the variance is learned
_MIN_SNR = 5.0


class DiffusionTrainer(Trainer[Examples]):
    """Gradient steps over batches of examples, each followed by an update of the averaged weights."""

    def __init__(self, model: "Diffusion") -> None:
        self.model, config = model, model.config
        self.sampler = StepSampler(model.schedule.steps, model.device)
        self._taken: int | None = None  # gradient steps so far, if the average does not include the last yet
        phase: GradientPhase[Examples] = GradientPhase(
            name="train",
            parameters=model._parameters(),
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, fused=True
            ),
            batches=shuffled(config.batch_size),
            learning_rate=falling(config.learning_rate, config.lr_decay),
        )
        average = FullPass(name="average", run=self._catch_up)
        super().__init__(phase, average, epochs=config.epochs, first=(FullPass(name="values", run=self._see),))

    def state(self) -> dict[str, Tensor]:
        """Recent losses, by which steps are drawn."""
        return self.sampler.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a result of `state`."""
        self.sampler.load(dict(state))

    def _see(self, train: Examples, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        model.pictures.fill_(train.values.dtype == torch.uint8)
        return {}

    def weight(self, t: Int[Tensor, " rows"]) -> Float[Tensor, " rows"]:
        """Weight of the squared error of the network's prediction at step t."""
        model = self.model
        config, schedule = model.config, model.schedule
        native = schedule.of_clean(config.prediction)[1:]
        snr = schedule.snr
        fall = schedule.snr_fall[1:]
        values = {
            "simple": native,
            "bound": 0.5 * schedule.mean_coefficients[0][1:] ** 2 * np.exp(-model._log_variance[1:]),
            "snr": np.minimum(snr[1:], _MIN_SNR),
            "difference": fall,
        }[config.step_weights]
        return torch.from_numpy(values / native).to(device=t.device, dtype=torch.float32)[t - 1]

    def loss(self, batch: Examples, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        config = model.config
        self.average_after(step.number)
        clean = model.scaled(batch.values)
        if config.importance:
            t, scale = self.sampler.draw(len(clean), generator)
        else:
            t = torch.randint(1, model.schedule.steps + 1, (len(clean),), generator=generator, device=model.device)
            scale = torch.ones(len(clean), device=model.device)
        noise = torch.randn(clean.shape, generator=generator, device=model.device, dtype=clean.dtype)
        now = model.schedule.diffuse(clean, t, noise)
        said, log_variance = model._said(model.network, now, t)
        wanted = noise if config.prediction == "noise" else model.schedule.from_clean(config.prediction, clean, now, t)
        error = (said - wanted).square().flatten(1).mean(dim=1)
        each = self.weight(t) * error
        if log_variance is not None:
            held = model.schedule.to_clean(config.prediction, said.detach(), now, t)
            nats = model.step_nats(batch.values, clean, now, Denoised(held, log_variance), t)
            each = each + _BOUND_SHARE * model.schedule.steps * nats / math.prod(model.shape)
        if config.importance:
            self.sampler.learn(t, each)
        self._taken = step.number + 1
        return Loss((each * scale).mean(), {"squared_error": error.mean()})

    @torch.no_grad()
    def average_after(self, taken: int) -> None:
        """Update the moving average after `taken` steps, if it does not include the last of them yet."""
        model = self.model
        if self._taken == taken:
            self._taken = None
            decay = min(model.config.average_decay, (1.0 + taken) / (10.0 + taken))
            for mean, now in zip(model.averaged.parameters(), model.network.parameters(), strict=True):
                mean.lerp_(now, 1.0 - decay)

    def _catch_up(self, train: Examples, generator: torch.Generator) -> Mapping[str, float]:
        if self._taken is not None:
            self.average_after(self._taken)
        return {}
