"""Mult-VAE: a variational autoencoder with a multinomial likelihood.

    z ~ N(0, I),   π(z) ∝ exp f(z),   x ~ Mult(n, π(z)),   q(z|x) = N(μ(x), diag σ²(x))

    L = E_q[log p(x|z)] − β KL(q(z|x) ‖ p(z)),   β rising from 0 to its cap during training

x is the binary history; the encoder reads it divided by its L2 norm and under dropout. In serving, z = μ(x).

With `oldest` below 1, the weights of a history's events rise linearly from `oldest` to 1 for the newest, both in the input row
and in the likelihood that training maximizes, as in T-DiffRec (wang2023, section 3.6). The weights of events multiply them;
a dislike has a negative entry in the input row and none in the likelihood.

With `loss=sampled`, training scores the items of a batch and shared negatives, and its objective is an estimate of L (see
`models/multinomial_loss.py`); everything else uses the whole catalog.

With `features`, the rows of the decoder's last layer are free rows plus a linear map of the items' features, by which items
without training events are scored too (`feature_decoder.py`, after volkovs2017).

With `user_features`, features of the users are further inputs of the encoder's first layer (`models/user_features.py`), so that a
user without events has a list too.

Source: liang2018, eqs. 2, 6 and 8, and the authors' code: I-600-(μ, log σ² of 200)-600-I, tanh, dropout 0.5, Adam 1e-3,
batches of 500, 200 epochs, β = min(0.2, step / 200,000).

Departures from the paper: β rises linearly over a share of the planned updates (`beta_schedule`), since 200,000 updates are
never reached on a smaller log; `beta_schedule=updates` gives the paper's schedule.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from foldin.data import Catalog, Histories
from foldin.errors import ConfigError
from foldin.inference import gaussian_kl, reparameterize
from foldin.kernels import at_least_float32, multinomial_from_hidden
from foldin.models.autoencoders._sparse_autoencoder import SparseAutoencoder
from foldin.models.autoencoders._variational import Variational
from foldin.models.autoencoders.feature_decoder import (
    FeatureDecoder,
    FeatureOutput,
    feature_likelihood,
    forget_untrained,
)
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.evidence import SignedBag, read_and_predicted, read_events
from foldin.models.extends_items import ExtendsItems
from foldin.models.feature_map import MapsFeatures, extended_by_map
from foldin.models.item_rows import ItemRows
from foldin.models.multinomial_loss import FullMultinomial, SampledMultinomial
from foldin.models.recency import oldest_setting
from foldin.models.user_features import UserFeatures, UserMap
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
    loss: FullMultinomial | SampledMultinomial = setting(
        FullMultinomial(), "Items that a step scores: the whole catalog, or those of the batch and a sample."
    )
    oldest: float = oldest_setting()
    features: FeatureDecoder | None = setting(
        None, "How features of the items enter the decoder; none to learn from events alone."
    )
    user_features: UserFeatures | None = setting(
        None, "How features of the users enter the encoder; none to read events alone."
    )
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, range=Range(1e-4, 1e-2, log=True))
    batch_size: int = setting(500, "Users in a batch.", low=1, range=Range(50, 1000, log=True))
    epochs: int = setting(200, "Epochs, at most.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features is not None and isinstance(self.loss, SampledMultinomial):
            raise ConfigError("MultVAE: features go with loss=softmax alone: their softmax is over all trained items")


class MultVAE(MapsFeatures, ExtendsItems, OnnxGraph, DotProduct, ItemRows, SignedBag, Variational[MultVAEConfig]):
    """Variational autoencoder for collaborative filtering."""

    Config = MultVAEConfig
    standard_prior = True
    side: FeatureOutput | None
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
            sparse=config.loss.sparse,
        )
        width = self.network.decoder[-1].shape[1]
        self.side = (
            None if config.features is None else FeatureOutput(self.n_items, width, config.features, self.device)
        )
        self.users = (
            None
            if config.user_features is None
            else UserMap(self.network.encoder[0].shape[1], config.user_features, "MultVAE", self.device)
        )
        self._combined: tuple[Tensor, Tensor] | None = None  # the output layer, until training changes it

    def feature_columns(self) -> tuple[str, ...] | None:
        return None if self.config.features is None else self.config.features.columns

    def lacks(self, capability: type) -> str | None:
        if capability is ItemRows and self.side is not None:
            return (
                "MultVAE with features cannot start from another run: its columns of features are those of one catalog"
            )
        if capability is ItemRows and self.users is not None:
            return "MultVAE with user_features cannot start from another run: its columns are those of the users of one log"
        if capability is OnnxGraph and self.users is not None:
            return "MultVAE: user_features: a graph takes plain histories of items and would lose the features of the users"
        return super().lacks(capability)

    def make_room(self, state: Mapping[str, Tensor]) -> None:
        super().make_room(state)
        if self.users is not None:
            self.users.make_room(state)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.make_room(state)
        super().load_state(state)
        self._combined = None

    def trainer(self, train: Histories) -> Trainer[Histories]:
        if self.users is not None:
            self.users.take(train)
        return _Training(self, train)

    def training_bytes(self, train: Histories) -> float:
        tables = [self.tensors()[name] for name in self.item_rows()]
        found = super().training_bytes(train) + self.config.loss.step_bytes(train, self.config.batch_size, tables)
        # With features, the output layer is made anew in each step, and has gradients.
        return found if self.side is None else found + 24.0 * self.n_items * self.side.hidden

    def tensors(self) -> dict[str, Tensor]:
        own: dict[str, Tensor] = dict(self.network.named_parameters())
        own |= {} if self.side is None else self.side.tensors()
        return own if self.users is None else {**own, **self.users.tensors()}

    def item_rows(self) -> frozenset[str]:
        return self.network.item_rows()

    def with_new_items(self, catalog: Catalog) -> "MultVAE":
        return extended_by_map(self, self.side, self.network.item_rows(), catalog)

    def posterior(self, histories: Histories) -> tuple[Float[Tensor, "users latent"], Float[Tensor, "users latent"]]:
        read = read_events(histories, self.config.oldest, self.device)
        added = None if self.users is None else self.users.rows(histories)
        mu, logvar = self.network.encode(*read, added=added).chunk(2, dim=1)
        return mu, logvar

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users hidden"]:
        return self.queries_at(self.posterior(histories)[0])

    def queries_at(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users hidden"]:
        return self.network.last_hidden(z)

    def item_vectors(self) -> tuple[Float[Tensor, "items hidden"], Float[Tensor, " items"]]:
        return self._output()

    def _output(self) -> tuple[Float[Tensor, "items hidden"], Float[Tensor, " items"]]:
        """(weights, biases) of the last layer, without gradients."""
        weight, bias = self.network.output()
        if self.side is None:
            return weight, bias
        if self._combined is None:
            self._combined = self.side.output(weight, bias)
        return self._combined

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        mu, _ = self.network.encode_padded(history).chunk(2, dim=1)
        return F.linear(self.network.last_hidden(mu), *self._output())

    def decode(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        if self.side is None:
            return self.network.logits(z)
        return F.linear(self.network.last_hidden(z), *self._output())

    def differentiable_log_likelihood(
        self, z: Float[Tensor, "users latent"], histories: Histories
    ) -> Float[Tensor, " users"]:
        if self.side is None:
            return self.network.log_likelihood(z, *histories.tensors(self.device))
        return multinomial_from_hidden(self.network.last_hidden(z), *self._output(), *histories.tensors(self.device))


class _Training(Trainer[Histories]):
    def __init__(self, model: MultVAE, train: Histories) -> None:
        self.model, config = model, model.config
        self.sampler = config.loss.sampler(train, model.device)
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters={
                **dict(model.network.named_parameters()),
                **({} if model.side is None else {"features.map": model.side.map}),
                **({} if model.users is None else model.users.tensors()),
            },
            loss=self.loss,
            optimizer=lambda parameters: config.loss.adam(list(parameters.values()), config.learning_rate),
            batches=shuffled(config.batch_size),
            divided=config.loss.divided
            if model.users is None
            else "with user_features, the users without their events are drawn for the whole batch",
            needs_float32=None,
        )
        first = () if model.side is None else (FullPass(name="features", run=self._described),)
        super().__init__(phase, epochs=config.epochs, first=first)

    def _described(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Take the features of the items, and forget the initial rows of those without training events."""
        side = self.model.side
        assert side is not None
        side.profiles.set(self.model.described())
        forget_untrained(self.model.network, side, train)
        return {}

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        read, predicted = read_and_predicted(batch, model.config.oldest, model.device)
        users = model.users
        code = model.network.encode(
            *read,
            dropout=model.config.dropout,
            generator=generator,
            kept=None if users is None else users.kept(len(batch), generator),
            added=None if users is None else users.rows(batch),
        )
        mu, logvar = at_least_float32(code).chunk(2, dim=1)
        z = reparameterize(mu, logvar, generator)
        if model.side is None:
            scored = self.sampler(predicted.items, generator)
            reconstruction = model.network.log_likelihood(z, *predicted, scored).mean()
        else:
            model._combined = None  # the step after this loss changes the layer
            keep = model.side.kept(model.side.option.dropout, generator)
            reconstruction = feature_likelihood(model.network, model.side, z, *predicted, keep=keep).mean()
        kl = gaussian_kl(mu, logvar).mean()
        beta = model.config.beta_schedule.at(step, model.config.beta)
        return Loss(beta * kl - reconstruction, {"reconstruction": reconstruction, "kl": kl})
