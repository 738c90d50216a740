"""The variational autoencoder of examples of any shape.

    z ~ p(z),   x ~ p(x | f(z)),   q(z|x) = N(μ(x), diag σ²(x)),   f and (μ, log σ²) by perceptrons with tanh

    L = E_q[log p(x|z)] − β KL(q(z|x) ‖ p(z))

estimated from L draws of z. Estimator B computes the KL in closed form, which exists for the standard normal prior; A estimates
it from the draws, as is necessary for any other prior. With `free_bits` λ, the KL of each latent dimension costs max(λ, its mean
over the batch), so that its first λ nats are free.

Source: kingma2014, eqs. 6–8 and 10, algorithm 1, section 3 and appendix C (one hidden layer of 500, batches of 100, L = 1);
kingma2016, appendix C.8 (free bits); tomczak2018 (VampPrior).

Departures from the paper: Adam instead of Adagrad by default, weights uniform in ±1/√inputs instead of N(0, 0.01), no weight
decay. The pseudo-inputs of a VampPrior begin as training examples, an option of its authors' code.
"""

import math
from dataclasses import dataclass

import torch

from foldin.data import Examples
from foldin.errors import ConfigError, ShapeError
from foldin.generative.likelihoods import Bernoulli, Categorical, DynamicBernoulli, Gaussian, Likelihood, Logistic
from foldin.generative.priors import (
    LearnedPrior,
    MixtureOfGaussians,
    MixtureOfPosteriors,
    MixturePrior,
    NormalPrior,
    VampPrior,
)
from foldin.generative.vae_trainer import VAETrainer
from foldin.inference import LatentModel
from foldin.nn import MLP
from foldin.tensors import Float, Shaped, Tensor
from foldin.training import Config, Option, RisingOverShare, RisingOverUpdates, Step, Trainable, Trainer, setting

__all__ = ["VAE", "FreeBits", "VAEConfig"]

_BLOCK_VALUES = 1 << 21  # values of a decoder's output that are processed at once


@dataclass(frozen=True, kw_only=True)
class FreeBits(Option):
    """A number of nats of each latent dimension's KL that cost nothing.

    Source: kingma2016, appendix C.8.
    """

    name = "free-bits"
    nats: float = setting(0.5, "Nats that each latent dimension has free, λ.", above=0)
    until: float | None = setting(
        None,
        "Share of the planned steps over which λ falls to 0 in a straight line; none where it stays.",
        above=0,
        high=1,
    )

    def at(self, step: Step) -> float:
        """λ at a step, in nats."""
        return self.nats if self.until is None else self.nats * (1.0 - step.risen(self.until))


