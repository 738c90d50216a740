"""VQ-VAE: an autoencoder of pictures whose code is a grid of whole numbers.

    z_e = encoder(x),   c = argmin_k ‖z_e − e_k‖² at each position of the grid,   x ~ p(x | decoder(e_c))

    L = −log p(x | e_c) + Σ_places (‖sg[z_e] − e_c‖² + β ‖z_e − sg[e_c]‖²)

The gradient of the first term reaches the encoder as if e_c were z_e. By default, moving averages replace the second term.
With several levels the residual of each is quantized by the next; with several groups each part of z_e is quantized separately. A
`CodePrior`, learned afterwards from `codes`, makes the model generative.

Source: vandenoord2017, eqs. 1–3, section 4.1 and appendix A.1 (the average, decay .99): β .25, 512 codes, two layers of stride 2
and two residual blocks, Adam 2e-4, batches of 128. Widths: the authors' code.

Departures from the paper: the likelihood is discrete by default (a discretized logistic), so that the bound is in bits; the
paper's experiments use the mean squared error, which leaves the relative weight of the terms open. Here all terms are sums over a
whole picture: squares over positions and widths, the log-likelihood, in nats, over pixels. With gradients of that size a codebook
follows the encoder too slowly, and many codes fall out of use; hence z_e is standardized by its mean and variance in the batch
(lancucki2020, batch normalization), unless `standardized=false`. The codebook begins with k-means, and codes that fall out of use
are reset to a vector of the batch (zeghidour2021).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from foldin.data import Examples
from foldin.errors import ConfigError, ShapeError
from foldin.generative.code_prior import CodePrior
from foldin.generative.codebooks import CodebookLoss, MovingAverage, codebooks
from foldin.generative.likelihoods import Bernoulli, Categorical, Gaussian, Likelihood, Logistic
from foldin.generative.vqvae_trainer import VQVAETrainer
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
from foldin.training import Config, Trainable, Trainer, setting

__all__ = ["VQVAE", "VQVAEConfig"]

_BLOCK = 256  # pictures that are processed at once


@dataclass(frozen=True, kw_only=True)
class VQVAEConfig(Config):
    channels: int = setting(128, "Channels of the convolutions.", low=1)
    block_channels: int = setting(32, "Channels inside a residual block.", low=1)
    n_blocks: int = setting(2, "Residual blocks of the encoder, and of the decoder.", low=0)
    codebook_size: int = setting(512, "Codes of a codebook, K.", low=2)
    embedding_dim: int = setting(64, "Width of a code's vector, D.", low=1)
    levels: int = setting(1, "Codebooks one after the other, each for what those before left over.", low=1)
    groups: int = setting(1, "Parts of a vector with codebooks of their own.", low=1)
    codebook_update: MovingAverage | CodebookLoss = setting(
        MovingAverage(), "How the vectors of the codebooks are learned."
    )
    commitment: float = setting(0.25, "Weight of the commitment term, β.", low=0)
    standardized: bool = setting(
        True, "Whether z_e is brought to mean 0 and variance 1; otherwise it is quantized as it is, as in the paper."
    )
    revive: float = setting(
        0.1,
        "Share of its even use below which a code begins again at a vector of the batch; 0 for never.",
        low=0,
        below=1,
    )
    likelihood: Bernoulli | Gaussian | Categorical | Logistic = setting(
        Logistic(), "Likelihood of a pixel given the codes."
    )
    learning_rate: float = setting(2e-4, "Learning rate of Adam.", above=0)
    lr_decay: float = setting(
        0.0, "Share of the planned steps, the last ones, over which the learning rate falls to zero.", low=0, high=1
    )
    batch_size: int = setting(128, "Pictures in a batch.", low=1)
    epochs: int = setting(100, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embedding_dim % self.groups:
            raise ConfigError(f"VQVAE: groups = {self.groups}: must divide embedding_dim = {self.embedding_dim}")


class VQVAE(Trainable[VQVAEConfig, Examples]):
    """Vector-quantized autoencoder of pictures (height, width).

    The codes of a picture are those of its grid, row by row, with the groups × levels codes of a grid position side by side.

    Args:
        shape: height and width, both divisible by 4.
        config, seed, device: as for every `Trainable`.

    Raises:
        ShapeError: the shape is not of this form.
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
        self.likelihood: Likelihood = config.likelihood
        shape = ConvolutionShape(width=config.channels, inner=config.block_channels, blocks=config.n_blocks)
        self.encoder = ConvolutionalEncoder(1, config.embedding_dim, shape, generator=generator, device=self.device)
        self.decoder = ConvolutionalDecoder(
            self.likelihood.outputs, config.embedding_dim, shape, generator=generator, device=self.device
        )
        self.mean = torch.zeros(config.embedding_dim, device=self.device)
        self.variance = torch.ones(config.embedding_dim, device=self.device)
        parts = [self._part(config.embedding_dim // config.groups, generator) for _ in range(config.groups)]
        self.quantizer = parts[0] if len(parts) == 1 else ProductQuantizer(parts)

    def _part(self, width: int, generator: torch.Generator) -> VectorQuantizer | ResidualQuantizer:
        config = self.config
        levels = codebooks(
            config.levels,
            config.codebook_size,
            width,
            average_decay=config.codebook_update.average_decay,
            commitment=config.commitment,
            revive=config.revive,
            generator=generator,
            device=self.device,
        )
        return levels[0] if len(levels) == 1 else ResidualQuantizer(levels)

    @property
    def codes_per_place(self) -> int:
        """Number of codes at each position of the grid."""
        return self.config.levels * self.config.groups

    @property
    def positions(self) -> int:
        """Number of codes of a picture."""
        return self.grid[0] * self.grid[1] * self.codes_per_place

    def tensors(self) -> dict[str, Tensor]:
        parts = {"encoder": self.encoder, "decoder": self.decoder, "quantizer": self.quantizer}
        return {"mean": self.mean, "variance": self.variance} | {
            f"{part}.{name}": tensor
            for part, module in parts.items()
            for name, tensor in module.state_dict(keep_vars=True).items()
        }

    def trainer(self, train: Examples) -> Trainer[Examples]:
        return VQVAETrainer(self)

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

    def encode(self, values: Shaped[Tensor, "rows height width"], rate: float = 0.0) -> Float[Tensor, "places dim"]:
        """z_e of each grid position, standardized by its moving mean and variance unless the configuration says otherwise.

        Args:
            values: pictures.
            rate: in training, the rate at which the moving mean and variance follow those of these pictures, by which z_e is
                then standardized; 0 outside training.
        """
        z = self.encoder(self.likelihood.encoded(values).unsqueeze(1)).movedim(1, -1).flatten(0, 2)
        if not self.config.standardized:
            return z
        # The variance of a single position is not defined.
        return F.batch_norm(z, self.mean, self.variance, training=rate > 0.0 and len(z) > 1, momentum=rate)

    def decode_vectors(self, vectors: Float[Tensor, "places dim"]) -> Float[Tensor, "rows outputs height width"]:
        return self.decoder(vectors.view(-1, *self.grid, self.config.embedding_dim).movedim(-1, 1).contiguous())

    @torch.no_grad()
    def codes(self, data: Examples) -> Int[Tensor, "rows positions"]:
        """The codes of each picture.

        Raises:
            ShapeError: there are no pictures, or they have another shape.
            DataError: the likelihood is not defined for their values.
        """
        found = [self.quantizer(self.encode(part.values.to(self.device))).codes for part in self._parts(data)]
        return torch.cat(found).view(len(data), self.positions)

    @torch.no_grad()
    def decode(self, codes: Int[Tensor, "rows positions"]) -> Float[Tensor, "rows outputs height width"]:
        """The decoder's outputs for codes, which are parameters of `likelihood`.

        Raises:
            ShapeError: the number of positions is wrong, or a code is not in [0, K).
        """
        met = (int(codes.min()), int(codes.max())) if len(codes) else (0, 0)
        if codes.shape[1] != self.positions or met[0] < 0 or met[1] >= self.config.codebook_size:
            raise ShapeError(
                f"VQVAE: {self.positions} positions in [0, {self.config.codebook_size}) were expected, met {met[0]} to {met[1]} "
                f"of shape {tuple(codes.shape)}"
            )
        return self.decode_vectors(self.quantizer.decode(codes.to(self.device).reshape(-1, self.codes_per_place)))

    @torch.no_grad()
    def log_likelihood(self, data: Examples) -> Float[Tensor, " rows"]:
        """log p(x | codes of x) of each picture, in nats."""
        parts = ((part, part.values.to(self.device)) for part in self._parts(data))
        return torch.cat([self.likelihood.log_prob(self.decode(self.codes(part)), x) for part, x in parts])

    def elbo(self, data: Examples, prior: CodePrior) -> ElboTerms:
        """Lower bound on log p(x) of each picture, in nats: log p(x | c) + log p(c) at the codes c of the picture.

        c is a function of x, so q(c|x) is a single point, whose KL from the prior is −log p(c). The sum over all other codes is
        left out, so the bits computed from this bound are an upper bound on those of the model.

        Source: vandenoord2017, section 3.2.

        Raises:
            ShapeError: the prior is for another number of positions or codes.
        """
        self._check_prior(prior)
        return ElboTerms(self.log_likelihood(data), -prior.log_prob(self.codes(data)).to(self.device))

    def _check_prior(self, prior: CodePrior) -> None:
        if (prior.positions, prior.config.codebook_size) != (self.positions, self.config.codebook_size):
            raise ShapeError(
                f"VQVAE: a prior of {self.positions} positions and {self.config.codebook_size} codes was expected, not of "
                f"{prior.positions} and {prior.config.codebook_size}"
            )

    @torch.no_grad()
    def reconstruct(self, data: Examples) -> Float[Tensor, "rows height width"]:
        """E[x | codes of x] of each picture, in [0, 1]."""
        return torch.cat([self.likelihood.mean(self.decode(self.codes(part))) for part in self._parts(data)])

    @torch.no_grad()
    def sample(
        self, n: int, prior: CodePrior, generator: torch.Generator, *, temperature: float = 1.0
    ) -> Shaped[Tensor, "n height width"]:
        """n draws of x: c from the prior, then x from p(x|c); for their means see `decode` and `Likelihood.mean`.

        The prior and the generator must be on the device of this model.

        Raises:
            ShapeError: the prior is for another number of positions or codes.
        """
        self._check_prior(prior)
        return self.likelihood.sample(self.decode(prior.sample(n, generator, temperature=temperature)), generator)

    def use(self, data: Examples) -> CodeUse:
        """How the codes are used: each codebook over all grid positions, full tuples of codes over whole pictures."""
        codes, places = self.codes(data).cpu().numpy(), self.codes_per_place
        return code_use(codes.reshape(-1, places), (self.config.codebook_size,) * places, names=codes)
