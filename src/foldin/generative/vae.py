"""The variational autoencoder over examples of any shape.

    z ~ p(z),   x ~ p(x | f(z)),   q(z|x) = N(μ(x), diag σ²(x)),   f and (μ, log σ²) by perceptrons with tanh

    L = E_q[log p(x|z)] − β KL(q(z|x) ‖ p(z))

by L draws of z. Estimator B takes the KL in closed form, which the standard normal has; A takes it from the draws, as any other
prior needs. With `free_bits` λ, a latent dimension's KL costs max(λ, its mean over the batch), so that its first λ nats are free.

With `binarization=dynamic` a gray value of a training picture is white with that probability, drawn anew each time it is read; to
evaluate such a model, draw once: `binarize`.

Source: kingma2014, eqs. 6–8 and 10, algorithm 1, section 3 and appendix C (one hidden layer of 500, batches of 100, L = 1);
kingma2016, appendix C.8 (free bits); tomczak2018 (VampPrior).

Departures from the paper: Adam instead of Adagrad by default, weights uniform in ±1/√inputs instead of N(0, 0.01), no decay of
the weights. The pseudo-inputs of a VampPrior begin as training examples, an option of its authors' code.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from foldin.data import Examples
from foldin.errors import ConfigError, ShapeError
from foldin.generative.likelihoods import LIKELIHOODS, binarize
from foldin.generative.priors import LearnedPrior, MixturePrior, VampPrior
from foldin.inference import LatentModel, gaussian_kl_terms, log_normal, perturbed
from foldin.nn import MLP
from foldin.tensors import Float, Shaped, Tensor
from foldin.training import Config, FullPass, GradientPhase, Loss, Step, Trainable, Trainer, compiled, setting, shuffled

__all__ = ["VAE", "VAEConfig"]

_BLOCK_VALUES = 1 << 21  # of a decoder's output


@dataclass(frozen=True, kw_only=True)
class VAEConfig(Config):
    hidden: tuple[int, ...] = setting((500,), "widths of the encoder's hidden layers; the decoder mirrors them", low=1)
    latent: int = setting(20, "width of z", low=1)
    activation: str = setting("tanh", "Between the layers: tanh, or gated linear units.", choices=("tanh", "gated"))
    likelihood: str = setting("bernoulli", "of a value given z", choices=tuple(LIKELIHOODS))
    binarization: str = setting(
        "threshold",
        "How training makes black and white of whole numbers x: at 128, or drawn anew each time, white with probability x / 255.",
        choices=("threshold", "dynamic"),
    )
    prior: str = setting("normal", "of z", choices=("normal", "mixture", "vamp"))
    components: int = setting(500, "of a learned prior", low=1)
    estimator: str = setting("b", "a: the KL from draws; b: in closed form", choices=("a", "b"))
    samples: int = setting(1, "draws of z for each example", low=1)
    beta: float = setting(1.0, "weight of the KL; 1 is the bound", low=0)
    anneal: float = setting(0.0, "share of the planned steps over which β rises from 0", low=0, high=1)
    free_bits: float = setting(0.0, "λ, nats that each latent dimension has free", low=0)
    free_until: float = setting(
        0.0, "share of the planned steps over which λ falls to 0 in a straight line; 0: it stays", low=0, high=1
    )
    precision: str = setting(
        "float32",
        "of training's products: bfloat16 is faster where the processor multiplies it; all else, and all that is told of the "
        "model, is in float32",
        choices=("float32", "bfloat16"),
    )
    compiled: bool = setting(
        False,
        "training's objective through torch.compile: a step takes less time, after a wait before the first; on a processor it "
        "takes a C++ compiler",
    )
    optimizer: str = setting("adam", "adagrad is the paper's", choices=("adam", "adagrad"))
    learning_rate: float = setting(1e-3, "of the optimizer", above=0)
    batch_size: int = setting(100, "examples a step", low=1)
    epochs: int = setting(100, "at most", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prior != "normal" and self.estimator == "b":
            raise ConfigError(f"VAE: estimator = 'b': the KL to a {self.prior} prior has no closed form; 'a' has to be")
        if self.binarization == "dynamic" and self.likelihood != "bernoulli":
            raise ConfigError(
                f"VAE: binarization = 'dynamic': the {self.likelihood} likelihood takes values as they are"
            )
        if self.free_bits > 0 and self.estimator == "a":
            raise ConfigError("VAE: free_bits: a KL of each dimension is needed, which estimator 'b' has")
        if self.free_until > 0 and self.free_bits == 0:
            raise ConfigError("VAE: free_until: free_bits = 0: there is nothing to fall")


class VAE(Trainable[VAEConfig, Examples], LatentModel[Examples]):
    """Variational autoencoder.

    Args:
        shape: of an example.
        config: settings; the defaults when None.
        seed: of the initial weights.
        device: where it computes.

    Raises:
        ShapeError: a shape without values.
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
        self.likelihood = LIKELIHOODS[config.likelihood]
        self.encoder = MLP(
            (width, *config.hidden, 2 * config.latent),
            generator=generator,
            device=self.device,
            activation=config.activation,
        )
        self.decoder = MLP(
            (config.latent, *reversed(config.hidden), width * self.likelihood.outputs),
            generator=generator,
            device=self.device,
            activation=config.activation,
        )
        self.standard_prior = config.prior == "normal"
        self.prior: LearnedPrior | None = None
        if config.prior == "mixture":
            self.prior = MixturePrior(config.components, config.latent, generator=generator, device=self.device)
        elif config.prior == "vamp":
            self.prior = VampPrior(
                config.components, self.shape, self._encoded, generator=generator, device=self.device
            )

    @property
    def prior_name(self) -> str:
        if self.standard_prior:
            return "standard normal"
        of = "Gaussians" if self.config.prior == "mixture" else "the encoder's posteriors at pseudo-inputs"
        return f"mixture of {self.config.components} {of}; KL by Monte Carlo"

    def learned(self) -> dict[str, torch.nn.Parameter]:
        parts: dict[str, torch.nn.Module] = {"encoder": self.encoder, "decoder": self.decoder}
        if self.prior is not None:
            parts["prior"] = self.prior
        return {f"{part}.{name}": one for part, module in parts.items() for name, one in module.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.learned())

    def trainer(self, train: Examples) -> Trainer[Examples]:
        return _Training(self)

    def check_training(self, train: Examples) -> None:
        """Whether it can be trained on these examples.

        Raises:
            FitError: there are none.
            ShapeError: they have another shape.
            DataError: the likelihood has no probability for their values.
        """
        super().check_training(train)
        self._check(train)
        self.likelihood.check_training(train.values)

    def _check(self, data: Examples) -> None:
        if data.shape != self.shape:
            raise ShapeError(f"VAE: examples of shape {self.shape} were expected, not {data.shape}")
        self.likelihood.check(data.values)

    def block(self) -> int:
        widest = max(
            math.prod(self.shape) * self.likelihood.outputs,
            0 if self.prior is None else self.config.components * self.config.latent,
        )
        return max(1, _BLOCK_VALUES // widest)

    def _encoded(self, inputs: Float[Tensor, "rows *shape"]) -> tuple[Tensor, Tensor]:
        mu, logvar = self.encoder(inputs.flatten(1)).chunk(2, dim=1)
        return mu, logvar

    def posterior(self, data: Examples) -> tuple[Float[Tensor, "rows latent"], Float[Tensor, "rows latent"]]:
        return self._encoded(self.likelihood.encoded(data.values.to(self.device)))

    def decode(self, z: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows outputs *shape"]:
        """The likelihood's numbers for each value of x; a gradient goes through."""
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
        """Draws of x: z from the prior, then x from p(x|z); for their means see `decode` and `Likelihood.mean`."""
        return self.likelihood.sample(self.decode(self.draw(n, generator)), generator)

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "n latent"]:
        """Draws of z from the prior."""
        if self.prior is not None:
            return self.prior.sample(n, generator)
        return torch.randn((n, self.config.latent), generator=generator, device=self.device)

    @torch.no_grad()
    def reconstruct(self, data: Examples) -> Float[Tensor, "rows *shape"]:
        """E[x | z = μ(x)] of each example, in [0, 1].

        Raises:
            ShapeError: another shape.
            DataError: values that the likelihood does not take.
        """
        self._check(data)
        return self.likelihood.mean(self.decode(self.posterior(data)[0]))

    def _products(self) -> torch.autocast:
        """Where matrix products have training's precision."""
        half = self.config.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half)


