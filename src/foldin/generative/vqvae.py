"""VQ-VAE: an autoencoder of pictures whose code is a grid of whole numbers.

    z_e = encoder(x),   c = argmin_k ‖z_e − e_k‖² at each place of the grid,   x ~ p(x | decoder(e_c))

    L = −log p(x | e_c) + Σ_places (‖sg[z_e] − e_c‖² + β ‖z_e − sg[e_c]‖²)

The first term reaches the encoder as if e_c were z_e; with a moving average the codebook learns by that instead of the second.
With several levels what a code leaves over is quantized again, with several groups each part of z_e by itself. A `CodePrior`,
learned afterwards from `codes`, makes it generative.

Source: vandenoord2017, eqs. 1–3, section 4.1 and appendix A.1 (the average, decay .99): β .25, 512 codes, two layers of stride 2
and two residual blocks, Adam 2e-4, batches of 128. Widths: the authors' code.

Departures from the paper: the likelihood is discrete by default (a discretized logistic), so that the bound is in bits; the
paper's experiments take the mean squared error, which leaves the weight of the terms open. Here all terms are nats of a whole
picture: squares are summed over places and widths, as the log-likelihood is over pixels. Against gradients of that size a
codebook follows the encoder too slowly, and many codes fall out of use; hence z_e is standardized by its mean and variance
in the batch (lancucki2020, batch normalization), unless `standardized=false`. The codebook begins with k-means, and codes that
fall out of use begin again at a vector of the batch (zeghidour2021).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from foldin.data import Examples
from foldin.errors import ConfigError, ShapeError
from foldin.generative.code_prior import CodePrior
from foldin.generative.likelihoods import LIKELIHOODS
from foldin.inference import ElboTerms
from foldin.nn import (
    CodeUse,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    ConvolutionShape,
    ProductQuantizer,
    ResidualQuantizer,
    VectorQuantizer,
    code_use,
    grid_of,
)
from foldin.tensors import Float, Int, Shaped, Tensor
from foldin.training import Config, FullPass, GradientPhase, Loss, Step, Trainable, Trainer, falling, setting, shuffled

__all__ = ["VQVAE", "VQVAEConfig"]

_BLOCK = 256  # pictures worked on at once
_RATE = 0.1  # of the moving mean and variance of z_e, a step
_BEGIN = 32  # vectors for each code that k-means has


@dataclass(frozen=True, kw_only=True)
class VQVAEConfig(Config):
    width: int = setting(128, "channels of the convolutions", low=1)
    residual: int = setting(32, "channels inside a residual block", low=1)
    blocks: int = setting(2, "residual blocks of the encoder, and of the decoder", low=0)
    codes: int = setting(512, "vectors of a codebook, K", low=2)
    code_width: int = setting(64, "of a vector, D", low=1)
    levels: int = setting(1, "codebooks one after the other, each for what those before left over", low=1)
    groups: int = setting(1, "parts of a vector with codebooks of their own", low=1)
    average: float | None = setting(
        0.99, "decay of the codebook's moving average; none for gradients", above=0, below=1
    )
    commitment: float = setting(0.25, "β", low=0)
    standardized: bool = setting(True, "z_e is brought to mean 0 and variance 1; false as in the paper")
    revive: float = setting(0.1, "share of its even use below which a code begins again; 0 for never", low=0, below=1)
    likelihood: str = setting("logistic", "of a pixel", choices=tuple(LIKELIHOODS))
    learning_rate: float = setting(2e-4, "of Adam", above=0)
    decay: float = setting(
        0.0, "share of the planned steps, the last ones, over which that falls to zero", low=0, high=1
    )
    batch_size: int = setting(128, "pictures a step", low=1)
    epochs: int = setting(100, "at most", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.code_width % self.groups:
            raise ConfigError(f"VQVAE: groups = {self.groups}: must divide code_width = {self.code_width}")


class VQVAE(Trainable[VQVAEConfig, Examples]):
    """Vector-quantized autoencoder of pictures (height, width).

    Codes are (rows, positions): the grid row by row, the codes of one place (groups × levels) side by side.

    Args:
        shape: height and width, both divisible by 4.
        config, seed, device: as for every `Trainable`.

    Raises:
        ShapeError: another shape.
    """

    Config = VQVAEConfig

    def __init__(
        self,
        shape: tuple[int, ...],
        config: VQVAEConfig | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.shape, self.grid = tuple(shape), grid_of(tuple(shape))
        super().__init__(config, seed=seed, device=device)

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        self.likelihood = LIKELIHOODS[config.likelihood]
        shape = ConvolutionShape(width=config.width, inner=config.residual, blocks=config.blocks)
        self.encoder = ConvolutionalEncoder(1, config.code_width, shape, generator=generator, device=self.device)
        self.decoder = ConvolutionalDecoder(
            self.likelihood.outputs, config.code_width, shape, generator=generator, device=self.device
        )
        self.mean = torch.zeros(config.code_width, device=self.device)
        self.variance = torch.ones(config.code_width, device=self.device)
        parts = [self._part(config.code_width // config.groups, generator) for _ in range(config.groups)]
        self.quantizer = parts[0] if len(parts) == 1 else ProductQuantizer(parts)

    def _part(self, width: int, generator: torch.Generator) -> VectorQuantizer | ResidualQuantizer:
        config = self.config
        levels = [
            VectorQuantizer(
                config.codes,
                width,
                average=config.average,
                commitment=config.commitment,
                least=config.revive,
                generator=generator,
                device=self.device,
            )
            for _ in range(config.levels)
        ]
        return levels[0] if len(levels) == 1 else ResidualQuantizer(levels)

    @property
    def codes_per_place(self) -> int:
        """Codes at each place of the grid."""
        return self.config.levels * self.config.groups

    @property
    def positions(self) -> int:
        """Codes of a picture."""
        return self.grid[0] * self.grid[1] * self.codes_per_place

    def tensors(self) -> dict[str, Tensor]:
        parts = {"encoder": self.encoder, "decoder": self.decoder, "quantizer": self.quantizer}
        return {"mean": self.mean, "variance": self.variance} | {
            f"{part}.{name}": tensor
            for part, module in parts.items()
            for name, tensor in module.state_dict(keep_vars=True).items()
        }

    def trainer(self, train: Examples) -> Trainer[Examples]:
        return _Training(self)

    def check_training(self, train: Examples) -> None:
        super().check_training(train)
        self._check(train)

    def _check(self, data: Examples) -> None:
        if data.shape != self.shape:
            raise ShapeError(f"VQVAE: pictures of shape {self.shape} were expected, not {data.shape}")
        self.likelihood.check(data.values)

    def _parts(self, data: Examples) -> Iterator[Examples]:
        self._check(data)
        if len(data) == 0:
            raise ShapeError("VQVAE: there are no pictures")
        for at in range(0, len(data), _BLOCK):
            yield data.rows(at, at + _BLOCK)

    def _encode(
        self, values: Shaped[Tensor, "rows height width"], rate: float = 0.0
    ) -> Float[Tensor, "places code_width"]:
        """z_e, place by place, standardized by its moving mean and variance; with a `rate`, in training, by these pictures'."""
        z = self.encoder(self.likelihood.encoded(values).unsqueeze(1)).movedim(1, -1).flatten(0, 2)
        if not self.config.standardized:
            return z
        # The variance of a single place is not defined.
        return F.batch_norm(z, self.mean, self.variance, training=rate > 0.0 and len(z) > 1, momentum=rate)

    def _decode(self, vectors: Float[Tensor, "places code_width"]) -> Float[Tensor, "rows outputs height width"]:
        return self.decoder(vectors.view(-1, *self.grid, self.config.code_width).movedim(-1, 1).contiguous())

    @torch.no_grad()
    def codes(self, data: Examples) -> Int[Tensor, "rows positions"]:
        """The code of each picture.

        Raises:
            ShapeError: pictures of another shape than the model's.
            DataError: values that the likelihood does not take.
        """
        found = [self.quantizer(self._encode(part.values.to(self.device))).codes for part in self._parts(data)]
        return torch.cat(found).view(len(data), self.positions)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "rows positions"]) -> Float[Tensor, "rows outputs height width"]:
        """The decoder's numbers for codes; `likelihood` reads them.

        Raises:
            ShapeError: another number of positions, or a code that there is not.
        """
        met = (int(codes.min()), int(codes.max())) if len(codes) else (0, 0)
        if codes.shape[1] != self.positions or met[0] < 0 or met[1] >= self.config.codes:
            raise ShapeError(
                f"VQVAE: {self.positions} positions in [0, {self.config.codes}) were expected, met {met[0]} to {met[1]} "
                f"of shape {tuple(codes.shape)}"
            )
        return self._decode(self.quantizer.decode(codes.to(self.device).reshape(-1, self.codes_per_place)))

    @torch.no_grad()
    def log_likelihood(self, data: Examples) -> Float[Tensor, " rows"]:
        """log p(x | codes of x) of each picture, in nats."""
        parts = ((part, part.values.to(self.device)) for part in self._parts(data))
        return torch.cat([self.likelihood.log_prob(self.decode(self.codes(part)), x) for part, x in parts])

    def elbo(self, data: Examples, prior: CodePrior) -> ElboTerms:
        """Each picture's bound on log p(x), in nats: log p(x | c) + log p(c) at its own codes c.

        c is a function of x: q(c|x) is one point, and its KL from the prior is −log p(c). The sum over all other codes is left
        out, so that the bits that follow from it are an upper bound on those of the model.

        Source: vandenoord2017, section 3.2.

        Raises:
            ShapeError: a prior of other codes.
        """
        self._check_prior(prior)
        return ElboTerms(self.log_likelihood(data), -prior.log_prob(self.codes(data)).to(self.device))

    def _check_prior(self, prior: CodePrior) -> None:
        if (prior.positions, prior.config.codes) != (self.positions, self.config.codes):
            raise ShapeError(
                f"VQVAE: a prior of {self.positions} positions and {self.config.codes} codes was expected, not of "
                f"{prior.positions} and {prior.config.codes}"
            )

    @torch.no_grad()
    def reconstruct(self, data: Examples) -> Float[Tensor, "rows height width"]:
        """E[x | codes of x], in [0, 1]."""
        return torch.cat([self.likelihood.mean(self.decode(self.codes(part))) for part in self._parts(data)])

    @torch.no_grad()
    def sample(
        self, n: int, prior: CodePrior, generator: torch.Generator, *, temperature: float = 1.0
    ) -> Shaped[Tensor, "n height width"]:
        """Draws of x: c from the prior, then x from p(x|c); for their means see `decode` and `Likelihood.mean`.

        The prior lies on the same device as this model, and so does the generator.

        Raises:
            ShapeError: a prior of other codes.
        """
        self._check_prior(prior)
        return self.likelihood.sample(self.decode(prior.sample(n, generator, temperature=temperature)), generator)

    def use(self, data: Examples) -> CodeUse:
        """How the codes of pictures are used: each codebook over all places, names over whole pictures."""
        codes, places = self.codes(data).cpu().numpy(), self.codes_per_place
        return code_use(codes.reshape(-1, places), (self.config.codes,) * places, names=codes)


