"""Mult-VAE: a variational autoencoder with a multinomial likelihood.

    z ~ N(0, I),   π(z) ∝ exp f(z),   x ~ Mult(n, π(z)),   q(z|x) = N(μ(x), diag σ²(x))

    L = E_q[log p(x|z)] − β KL(q(z|x) ‖ p(z)),   β rising from 0 to its cap during training

x is the binary history; the encoder reads it divided by its L2 norm and under dropout. In serving, z = μ(x).

With `oldest` below 1, the weights of a history's events rise linearly from `oldest` to 1 for the newest, both in the input row
and in the likelihood that training maximizes, as in T-DiffRec (wang2023, section 3.6).

Source: liang2018, eqs. 2, 6 and 8, and the authors' code: I-600-(μ, log σ² of 200)-600-I, tanh, dropout 0.5, Adam 1e-3,
batches of 500, 200 epochs, β = min(0.2, step / 200,000).

Departures from the paper: β rises linearly over a share of the planned updates (`beta_schedule`), since 200,000 updates are
never reached on a smaller log; `beta_schedule=updates` gives the paper's schedule.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.inference import gaussian_kl, reparameterize
from foldin.models.autoencoders._sparse_autoencoder import SparseAutoencoder
from foldin.models.autoencoders._variational import Variational
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.divided import BY_USERS
from foldin.models.item_rows import ItemRows
from foldin.models.recency import oldest_setting
from foldin.tensors import Float, Int, Tensor
from foldin.training import (
    Config,
    GradientPhase,
    Loss,
    Range,
    RisingOverShare,
    RisingOverUpdates,
    Step,
    Trainer,
    setting,
    shuffled,
)

__all__ = ["MultVAE", "MultVAEConfig"]


@dataclass(frozen=True, kw_only=True)
class MultVAEConfig(Config):
    hidden_dims: tuple[int, ...] = setting(
        (600,), "Widths of the encoder's hidden layers; the decoder mirrors them.", low=1, range=((), (600,))
    )
    latent_dim: int = setting(200, "Width of z.", low=1, range=Range(32, 512, log=True))
    dropout: float = setting(0.5, "Dropout of the input's entries.", low=0, below=1, range=Range(0.0, 0.8))
    beta: float = setting(0.2, "Cap of β, the weight of the KL term.", low=0, range=Range(0.02, 1.0, log=True))
    beta_schedule: RisingOverShare | RisingOverUpdates = setting(RisingOverShare(share=0.85), "How β rises to its cap.")
    oldest: float = oldest_setting()
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, range=Range(1e-4, 1e-2, log=True))
    batch_size: int = setting(500, "Users in a batch.", low=1, range=Range(50, 1000, log=True))
    epochs: int = setting(200, "Epochs, at most.", low=1)


class MultVAE(OnnxGraph, DotProduct, ItemRows, Variational[MultVAEConfig]):
    """Variational autoencoder for collaborative filtering."""

    Config = MultVAEConfig
    standard_prior = True
    summary = "variational autoencoder with a multinomial likelihood (Liang et al. 2018)"

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        self.network = SparseAutoencoder(
            self.n_items,
            config.hidden_dims,
            2 * config.latent_dim,
            config.latent_dim,
            generator=generator,
            device=self.device,
            oldest=config.oldest,
        )

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return _Training(self)

    def training_bytes(self, train: Histories) -> float:
        rows = min(self.config.batch_size, len(train))  # logits over the catalog, and their gradients
        return super().training_bytes(train) + 8.0 * rows * self.n_items

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.network.named_parameters())

    def item_rows(self) -> frozenset[str]:
        return self.network.item_rows()

    def posterior(self, histories: Histories) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
        items, offsets = histories.tensors(self.device)
        mu, logvar = self.network.encode(items, offsets).chunk(2, dim=1)
        return mu, logvar

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users hidden"]:
        return self.queries_at(self.posterior(histories)[0])

    def queries_at(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users hidden"]:
        return self.network.last_hidden(z)

    def item_vectors(self) -> tuple[Float[Tensor, "items hidden"], Float[Tensor, " items"]]:
        return self.network.output()

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        mu, _ = self.network.encode_padded(history).chunk(2, dim=1)
        return F.linear(self.network.last_hidden(mu), *self.network.output())

    def decode(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        return self.network.logits(z)

    def differentiable_log_likelihood(
        self, z: Float[Tensor, "users latent"], histories: Histories
    ) -> Float[Tensor, " users"]:
        return self.network.log_likelihood(z, *histories.tensors(self.device))


class _Training(Trainer[Histories]):
    def __init__(self, model: MultVAE) -> None:
        self.model, config = model, model.config
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters=dict(model.network.named_parameters()),
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, fused=True
            ),
            batches=shuffled(config.batch_size),
            divided=BY_USERS,
        )
        super().__init__(phase, epochs=config.epochs)

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        items, offsets = batch.tensors(model.device)
        code = model.network.encode(items, offsets, dropout=model.config.dropout, generator=generator)
        mu, logvar = code.chunk(2, dim=1)
        z = reparameterize(mu, logvar, generator)
        reconstruction = model.network.weighted_log_likelihood(z, items, offsets).mean()
        kl = gaussian_kl(mu, logvar).mean()
        beta = model.config.beta_schedule.at(step, model.config.beta)
        return Loss(beta * kl - reconstruction, {"reconstruction": reconstruction, "kl": kl})
