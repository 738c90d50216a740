"""Training of a VAE: the objective of a batch, and the initial values of a learned prior. See `generative/vae.py`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from foldin.data import Examples
from foldin.generative.priors import MixtureOfPosteriors
from foldin.inference import gaussian_kl_terms, log_normal, perturbed
from foldin.tensors import Float, Shaped, Tensor
from foldin.training import FullPass, GradientPhase, Loss, Step, Trainer, compiled, shuffled

if TYPE_CHECKING:
    from foldin.generative.vae import VAE

__all__ = ["VAETrainer"]


class VAETrainer(Trainer[Examples]):
    """Gradient steps over batches of examples."""

    def __init__(self, model: "VAE") -> None:
        self.model, config = model, model.config
        kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.Adagrad
        self._compiled = compiled(self._terms, device=model.device, of="VAE") if config.compiled else None
        phase: GradientPhase[Examples] = GradientPhase(
            name="train",
            parameters=model.learned(),
            loss=self.loss,
            optimizer=lambda parameters: kind(list(parameters.values()), lr=config.learning_rate, fused=True),
            batches=shuffled(config.batch_size),
            needs_float32="its own setting `precision` is for that",
        )
        vamp = isinstance(model.prior, MixtureOfPosteriors)
        first = (FullPass(name="prior", run=self._begin_prior),) if vamp else ()
        super().__init__(phase, epochs=config.epochs, first=first)

    @torch.no_grad()
    def _begin_prior(self, train: Examples, generator: torch.Generator) -> Mapping[str, float]:
        """Set the pseudo-inputs to training examples, drawn with replacement."""
        prior = self.model.prior
        assert isinstance(prior, MixtureOfPosteriors)
        chosen = torch.randint(len(train), (len(prior.inputs),), generator=generator, device=generator.device).cpu()
        prior.inputs.copy_(self.model.likelihood.encoded(train.values[chosen]))
        return {}

    def beta_at(self, step: Step) -> float:
        """Weight of the KL term at a step."""
        config = self.model.config
        return config.beta if config.beta_schedule is None else config.beta_schedule.at(step, config.beta)

    def free_bits_at(self, step: Step) -> float:
        """Nats of each latent dimension's KL that are free at a step."""
        free_bits = self.model.config.free_bits
        return 0.0 if free_bits is None else free_bits.at(step)

    def loss(self, batch: Examples, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        rows = len(batch) * model.config.n_draws
        batch = model.likelihood.training_batch(batch, generator)
        noise = torch.randn((rows, model.config.latent_dim), generator=generator, device=model.device)
        reconstruction, parts = (self._compiled or self._terms)(batch.values.to(model.device), noise)
        kl, free = parts.sum(), self.free_bits_at(step)
        cost = parts.clamp(min=free).sum() if free > 0 else kl
        return Loss(self.beta_at(step) * cost - reconstruction, {"reconstruction": reconstruction, "kl": kl})

    def _terms(
        self, values: Shaped[Tensor, "rows *shape"], noise: Float[Tensor, "draws latent"]
    ) -> tuple[Tensor, Tensor]:
        """(reconstruction, KL) in nats, means over examples and draws; estimator B gives the KL of each latent dimension.

        Args:
            values: the examples.
            noise: ε of the first draws of all examples, then of their second draws, and so on.
        """
        model = self.model
        config = model.config
        with self._products():
            code = model.encode(model.likelihood.encoded(values))
        mu, logvar = (part.float() for part in code)
        wide_mu, wide_logvar = mu, logvar
        if config.n_draws > 1:
            wide_mu, wide_logvar = mu.repeat(config.n_draws, 1), logvar.repeat(config.n_draws, 1)
            values = values.repeat(config.n_draws, *(1 for _ in model.shape))
        z = perturbed(wide_mu, wide_logvar, noise)
        with self._products():
            outputs = model.decode(z)
        reconstruction = model.likelihood.log_prob(outputs.float(), values).mean()
        if not config.closed_form:
            return reconstruction, (log_normal(z, wide_mu, wide_logvar) - model.log_prior(z, Examples(values))).mean()
        return reconstruction, gaussian_kl_terms(mu, logvar).mean(dim=0)

    def _products(self) -> torch.autocast:
        """Context in which matrix products have the precision set for training."""
        half = self.model.config.precision == "bfloat16"
        return torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=half)
