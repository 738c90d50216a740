"""Training of RecVAE: encoder and decoder in turn, with q_old in a cache. See `recvae.py` for the equations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from foldin.data import Histories
from foldin.inference import log_normal, reparameterize
from foldin.models.autoencoders._implicit_slim import implicit_slim
from foldin.models.evidence import read_and_predicted
from foldin.tensors import Float, Tensor
from foldin.training import FullPass, GradientPhase, Loss, Phase, Step, Trainer, shuffled
from foldin.transfers import sent
from foldin.workers import group_of

if TYPE_CHECKING:
    from foldin.models.autoencoders.recvae import RecVAE

__all__ = ["RecVAETrainer"]

_Gaussian = tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]


class RecVAETrainer(Trainer[Histories]):
    """Phases of an epoch: the encoder, a copy of it into q_old, the decoder; or both at once."""

    def __init__(self, model: "RecVAE", train: Histories) -> None:
        self.model, config = model, model.config
        self.sampler = config.loss.sampler(train, model.device)
        self.cache: _Gaussian | None = None  # q_old of every training user

        def adam(parameters: Mapping[str, torch.nn.Parameter]) -> torch.optim.Optimizer:
            return config.loss.adam(list(parameters.values()), config.learning_rate)

        def gradient(name: str, parameters: Mapping[str, torch.nn.Parameter], passes: int) -> GradientPhase[Histories]:
            loss = self.decoder_loss if name == "decoder" else self.loss
            return GradientPhase(
                name=name,
                parameters=parameters,
                loss=loss,
                optimizer=adam,
                batches=shuffled(config.batch_size),
                passes=passes,
                divided=config.loss.divided,
                needs_float32=None,
            )

        encoder = {f"encoder.{name}": value for name, value in model.encoder.named_parameters()}
        decoder = {"decoder": model.decoder, "decoder_bias": model.decoder_bias}
        phases: list[Phase[Histories]] = [FullPass(name="posterior", run=self.fill_cache)]
        if config.alternation is not None:
            phases += [
                gradient("encoder", encoder, config.alternation.encoder_passes),
                FullPass(name="prior", run=self.refresh),
                gradient("decoder", decoder, config.alternation.decoder_passes),
            ]
        else:
            phases.append(gradient("train", {**encoder, **decoder}, 1))
        if config.slim is not None:
            # First, as in the authors' code, so that passes over all users follow before the epoch is evaluated.
            phases.insert(0, FullPass(name="slim", run=self.refine, every=config.slim.every))
        super().__init__(*phases, epochs=config.epochs)

    @torch.no_grad()
    def fill_cache(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        if self.cache is None:
            step, group = model.config.batch_size, group_of(generator)
            own = group.rows(train)
            # A worker without a user has an empty block of them.
            parts = [model.frozen_posterior(own.rows(at, at + step)) for at in range(0, max(1, len(own)), step)]
            mu, logvar = (torch.cat(side) for side in zip(*parts, strict=True))
            self.cache = group.gather(mu, len(train)), group.gather(logvar, len(train))
        return {}

    def refresh(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        model.old.copy_from(model.encoder)
        self.cache = None
        return self.fill_cache(train, generator)

    def cached(self, step: Step) -> _Gaussian:
        model = self.model
        assert self.cache is not None
        at = sent(step.users, model.device)
        return self.cache[0][at], self.cache[1][at]

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        read, predicted = read_and_predicted(batch, model.config.oldest, model.device)
        mu, logvar = model.encoder(*read, dropout=model.config.dropout, generator=generator)
        z = reparameterize(mu, logvar, generator)
        reconstruction = model._reconstruction(z, predicted, self.sampler(predicted.items, generator))
        kl = log_normal(z, mu, logvar) - model._prior_terms(z, self.cached(step)).sum(dim=-1)
        weight = model.config.kl_weight.of(predicted.offsets.diff())
        return Loss((weight * kl - reconstruction).mean(), {"reconstruction": reconstruction.mean(), "kl": kl.mean()})

    def decoder_loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        # The KL does not depend on the decoder, and q is q_old right after a refresh.
        _, predicted = read_and_predicted(batch, model.config.oldest, model.device)
        z = reparameterize(*self.cached(step), generator)
        scored = self.sampler(predicted.items, generator)
        reconstruction = model._reconstruction(z, predicted, scored).mean()
        return Loss(-reconstruction, {"reconstruction": reconstruction})

    @torch.no_grad()
    def refine(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """ImplicitSLIM on the encoder's first layer and on the decoder."""
        model = self.model
        slim = model.config.slim
        assert slim is not None
        for weight in (model.encoder.first, model.decoder):
            refined = implicit_slim(
                weight.float(),
                train,
                regularization=slim.regularization,
                strength=slim.strength,
                min_count=slim.min_count,
            )
            weight.copy_(refined)
        return {}