def _perplexity(codes: Int[Tensor, "places levels"], size: int) -> Float[Tensor, ""]:
    """exp of the entropy of the codes in use, the mean over levels."""
    shares = [torch.bincount(own, minlength=size) / len(own) for own in codes.unbind(dim=1)]
    return torch.stack([torch.special.entr(one).sum().exp() for one in shares]).mean()


class _Training(Trainer[Examples]):
    def __init__(self, model: VQVAE) -> None:
        self.model, config = model, model.config
        learned = {
            name: tensor
            for name, tensor in model.tensors().items()
            if isinstance(tensor, torch.nn.Parameter) and (config.average is None or not name.startswith("quantizer."))
        }
        phase: GradientPhase[Examples] = GradientPhase(
            name="train",
            parameters=learned,
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, fused=True
            ),
            batches=shuffled(config.batch_size),
            learning_rate=falling(config.learning_rate, config.decay),
        )
        super().__init__(phase, epochs=config.epochs, first=(FullPass(name="codebook", run=self.begin),))

    @torch.no_grad()
    def begin(self, train: Examples, generator: torch.Generator) -> Mapping[str, float]:
        """The codebook at the centers of k-means of what the encoder makes of some pictures."""
        model = self.model
        rng = np.random.default_rng(int(torch.randint(1 << 62, (), generator=generator, device=model.device)))
        rows = min(len(train), -(-_BEGIN * model.config.codes // (model.grid[0] * model.grid[1])))
        some = train.select(rng.choice(len(train), size=rows, replace=False))
        model.quantizer.begin(model._encode(some.values.to(model.device), rate=1.0), rng)
        return {}

    def loss(self, batch: Examples, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        values = batch.values.to(model.device)
        found = model.quantizer(model._encode(values, rate=_RATE), generator)
        reconstruction = model.likelihood.log_prob(model._decode(found.values), values).mean()
        quantizer = model.grid[0] * model.grid[1] * found.loss
        terms = {
            "reconstruction": reconstruction,
            "quantizer": quantizer,
            "perplexity": _perplexity(found.codes, model.config.codes),
        }
        return Loss(quantizer - reconstruction, terms)