class _Training(Trainer[Examples]):
    def __init__(self, model: VAE) -> None:
        self.model, config = model, model.config
        kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.Adagrad
        self._compiled = compiled(self._terms, device=model.device, of="VAE") if config.compiled else None
        phase: GradientPhase[Examples] = GradientPhase(
            name="train",
            parameters=model.learned(),
            loss=self.loss,
            optimizer=lambda parameters: kind(list(parameters.values()), lr=config.learning_rate, fused=True),
            batches=shuffled(config.batch_size),
        )
        first = (FullPass(name="prior", run=self._begin_prior),) if config.prior == "vamp" else ()
        super().__init__(phase, epochs=config.epochs, first=first)

    @torch.no_grad()
    def _begin_prior(self, train: Examples, generator: torch.Generator) -> Mapping[str, float]:
        """Pseudo-inputs from training examples, drawn with replacement."""
        model = self.model
        assert isinstance(model.prior, VampPrior)
        chosen = torch.randint(
            len(train), (model.config.components,), generator=generator, device=generator.device
        ).cpu()
        model.prior.inputs.copy_(model.likelihood.encoded(train.values[chosen]))
        return {}

    def beta_at(self, step: Step) -> float:
        """The weight of the KL term at a step: a pure function of it."""
        return self.model.config.beta * step.risen(self.model.config.anneal)

    def free_bits_at(self, step: Step) -> float:
        """The nats that each latent dimension has free at a step: a pure function of it."""
        config = self.model.config
        return config.free_bits * (1.0 - step.risen(config.free_until)) if config.free_until else config.free_bits

    def loss(self, batch: Examples, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        rows = len(batch) * model.config.samples
        if model.config.binarization == "dynamic":
            batch = binarize(batch, generator)
        noise = torch.randn((rows, model.config.latent), generator=generator, device=model.device)
        reconstruction, parts = (self._compiled or self._terms)(batch.values.to(model.device), noise)
        kl, free = parts.sum(), self.free_bits_at(step)
        cost = parts.clamp(min=free).sum() if free > 0 else kl
        return Loss(self.beta_at(step) * cost - reconstruction, {"reconstruction": reconstruction, "kl": kl})

    def _terms(
        self, values: Shaped[Tensor, "rows *shape"], noise: Float[Tensor, "draws latent"]
    ) -> tuple[Tensor, Tensor]:
        """(reconstruction, KL), means over rows and draws; the KL by latent dimension under estimator B, whole under A.

        `noise` is ε of all rows' first draws, then of their second, and so on.
        """
        model = self.model
        config = model.config
        with model._products():
            code = model._encoded(model.likelihood.encoded(values))
        mu, logvar = (part.float() for part in code)
        wide_mu, wide_logvar = mu, logvar
        if config.samples > 1:
            wide_mu, wide_logvar = mu.repeat(config.samples, 1), logvar.repeat(config.samples, 1)
            values = values.repeat(config.samples, *(1 for _ in model.shape))
        z = perturbed(wide_mu, wide_logvar, noise)
        with model._products():
            outputs = model.decode(z)
        reconstruction = model.likelihood.log_prob(outputs.float(), values).mean()
        if config.estimator == "a":
            return reconstruction, (log_normal(z, wide_mu, wide_logvar) - model.log_prior(z, Examples(values))).mean()
        return reconstruction, gaussian_kl_terms(mu, logvar).mean(dim=0)
