"""RecVAE: Mult-VAE's successor, with a composite prior and alternating training.

    encoder   dense connections, swish, layer norms; see `models/autoencoders/_dense_encoder.py`
    decoder   one linear layer, logits = W z + b
    prior     per dimension 3/20 N(0, 1) + 3/4 q_old(z|x) + 1/10 N(0, e¹⁰), q_old a frozen copy of the encoder
    loss      −log p(x|z) + γ n_x (log q(z|x) − log p(z|x)), one draw of z, n_x the user's number of items

Each epoch trains the encoder for three passes over the users (dropout 0.5), copies it into q_old, and trains the decoder for
one pass (without dropout; z is still drawn).

With `oldest` below 1, the weights of a history's events rise linearly from `oldest` to 1 for the newest, both in the input row
and in the likelihood that training maximizes, as in T-DiffRec (wang2023, section 3.6). The weights of events multiply them;
a dislike has a negative entry in the input row and none in the likelihood.

With `loss=sampled`, training scores the items of a batch and shared negatives, and its objective is an estimate of the loss (see
`models/multinomial_loss.py`); everything else uses the whole catalog.

Source: shenbin2020, eqs. 9–12 and algorithm 1, and the authors' code: two Adams of 5e-4, batches of 500, 50 epochs, γ = .005.

The prior depends on the history: p(x|z) p(z|x) is not a joint distribution of x and z (its integral over z, summed over all x,
is not 1), and the objective (at γ n = 1) is not a bound on log p(x). Comparable with other models is a bound under a prior that
does not depend on the predicted events: the standard normal, or the encoder's posterior of the fold-in half; see
`evaluation/bounds.py`.

Without alternation, as in the authors' code, both are trained at once and q_old is never refreshed.

Departures from the paper: none in what is computed. q_old is evaluated once per user and epoch, since it reads the history
without dropout and does not change between refreshes; right after a refresh it equals the encoder, so that the decoder's
pass draws z from the same values.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.errors import ConfigError
from foldin.inference import log_normal_terms
from foldin.kernels import Buffers, ScoredItems, multinomial_from_hidden, scores_into
from foldin.models.autoencoders._dense_encoder import DenseEncoder
from foldin.models.autoencoders._recvae_trainer import RecVAETrainer
from foldin.models.autoencoders._variational import Variational
from foldin.models.autoencoders.kl_weight import ConstantKL, KLPerItem
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.evidence import Events, SignedBag, read_events
from foldin.models.item_rows import ItemRows
from foldin.models.multinomial_loss import FullMultinomial, SampledMultinomial
from foldin.models.recency import oldest_setting
from foldin.nn import uniform_parameter
from foldin.tensors import Float, Int, Tensor
from foldin.training import Config, Option, Range, Trainer, setting

__all__ = ["Alternating", "ImplicitSLIM", "RecVAE", "RecVAEConfig"]

_WIDE = 10.0  # log-variance of the prior's wide component
Gaussian = tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]


@dataclass(frozen=True, kw_only=True)
class Alternating(Option):
    """Encoder and decoder are trained in turn."""

    name = "alternating"
    encoder_passes: int = setting(3, "Passes over the users for the encoder, each epoch.", low=1)
    decoder_passes: int = setting(1, "Passes over the users for the decoder, each epoch.", low=1)


@dataclass(frozen=True, kw_only=True)
class ImplicitSLIM(Option):
    """Refinement of the encoder's and the decoder's item vectors by ImplicitSLIM.

    Source: shenbin2024, algorithm 1.
    """

    name = "implicit-slim"
    every: int = setting(10, "Epochs between refinements.", low=1)
    regularization: float = setting(100.0, "Regularization of ImplicitSLIM, λ.", above=0)
    strength: float = setting(10.0, "Strength of ImplicitSLIM, α.", above=0)
    min_count: int = setting(0, "Events below which an item stays out of ImplicitSLIM's span.", low=0)


@dataclass(frozen=True, kw_only=True)
class RecVAEConfig(Config):
    hidden_dim: int = setting(600, "Width of the encoder's layers.", low=1, range=Range(200, 800))
    latent_dim: int = setting(200, "Width of z.", low=1, range=Range(64, 512, log=True))
    n_layers: int = setting(5, "Layers of the encoder.", low=1, high=1000)
    dropout: float = setting(
        0.5, "Dropout of the input's entries in the encoder's passes.", low=0, below=1, range=Range(0.0, 0.8)
    )
    kl_weight: KLPerItem | ConstantKL = setting(KLPerItem(), "Weight of the KL term.")
    prior: tuple[float, ...] = setting(
        (0.15, 0.75, 0.1),
        "Weights of the prior's components N(0, 1), q_old and N(0, e¹⁰), which sum to 1.",
        low=0,
        high=1,
    )
    alternation: Alternating | None = setting(
        Alternating(), "How encoder and decoder take turns; none to train both at once."
    )
    slim: ImplicitSLIM | None = setting(
        None, "Refinement of the items' vectors during training; none for no refinement."
    )
    loss: FullMultinomial | SampledMultinomial = setting(
        FullMultinomial(), "Items that a step scores: the whole catalog, or those of the batch and a sample."
    )
    oldest: float = oldest_setting()
    learning_rate: float = setting(5e-4, "Learning rate of both Adams.", above=0, range=Range(1e-4, 1e-2, log=True))
    batch_size: int = setting(500, "Users in a batch.", low=1, range=Range(50, 1000, log=True))
    epochs: int = setting(50, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.prior) != 3 or abs(sum(self.prior) - 1.0) > 1e-6:
            raise ConfigError(f"RecVAE: prior = {self.prior!r}: three weights that sum to 1 were expected")


class RecVAE(OnnxGraph, DotProduct, ItemRows, SignedBag, Variational[RecVAEConfig]):
    """Variational autoencoder with a composite prior and alternating training."""

    Config = RecVAEConfig
    standard_prior = False
    prior_sees_data = True
    prior_name = "composite: it looks at the history; KL by Monte Carlo"
    summary = "variational autoencoder with a composite prior, trained in turn (Shenbin et al. 2020)"

    def _build(self, generator: torch.Generator) -> None:
        config, device = self.config, self.device
        self.encoder, self.old = (
            DenseEncoder(
                self.n_items,
                config.hidden_dim,
                config.latent_dim,
                layers=config.n_layers,
                generator=generator,
                device=device,
                oldest=config.oldest,
                sparse=config.loss.sparse,
            )
            for _ in range(2)
        )
        self.old.frozen().copy_from(self.encoder)
        self.decoder = uniform_parameter((self.n_items, config.latent_dim), config.latent_dim, generator, device)
        self.decoder_bias = uniform_parameter((self.n_items,), config.latent_dim, generator, device)
        if config.loss.sparse is not None:
            self.decoder = torch.nn.Parameter(self.decoder.detach().to(config.loss.sparse))
        self._buffers = Buffers()

    def training_bytes(self, train: Histories) -> float:
        config, tables = self.config, (self.encoder.first, self.decoder, self.decoder_bias)
        step = config.loss.step_bytes(train, config.batch_size, tables)
        return super().training_bytes(train) + step + 8.0 * config.latent_dim * len(train)

    def tensors(self) -> dict[str, Tensor]:
        named = {f"encoder.{name}": value for name, value in self.encoder.named_parameters()}
        named |= {f"old.{name}": value for name, value in self.old.named_parameters()}
        return {**named, "decoder": self.decoder, "decoder_bias": self.decoder_bias}

    def item_rows(self) -> frozenset[str]:
        return frozenset(("encoder.first", "old.first", "decoder", "decoder_bias"))

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return RecVAETrainer(self, train)

    def frozen_posterior(self, histories: Histories) -> Gaussian:
        posterior: Gaussian = self.old(*read_events(histories, self.config.oldest, self.device))
        return posterior

    def _prior_terms(self, z: Tensor, old: Gaussian) -> Float[Tensor, "... latent"]:
        """log p(z_j|x) of each dimension: a log-sum-exp over the three components."""
        zero, wide = torch.zeros_like(z), torch.full_like(z, _WIDE)
        components = ((zero, zero), old, (zero, wide))
        densities = [
            log_normal_terms(z, mu, logvar) + math.log(weight)
            for (mu, logvar), weight in zip(components, self.config.prior, strict=True)
            if weight > 0.0
        ]
        return torch.logsumexp(torch.stack(densities), dim=0)

    def log_prior(self, z: Float[Tensor, "users latent"], histories: Histories) -> Float[Tensor, " users"]:
        """log p(z|x) under the composite prior, in nats; it depends on the history through q_old."""
        return self._prior_terms(z, self.frozen_posterior(histories)).sum(dim=-1)

    def _reconstruction(
        self, z: Float[Tensor, "users latent"], events: Events, scored: ScoredItems | None = None
    ) -> Float[Tensor, " users"]:
        """Σ w log p(item | z) over each user's events, with their weights w, in nats; an estimate of it from `scored` items."""
        items, offsets, weights = events
        weight: Tensor = self.decoder
        bias: Tensor = self.decoder_bias
        if scored is not None:
            weight, bias, items = scored.vectors(weight), scored.biases(bias), scored.targets
        return multinomial_from_hidden(z, weight, bias, items, offsets, self._buffers, weights)

    def posterior(self, histories: Histories) -> Gaussian:
        posterior: Gaussian = self.encoder(*read_events(histories, self.config.oldest, self.device))
        return posterior

    def differentiable_log_likelihood(
        self, z: Float[Tensor, "users latent"], histories: Histories
    ) -> Float[Tensor, " users"]:
        items, offsets = histories.tensors(self.device)
        return multinomial_from_hidden(z, self.decoder.float(), self.decoder_bias, items, offsets, self._buffers)

    def decode(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        logits = self._buffers.get("logits", (len(z), self.n_items), z)
        return scores_into(logits, z, self.decoder.detach()).add_(self.decoder_bias.detach())

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users latent"]:
        return self.queries_at(self.posterior(histories)[0])

    def queries_at(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users latent"]:
        return z

    def item_vectors(self) -> tuple[Float[Tensor, "items latent"], Float[Tensor, " items"]]:
        return self.decoder.detach().float(), self.decoder_bias.detach()

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        return F.linear(self.encoder.padded(history)[0], self.decoder.float(), self.decoder_bias)
