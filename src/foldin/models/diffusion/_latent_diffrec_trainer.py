"""Training of L-DiffRec: first clusters of the items, then all layers together. See `latent_diffrec.py` for the equations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from foldin.data import Histories
from foldin.inference import gaussian_kl, k_means, nearest, reparameterize
from foldin.kernels import at_least_float32, drop_events, multinomial_from_hidden
from foldin.models.item_vectors import collaborative_vectors
from foldin.training import FullPass, GradientPhase, Loss, Step, Trainer, shuffled
from foldin.workers import drawn

if TYPE_CHECKING:
    from foldin.models.diffusion.latent_diffrec import LatentDiffRec

__all__ = ["LatentDiffRecTrainer"]

_VECTOR = 32  # width of the items' vectors that are clustered


class LatentDiffRecTrainer(Trainer[Histories]):
    """Gradient steps over batches of users, once the items are clustered."""

    def __init__(self, model: "LatentDiffRec", train: Histories) -> None:
        self.model, config = model, model.config
        self.sampler = config.loss.sampler(train, model.device)
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters=dict(model.learned.named_parameters()),
            loss=self.loss,
            optimizer=lambda parameters: config.loss.adam(list(parameters.values()), config.learning_rate),
            batches=shuffled(config.batch_size),
            divided=config.loss.divided,
            needs_float32=None,
        )
        super().__init__(phase, epochs=config.epochs, first=(FullPass(name="clusters", run=self._cluster),))

    @torch.no_grad()
    def _cluster(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        config = model.config
        seed = int(torch.randint(1 << 62, (), generator=generator, device=generator.device, dtype=torch.int64))
        rng = np.random.default_rng(seed)
        count = min(config.n_clusters, model.n_items)
        vectors = collaborative_vectors(train, _VECTOR, rng)
        cluster = nearest(vectors, k_means(vectors, count, rng))[0]
        sizes = np.bincount(cluster, minlength=count)
        # At least one dimension for each cluster; the rest by size, the largest remainders first.
        exact = (config.latent_dim - count) * sizes / sizes.sum()
        widths = 1 + np.floor(exact).astype(np.int64)
        widths[np.argsort(widths - 1 - exact, kind="stable")[: config.latent_dim - widths.sum()]] += 1
        of_dimension = np.repeat(np.arange(count), widths)
        model.own.copy_(torch.from_numpy(cluster[:, None] == of_dimension).float())
        return {"largest": float(sizes.max() / sizes.sum())}

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        config = model.config
        items, offsets = batch.tensors(model.device)
        kept = drop_events(
            items, offsets, model.read(offsets), config.dropout, generator, compact=config.loss.sparse is not None
        )
        code = model._summed(*kept, model._buffers_in) + model.learned["encoder_bias"]
        mu, logvar = code.chunk(2, dim=1)
        z = reparameterize(mu, logvar, generator)
        t = drawn(
            (len(batch),),
            generator,
            lambda shape: torch.randint(1, config.n_steps + 1, shape, generator=generator, device=model.device),
        )
        noise = drawn(z.shape, generator, lambda shape: torch.randn(shape, generator=generator, device=model.device))
        clean = at_least_float32(model.denoised(model.schedule.diffuse(z, t, noise), t))
        error = (model.weight(t) * (z - clean).square().mean(dim=1)).mean()
        scored = self.sampler(items, generator)
        if scored is None:
            weight, bias, at = model._decoder(), model.learned["decoder_bias"], items
        else:
            weight = scored.vectors(model.learned["decoder"]) * model.own[scored.rows]
            bias, at = scored.biases(model.learned["decoder_bias"]), scored.targets
        reconstruction = multinomial_from_hidden(clean, weight, bias, at, offsets, model._buffers_out).mean()
        kl = gaussian_kl(mu, logvar).mean()
        value = config.beta_schedule.at(step, config.beta) * kl + config.diffusion_weight * error - reconstruction
        return Loss(value, {"reconstruction": reconstruction, "kl": kl, "squared_error": error})