@dataclass(frozen=True, kw_only=True)
class VAEConfig(Config):
    hidden_dims: tuple[int, ...] = setting(
        (500,), "Widths of the encoder's hidden layers; the decoder mirrors them.", low=1
    )
    latent_dim: int = setting(20, "Width of z.", low=1)
    activation: str = setting(
        "tanh", "Activation between the layers: tanh, or gated linear units.", choices=("tanh", "gated")
    )
    likelihood: Bernoulli | DynamicBernoulli | Gaussian | Categorical | Logistic = setting(
        Bernoulli(), "Likelihood of a value given z."
    )
    prior: NormalPrior | MixturePrior | VampPrior = setting(NormalPrior(), "Prior of z.")
    n_draws: int = setting(1, "Draws of z for each example, L.", low=1)
    beta: float = setting(1.0, "Weight of the KL term, β, or its cap where it rises; 1 is the bound.", low=0)
    beta_schedule: RisingOverShare | RisingOverUpdates | None = setting(
        None, "How β rises to its cap; none where it does not change."
    )
    free_bits: FreeBits | None = setting(None, "Nats of the KL term that cost nothing; none where all of them cost.")
    precision: str = setting(
        "float32",
        "Precision of training's products: bfloat16 is faster where the processor multiplies it; all else, and all that is told "
        "of the model, is in float32.",
        choices=("float32", "bfloat16"),
    )
    compiled: bool = setting(
        False,
        "Whether training's objective is compiled by torch.compile: a step takes less time, after a wait before the first; on a "
        "processor it takes a C++ compiler.",
    )
    optimizer: str = setting("adam", "Optimizer: adam, or the paper's adagrad.", choices=("adam", "adagrad"))
    learning_rate: float = setting(1e-3, "Learning rate of the optimizer.", above=0)
    batch_size: int = setting(100, "Examples in a batch.", low=1)
    epochs: int = setting(100, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.free_bits is not None and not self.closed_form:
            raise ConfigError(
                "VAE: free_bits: the KL of each latent dimension is needed, which prior = normal has, by estimator b"
            )

    @property
    def closed_form(self) -> bool:
        """Whether the KL is computed in closed form."""
        return isinstance(self.prior, NormalPrior) and self.prior.estimator == "b"


class VAE(Trainable[VAEConfig, Examples], LatentModel[Examples]):
    """Variational autoencoder.

    Args:
        shape: of an example.
        config: settings; the defaults when None.
        seed: of the initial weights.
        device: device of the weights and the computation.

    Raises:
        ShapeError: the shape has no values.
    """

    Config = VAEConfig

    def __init__(
        self,
        shape: tuple[int, ...],
        config: VAEConfig | None = None,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        if len(shape) == 0 or min(shape) < 1:
            raise ShapeError(f"VAE: examples of shape {shape} have no values")
        self.shape = tuple(shape)
        super().__init__(config, seed=seed, device=device)

    def _build(self, generator: torch.Generator) -> None:
        config, width = self.config, math.prod(self.shape)
        self.likelihood: Likelihood = config.likelihood
        self.encoder = MLP(
            (width, *config.hidden_dims, 2 * config.latent_dim),
            generator=generator,
            device=self.device,
            activation=config.activation,
        )
        self.decoder = MLP(
            (config.latent_dim, *reversed(config.hidden_dims), width * self.likelihood.outputs),
            generator=generator,
            device=self.device,
            activation=config.activation,
        )
        prior = config.prior
        self.standard_prior = isinstance(prior, NormalPrior)
        self.prior: LearnedPrior | None = None
        if isinstance(prior, MixturePrior):
            self.prior = MixtureOfGaussians(
                prior.n_components, config.latent_dim, generator=generator, device=self.device
            )
        elif isinstance(prior, VampPrior):
            self.prior = MixtureOfPosteriors(
                prior.n_components, self.shape, self.encode, generator=generator, device=self.device
            )

    @property
    def prior_name(self) -> str:
        return self.config.prior.described

    def learned(self) -> dict[str, torch.nn.Parameter]:
        parts: dict[str, torch.nn.Module] = {"encoder": self.encoder, "decoder": self.decoder}
        if self.prior is not None:
            parts["prior"] = self.prior
        return {f"{part}.{name}": one for part, module in parts.items() for name, one in module.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.learned())

    def trainer(self, train: Examples) -> Trainer[Examples]:
        return VAETrainer(self)

    def check_training(self, train: Examples) -> None:
        """Raise an error if the model cannot be trained on these examples.

        Raises:
            FitError: there are no examples.
            ShapeError: the examples have another shape.
            DataError: the likelihood is not defined for their values.
        """
        super().check_training(train)
        self._check(train)
        self.likelihood.check_training(train.values)

    def _check(self, data: Examples) -> None:
        if data.shape != self.shape:
            raise ShapeError(f"VAE: examples of shape {self.shape} were expected, not {data.shape}")
        self.likelihood.check(data.values)

    def block(self) -> int:
        prior = self.config.prior
        of_prior = 0 if isinstance(prior, NormalPrior) else prior.n_components * self.config.latent_dim
        return max(1, _BLOCK_VALUES // max(math.prod(self.shape) * self.likelihood.outputs, of_prior))

    def encode(
        self, inputs: Float[Tensor, "rows *shape"]
    ) -> tuple[Float[Tensor, "rows latent"], Float[Tensor, "rows latent"]]:
        """(μ, log σ²) of q(z|x), from inputs as `Likelihood.encoded` gives them; differentiable."""
        mu, logvar = self.encoder(inputs.flatten(1)).chunk(2, dim=1)
        return mu, logvar

    def posterior(self, data: Examples) -> tuple[Float[Tensor, "rows latent"], Float[Tensor, "rows latent"]]:
        return self.encode(self.likelihood.encoded(data.values.to(self.device)))

    def decode(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows outputs *shape"]:
        """The decoder's outputs, the likelihood's parameters for each value of x; differentiable."""
        return self.decoder(z).view(len(z), self.likelihood.outputs, *self.shape)

    def differentiable_log_likelihood(self, z: Float[Tensor, "rows latent"], data: Examples) -> Float[Tensor, " rows"]:
        return self.likelihood.log_prob(self.decode(z), data.values.to(self.device))

    @torch.no_grad()
    def log_likelihood(self, z: Float[Tensor, "rows latent"], data: Examples) -> Float[Tensor, " rows"]:
        return self.differentiable_log_likelihood(z, data)

    def log_prior(self, z: Float[Tensor, "rows latent"], data: Examples) -> Float[Tensor, " rows"]:
        return super().log_prior(z, data) if self.prior is None else self.prior.log_prob(z)

    @torch.no_grad()
    def simulated(self, z: Float[Tensor, "rows latent"], data: Examples, generator: torch.Generator) -> Examples:
        return Examples(self.likelihood.sample(self.decode(z), generator))

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Shaped[Tensor, "n *shape"]:
        """n draws of x: z from the prior, then x from p(x|z); for their means see `decode` and `Likelihood.mean`."""
        return self.likelihood.sample(self.decode(self.draw(n, generator)), generator)

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n latent"]:
        """n draws of z from the prior."""
        if self.prior is not None:
            return self.prior.sample(n, generator)
        return torch.randn((n, self.config.latent_dim), generator=generator, device=self.device)

    @torch.no_grad()
    def reconstruct(self, data: Examples) -> Float[Tensor, "rows *shape"]:
        """E[x | z = μ(x)] of each example, in [0, 1].

        Raises:
            ShapeError: the examples have another shape.
            DataError: the likelihood is not defined for their values.
        """
        self._check(data)
        return self.likelihood.mean(self.decode(self.posterior(data)[0]))
