"""L-DiffRec: a diffusion over the latent codes of a variational autoencoder that encodes each cluster of items separately.

    z = [z_1 … z_C],   q(z_c | x_c) = N(μ_c(x_c), diag σ_c²(x_c)) from the items of cluster c alone
    q(z_t | z) = N(√ᾱ_t z, (1 − ᾱ_t) I),   ẑ = f(z_t, t),   π = softmax of [V_1 ẑ_1 … V_C ẑ_C] + b over the whole catalog

    L = −log Mult(x; π) + γ KL(q(z|x) ‖ N(0, I)) + λ w_t ‖z − f(z_t, t)‖² / latent

In serving, z = μ(x), z_T = z, and the posterior means lead down to ẑ. LT-DiffRec weights events as T-DiffRec does (`oldest`).

Source: wang2023, section 3.5 and the authors' code (one layer from items to (μ, log σ²) and one back, dropout .1, the latent
dimensions divided among clusters by their sizes, λ falling and γ rising over the first updates, the loss of a row the sum over
its events).

Departures from the paper: the denoiser adds its layers' output to its input, f(z_t, t) = z_t + … (`residual`; karras2022,
eq. 7, with every scale 1), since layers alone would have to learn the identity first and, at noise this small, little else; items
are clustered by k-means of their collaborative vectors (`models/item_vectors.py`) instead of those of a trained LightGCN; rows
are divided by their L2 norm, as in Mult-VAE; λ is constant and γ rises over a share of the planned updates; steps are drawn
uniformly; β_1 is that of the linear variance, 1e-4, instead of the authors' 1e-5.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from foldin.data import Histories
from foldin.diffusion import coefficients
from foldin.errors import ConfigError
from foldin.inference import Bound, gaussian_kl, k_means, log_normal, nearest, reparameterize
from foldin.kernels import (
    Buffers,
    bag_of_items,
    drop_events,
    matmul_into,
    multinomial_from_hidden,
    multinomial_log_likelihood,
    padded_bag,
    recency_weights,
    unit_rows,
)
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.diffusion.noise import LinearVariance
from foldin.models.divided import BY_USERS
from foldin.models.item_vectors import collaborative_vectors
from foldin.models.recency import oldest_setting
from foldin.nn import normal_parameter, step_embedding
from foldin.tensors import Float, Int, Tensor
from foldin.training import (
    Config,
    FullPass,
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
from foldin.workers import drawn

__all__ = ["LatentDiffRec", "LatentDiffRecConfig"]

_VECTOR = 32  # width of the items' vectors that are clustered


@dataclass(frozen=True, kw_only=True)
class LatentDiffRecConfig(Config):
    n_clusters: int = setting(2, "Clusters of items, C.", low=1)
    latent_dim: int = setting(
        300, "Width of z, divided among the clusters by their sizes.", low=1, range=Range(100, 500, log=True)
    )
    hidden_dims: tuple[int, ...] = setting((300,), "Widths of the denoiser's hidden layers.", low=1)
    residual: bool = setting(
        True,
        "Whether the denoiser adds its layers' output to z_t; otherwise it says that output alone, as in the paper.",
    )
    time_dim: int = setting(10, "Width of the embedding of t.", low=2)
    n_steps: int = setting(40, "Steps of the diffusion, T.", low=1, high=10_000, range=(5, 10, 40))
    noise: LinearVariance = setting(LinearVariance(scale=0.1, low=0.001, high=0.005), "Noise of the steps.")
    reweighted: bool = setting(True, "Whether errors of steps are weighed by SNR_t−1 − SNR_t; otherwise all weigh 1.")
    diffusion_weight: float = setting(
        0.03, "Weight of the diffusion's error, λ.", low=0, range=Range(0.005, 0.5, log=True)
    )
    beta: float = setting(0.3, "Cap of γ, the weight of the KL term.", low=0, range=Range(0.02, 1.0, log=True))
    beta_schedule: RisingOverShare | RisingOverUpdates = setting(RisingOverShare(share=0.3), "How γ rises to its cap.")
    dropout: float = setting(0.5, "Dropout of the input's entries.", low=0, below=1, range=Range(0.0, 0.8))
    oldest: float = oldest_setting()
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, range=Range(1e-4, 1e-2, log=True))
    batch_size: int = setting(400, "Users in a batch.", low=1, range=Range(50, 1000, log=True))
    epochs: int = setting(200, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_clusters > self.latent_dim:
            raise ConfigError(f"LatentDiffRec: n_clusters = {self.n_clusters}: at most latent_dim = {self.latent_dim}")


class LatentDiffRec(OnnxGraph, DotProduct, Recommender[LatentDiffRecConfig]):
    """Diffusion in the latent space of a variational autoencoder of clusters of items."""

    Config = LatentDiffRecConfig
    has_likelihood = True
    summary = "diffusion in the latent space of a VAE of clusters of items (L-DiffRec, Wang et al. 2023)"

    def _build(self, generator: torch.Generator) -> None:
        config, device = self.config, self.device
        self.schedule = config.noise.schedule(config.n_steps)

        def made(*shape: int) -> nn.Parameter:
            return normal_parameter(shape, generator, device)

        widths = (config.latent_dim + config.time_dim, *config.hidden_dims, config.latent_dim)
        self.learned = nn.ParameterDict(
            {
                "encoder": made(self.n_items, 2 * config.latent_dim),
                "encoder_bias": made(2 * config.latent_dim),
                "decoder": made(self.n_items, config.latent_dim),
                "decoder_bias": made(self.n_items),
                "of_time": made(config.time_dim, config.time_dim),
                "time_bias": made(config.time_dim),
            }
        )
        for layer, (before, after) in enumerate(itertools.pairwise(widths)):
            self.learned[f"weight_{layer}"] = made(after, before)
            self.learned[f"bias_{layer}"] = made(after)
        # 1 where a latent dimension belongs to an item's cluster. Before training, there is one cluster.
        self.own = torch.ones(self.n_items, config.latent_dim, device=device)
        self._buffers_in, self._buffers_out = Buffers(), Buffers()

    def training_bytes(self, train: Histories) -> float:
        rows = min(self.config.batch_size, len(train))  # logits over the catalog, and their gradients
        return super().training_bytes(train) + 8.0 * rows * self.n_items

    def tensors(self) -> dict[str, Tensor]:
        return {**dict(self.learned.named_parameters()), "own": self.own}

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return _Training(self)

    def _encoder(self) -> Float[Tensor, "items twice_latent"]:
        return self.learned["encoder"] * self.own.repeat(1, 2)

    def _decoder(self) -> Float[Tensor, "items latent"]:
        return self.learned["decoder"] * self.own

    def read(self, offsets: Int[Tensor, " offsets"]) -> Float[Tensor, " events"]:
        return unit_rows(offsets, recency_weights(offsets, self.config.oldest))

    def posterior(self, histories: Histories) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
        """(μ, log σ²) of each user, without dropout."""
        items, offsets = histories.tensors(self.device)
        code = bag_of_items(self._encoder(), items, offsets, self.read(offsets)) + self.learned["encoder_bias"]
        mu, logvar = code.chunk(2, dim=1)
        return mu, logvar

    def denoised(self, z: Float[Tensor, "users latent"], t: Int[Tensor, " #users"]) -> Float[Tensor, "users latent"]:
        """ẑ = f(z_t, t), the denoised codes."""
        own = self.learned
        e = F.linear(step_embedding(t - 1, self.config.time_dim), own["of_time"], own["time_bias"])
        h = torch.cat((z, e.expand(z.shape[0], -1)), dim=1)
        for layer in range(len(self.config.hidden_dims) + 1):
            h = F.linear(torch.tanh(h) if layer else h, own[f"weight_{layer}"], own[f"bias_{layer}"])
        return z + h if self.config.residual else h

    def weight(self, t: Int[Tensor, " users"]) -> Float[Tensor, " users"]:
        """w_t, the weight of a step's error."""
        if not self.config.reweighted:
            return torch.ones(len(t), device=t.device)
        return torch.from_numpy(self.schedule.snr_fall).float().to(t.device)[t]

    def _reverse(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users latent"]:
        for step in coefficients(self.schedule, None):
            t = torch.full((1,), step.t, dtype=torch.int64, device=z.device)
            z = step.of_clean * self.denoised(z, t) + step.of_now * z
        return z

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users latent"]:
        return self._reverse(self.posterior(histories)[0])

    @torch.no_grad()
    def item_vectors(self) -> tuple[Float[Tensor, "items latent"], Float[Tensor, " items"]]:
        return self._decoder(), self.learned["decoder_bias"].detach()

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        states = self.queries(histories)
        weight, bias = self.item_vectors()
        out = self._buffers_out.get("logits", (len(states), self.n_items), states)
        return matmul_into(out, states, weight.t()).add_(bias)

    @torch.no_grad()
    def bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        """A lower bound on log p(x) of each user, in nats, by one draw of z_0 and of each z_t.

        Of the model z_T ~ N(0, I), z_t−1 ~ N(μ̃_t(f(z_t, t), z_t), β̃_t I), z_0 ~ N(f(z_1, 1), β_1 I), x ~ Mult(π(z_0)). With noise
        as small as the paper's, z_T still reveals z_0: the bound is valid but loose.

        Source: ho2020, eq. 5; kingma2021, eq. 13, over codes as in vahdat2021, eq. 3.

        Raises:
            ShapeError: the histories are over another catalog.
        """
        self.check_histories(histories)
        step = self.block()
        return Bound.of_blocks(
            [self._bound(histories.rows(at, at + step), generator) for at in range(0, max(1, len(histories)), step)]
        )

    def _bound(self, histories: Histories, generator: torch.Generator) -> Bound:
        schedule, snr = self.schedule, self.schedule.snr
        items, offsets = histories.tensors(self.device)
        mu, logvar = self.posterior(histories)
        z = reparameterize(mu, logvar, generator)
        steps, last = torch.zeros(len(z), device=self.device), z
        for t in range(schedule.steps, 0, -1):
            at = torch.full((len(z),), t, dtype=torch.int64, device=self.device)
            noise = torch.randn(z.shape, generator=generator, device=self.device)
            clean = self.denoised(schedule.diffuse(z, at, noise), at)
            if t > 1:
                steps = steps + 0.5 * float(snr[t - 1] - snr[t]) * (z - clean).square().sum(dim=1)
            else:
                last = log_normal(z, clean, torch.full_like(z, math.log(schedule.betas[1])))
        entropy = 0.5 * (1.0 + math.log(2.0 * math.pi) + logvar).sum(dim=1)
        logits = F.linear(z, self._decoder(), self.learned["decoder_bias"])
        return Bound(
            "log p(x) of the events as draws from one distribution, codes under a diffusion from N(0, I)",
            {
                "E log p(x|z_0)": multinomial_log_likelihood(logits, items, offsets),
                "E log p(z_0|z_1) + entropy of q(z_0|x)": last + entropy,
                "−Σ KL(q(z_t−1|z_t, z_0) ‖ p(z_t−1|z_t))": -steps,
                "−KL(q(z_T|z_0) ‖ N(0, I))": -schedule.prior_kl(z),
            },
        )

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        mu, _ = (padded_bag(self._encoder(), history, oldest=self.config.oldest) + self.learned["encoder_bias"]).chunk(
            2, dim=1
        )
        return F.linear(self._reverse(mu), self._decoder(), self.learned["decoder_bias"])


class _Training(Trainer[Histories]):
    def __init__(self, model: LatentDiffRec) -> None:
        self.model, config = model, model.config
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters=dict(model.learned.named_parameters()),
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, fused=True
            ),
            batches=shuffled(config.batch_size),
            divided=BY_USERS,
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
        kept = drop_events(items, offsets, model.read(offsets), config.dropout, generator)
        code = bag_of_items(model._encoder(), *kept, model._buffers_in) + model.learned["encoder_bias"]
        mu, logvar = code.chunk(2, dim=1)
        z = reparameterize(mu, logvar, generator)
        t = drawn(
            (len(batch),),
            generator,
            lambda shape: torch.randint(1, config.n_steps + 1, shape, generator=generator, device=model.device),
        )
        noise = drawn(z.shape, generator, lambda shape: torch.randn(shape, generator=generator, device=model.device))
        clean = model.denoised(model.schedule.diffuse(z, t, noise), t)
        error = (model.weight(t) * (z - clean).square().mean(dim=1)).mean()
        reconstruction = multinomial_from_hidden(
            clean, model._decoder(), model.learned["decoder_bias"], items, offsets, model._buffers_out
        ).mean()
        kl = gaussian_kl(mu, logvar).mean()
        value = config.beta_schedule.at(step, config.beta) * kl + config.diffusion_weight * error - reconstruction
        return Loss(value, {"reconstruction": reconstruction, "kl": kl, "squared_error": error})
