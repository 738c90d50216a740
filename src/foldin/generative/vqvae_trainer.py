"""Training of a VQ-VAE: initial codebooks by k-means, and the objective of a batch. See `generative/vqvae.py`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from foldin.data import Examples
from foldin.tensors import Float, Int, Tensor
from foldin.training import FullPass, GradientPhase, Loss, Step, Trainer, falling, shuffled

if TYPE_CHECKING:
    from foldin.generative.vqvae import VQVAE

__all__ = ["VQVAETrainer"]

_RATE = 0.1  # of the moving mean and variance of z_e, per step
_BEGIN = 32  # number of vectors per code for k-means


def _perplexity(codes: Int[Tensor, "places levels"], size: int) -> Float[Tensor, ""]:
    """Perplexity of the codes, exp of their entropy, as a mean over levels."""
    shares = [torch.bincount(own, minlength=size) / len(own) for own in codes.unbind(dim=1)]
    return torch.stack([torch.special.entr(one).sum().exp() for one in shares]).mean()


class VQVAETrainer(Trainer[Examples]):
    """Gradient steps over batches of pictures, after k-means on some of them."""

    def __init__(self, model: "VQVAE") -> None:
        self.model, config = model, model.config
        learned = {
            name: tensor
            for name, tensor in model.tensors().items()
            if isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad
        }
        phase: GradientPhase[Examples] = GradientPhase(
            name="train",
            parameters=learned,
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, fused=True
            ),
            batches=shuffled(config.batch_size),
            learning_rate=falling(config.learning_rate, config.lr_decay),
        )
        super().__init__(phase, epochs=config.epochs, first=(FullPass(name="codebook", run=self.begin),))

    @torch.no_grad()
    def begin(self, train: Examples, generator: torch.Generator) -> Mapping[str, float]:
        """Set the codebooks to k-means centers of the encoder's output for some pictures."""
        model = self.model
        rng = np.random.default_rng(int(torch.randint(1 << 62, (), generator=generator, device=model.device)))
        rows = min(len(train), -(-_BEGIN * model.config.codebook_size // (model.grid[0] * model.grid[1])))
        some = train.select(rng.choice(len(train), size=rows, replace=False))
        model.quantizer.begin(model.encode(some.values.to(model.device), rate=1.0), rng)
        return {}

    def loss(self, batch: Examples, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        values = batch.values.to(model.device)
        found = model.quantizer(model.encode(values, rate=_RATE), generator)
        reconstruction = model.likelihood.log_prob(model.decode_vectors(found.values), values).mean()
        quantizer = model.grid[0] * model.grid[1] * found.loss
        terms = {
            "reconstruction": reconstruction,
            "quantizer": quantizer,
            "perplexity": _perplexity(found.codes, model.config.codebook_size),
        }
        return Loss(quantizer - reconstruction, terms)
