"""RQ-VAE: each vector is given a few codes, from coarse to fine, so that similar vectors share their first codes.

    z = encoder(x),   ẑ = Σ_l e^l_{c_l}   (residual quantization),   x̂ = decoder(ẑ)
    loss = ‖x − x̂‖² + β ‖z − sg[ẑ]‖², level by level; codebooks by moving averages

Without an encoder it is residual k-means: each level's codebook is k-means of the residuals of the levels before it, and nothing
else is learned.

Source: rajput2023 (TIGER), section 3.1 (512-256-128 → 32, three levels of 256 codes, β .25); zeghidour2021 (residual
quantization, moving averages, revived codes); vandenoord2017.

Departures from the paper: moving averages instead of a codebook loss; tanh instead of ReLU; standardized inputs; AdamW at
1e-3 in batches of 1,024; dead codes are reset to vectors of the batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from foldin.data import Examples
from foldin.errors import ConfigError, ShapeError
from foldin.generative.codebooks import codebooks
from foldin.nn import MLP, ResidualQuantizer
from foldin.tensors import Float, Int, Tensor
from foldin.training import Config, FullPass, GradientPhase, Loss, Option, Step, Trainable, Trainer, setting, shuffled

__all__ = ["RQVAE", "Autoencoder", "RQVAEConfig"]

_BLOCK = 8192
_REVIVE = 0.1  # share of a code's even use below which it is reset


@dataclass(frozen=True, kw_only=True)
class Autoencoder(Option):
    """An encoder before the codebooks and a decoder after them, learned together with the codebooks."""

    name = "autoencoder"
    hidden_dims: tuple[int, ...] = setting(
        (512, 256, 128), "Widths of the encoder's hidden layers; the decoder mirrors them.", low=1
    )
    latent_dim: int = setting(32, "Width of z, the vector that is quantized.", low=1)
    commitment: float = setting(0.25, "Weight of the commitment term, β.", low=0)
    average_decay: float = setting(0.99, "Decay of the codebooks' moving averages for each step, γ.", above=0, below=1)
    learning_rate: float = setting(1e-3, "Learning rate of AdamW.", above=0)
    batch_size: int = setting(1024, "Vectors in a batch.", low=1)
    epochs: int = setting(200, "Epochs, at most.", low=1)


@dataclass(frozen=True, kw_only=True)
class RQVAEConfig(Config):
    levels: int = setting(3, "Codes of a vector, coarse to fine.", low=1)
    codebook_size: int = setting(256, "Codes of each level.", low=1)
    autoencoder: Autoencoder | None = setting(
        Autoencoder(), "Autoencoder whose z is quantized; none for residual k-means of the vectors themselves."
    )


class RQVAE(Trainable[RQVAEConfig, Examples]):
    """Quantizer of vectors, such as those of items, into a few codes from coarse to fine.

    Args:
        width: of a vector.
        config, seed, device: as for every `Trainable`.

    Raises:
        ConfigError: the width is less than 1.
    """

    Config = RQVAEConfig

    def __init__(
        self, width: int, config: RQVAEConfig | None = None, *, seed: int = 0, device: str | torch.device = "cpu"
    ) -> None:
        if width < 1:
            raise ConfigError(f"RQVAE: vectors need a width of 1 at least, not {width}")
        self.width = width
        super().__init__(config, seed=seed, device=device)

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        made: list[nn.Module] = [nn.Identity(), nn.Identity()]
        width, of_step = self.width, config.autoencoder or Autoencoder()  # k-means takes no steps
        if config.autoencoder is not None:
            width, widths = of_step.latent_dim, (self.width, *of_step.hidden_dims, of_step.latent_dim)
            made = [MLP(one, generator=generator, device=self.device) for one in (widths, widths[::-1])]
        self.encoder, self.decoder = made
        self.quantizer = ResidualQuantizer(
            codebooks(
                config.levels,
                config.codebook_size,
                width,
                average_decay=of_step.average_decay,
                commitment=of_step.commitment,
                revive=_REVIVE,
                generator=generator,
                device=self.device,
            )
        )
        self.mean = torch.zeros(self.width, device=self.device)
        self.scale = torch.ones(1, device=self.device)

    def tensors(self) -> dict[str, Tensor]:
        named = {f"encoder.{name}": value for name, value in self.encoder.state_dict(keep_vars=True).items()}
        named |= {f"decoder.{name}": value for name, value in self.decoder.state_dict(keep_vars=True).items()}
        named |= {f"quantizer.{name}": value for name, value in self.quantizer.state_dict(keep_vars=True).items()}
        return {**named, "mean": self.mean, "scale": self.scale}

    def trainer(self, train: Examples) -> Trainer[Examples]:
        return _Training(self)

    def check_training(self, train: Examples) -> None:
        super().check_training(train)
        self._check(train.values)

    def _check(self, x: Tensor) -> None:
        if x.ndim != 2 or x.shape[1] != self.width or not x.is_floating_point():
            raise ShapeError(f"RQVAE: vectors of width {self.width} were expected, not {x.dtype} {tuple(x.shape)}")

    def standardized(self, x: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
        # One scale for all coordinates, because the proportions between them carry information.
        return (x - self.mean) / self.scale

    @torch.no_grad()
    def codes(self, x: Float[Tensor, "n width"]) -> Int[Tensor, "n levels"]:
        """The codes of each vector, from coarse to fine.

        Raises:
            ShapeError: the vectors have another width, or are not floats.
        """
        self._check(x)
        parts = [
            self.quantizer(self.encoder(self.standardized(x[at : at + _BLOCK].to(self.device)))).codes
            for at in range(0, len(x), _BLOCK)
        ]
        return torch.cat(parts) if parts else torch.empty(0, self.config.levels, dtype=torch.int64, device=self.device)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "n levels"]) -> Float[Tensor, "n width"]:
        """The vector x̂ that each tuple of codes stands for."""
        return self.decoder(self.quantizer.decode(codes)) * self.scale + self.mean


class _Training(Trainer[Examples]):
    def __init__(self, model: RQVAE) -> None:
        self.model, inner = model, model.config.autoencoder
        begin = FullPass(name="begin", run=self.begin)
        if inner is None:
            super().__init__(begin, closed_form=True)
            return
        parameters = {f"encoder.{name}": value for name, value in model.encoder.named_parameters()}
        parameters |= {f"decoder.{name}": value for name, value in model.decoder.named_parameters()}
        phase: GradientPhase[Examples] = GradientPhase(
            name="train",
            parameters=parameters,
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.AdamW(
                list(parameters.values()), lr=inner.learning_rate, fused=True
            ),
            batches=shuffled(inner.batch_size),
        )
        super().__init__(phase, epochs=inner.epochs, first=(begin,))

    @torch.no_grad()
    def begin(self, train: Examples, generator: torch.Generator) -> Mapping[str, float]:
        model = self.model
        x = train.values.to(model.device)
        model.mean.copy_(x.mean(dim=0))
        model.scale.copy_((x - model.mean).square().mean().sqrt().clamp(min=1e-6).reshape(1))
        seed = int(torch.randint(1 << 62, (), generator=generator, device=generator.device, dtype=torch.int64))
        latent = torch.cat([model.encoder(model.standardized(part)) for part in x.split(_BLOCK)])
        model.quantizer.begin(latent, np.random.default_rng(seed))
        return {}

    def loss(self, batch: Examples, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        x = model.standardized(batch.values.to(model.device))
        found = model.quantizer(model.encoder(x), generator)
        squares = (x - model.decoder(found.values)).square().sum(dim=1).mean()
        return Loss(squares + found.loss, {"squares": squares, "commitment": found.loss})
