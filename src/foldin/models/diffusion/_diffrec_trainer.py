"""Training of DiffRec: noised histories, and steps drawn by their recent losses. See `diffrec.py` for the equations."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from foldin.data import Histories
from foldin.diffusion import StepSampler
from foldin.kernels import drop_events
from foldin.models.diffusion._noisy_bag import noisy_bag
from foldin.tensors import Float, Int, Tensor
from foldin.training import FullPass, GradientPhase, Loss, Step, Trainer, shuffled

if TYPE_CHECKING:
    from foldin.models.diffusion.diffrec import _HistoryDiffusion

__all__ = ["DiffRecTrainer"]

_NOISE_DIMENSIONS = 32


class DiffRecTrainer(Trainer[Histories]):
    """Gradient steps over batches of users; the probability of a diffusion step t depends on its recent losses."""

    def __init__(self, model: "_HistoryDiffusion[Any]") -> None:
        self.model, config = model, model.config
        self.sampler = StepSampler(config.n_steps, model.device)
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters=dict(model.network.named_parameters()),
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.AdamW(
                list(parameters.values()), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
            ),
            batches=shuffled(config.batch_size),
            divided="diffusion steps are drawn by the losses of all users of the batches before",
            needs_float32="its input layer, and the squared error of its output, are computed by kernels of float32",
        )
        super().__init__(phase, epochs=config.epochs, first=(FullPass(name="count", run=self.count),))

    def state(self) -> dict[str, Tensor]:
        """The recent losses by which diffusion steps are drawn."""
        return self.sampler.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Continue with the losses of an earlier `state`."""
        self.sampler.load(dict(state))

    def count(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        model.learn_shares(train)
        return {}

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        config, network = model.config, model.network
        items, offsets = batch.tensors(model.device)
        values = model.values(offsets)
        if config.importance:
            t, scale = self.sampler.draw(len(batch), generator)
        else:
            t = torch.randint(1, config.n_steps + 1, (len(batch),), generator=generator, device=model.device)
            scale = torch.ones(len(batch), device=model.device)
        states = network.hidden(self.noised(items, offsets, values, t, generator), t)
        read = model.read(offsets, values)
        each, terms = config.head.loss(network, model.schedule, t, states, items, offsets, read)
        if config.importance:
            self.sampler.learn(t, each)
        return Loss((each * scale).mean(), terms)

    def noised(
        self, items: Tensor, offsets: Tensor, values: Tensor, t: Int[Tensor, " users"], generator: torch.Generator
    ) -> Float[Tensor, "users first"]:
        """W_in x_t of the noised histories, under dropout."""
        model = self.model
        config, schedule = model.config, model.schedule
        signal, sigma = (torch.from_numpy(one).float().to(model.device)[t] for one in (schedule.signal, schedule.sigma))
        if config.empty_share:
            full = torch.rand(len(t), generator=generator, device=model.device) >= config.empty_share
            signal = signal * full
        read = model.read(offsets, values) * torch.repeat_interleave(signal, offsets.diff())
        items, offsets, read = drop_events(items, offsets, read, config.dropout, generator)
        sigma = sigma / math.sqrt(1.0 - config.dropout)
        return noisy_bag(
            model.network.first,
            items,
            offsets,
            read,
            sigma,
            generator,
            dimensions=_NOISE_DIMENSIONS,
            buffers=model.network.buffers_in,
        )
