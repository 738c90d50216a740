"""Mult-DAE: the denoising autoencoder that was published with Mult-VAE.

    π ∝ exp f(tanh(W x̃ + b)),   L = log Mult(x; π) − λ ‖W‖²

x̃ is the binary history, divided by its L2 norm, under dropout. No latent noise and no KL term.

With `oldest` below 1, the weights of a history's events rise linearly from `oldest` to 1 for the newest, both in the input row
and in the likelihood that training maximizes, as in T-DiffRec (wang2023, section 3.6). The weights of events multiply them;
a dislike has a negative entry in the input row and none in the likelihood.

With `loss=sampled`, training scores the items of a batch and shared negatives, and its objective is an estimate of L (see
`models/multinomial_loss.py`); everything else uses the whole catalog.

Source: liang2018, section 2.2.3 and the authors' code: I-200-I, dropout 0.5, λ = 0.01/500 on the weights, Adam 1e-3,
batches of 500, 200 epochs. Departures from the paper: none; with `loss=sampled`, λ applies to an item's vectors only in the
steps that score or read the item.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from foldin.data import Histories
from foldin.models.autoencoders._sparse_autoencoder import SparseAutoencoder
from foldin.models.capability import DotProduct, OnnxGraph
from foldin.models.contract import Recommender
from foldin.models.evidence import SignedBag, read_and_predicted, read_events
from foldin.models.item_rows import ItemRows
from foldin.models.multinomial_loss import FullMultinomial, SampledMultinomial
from foldin.models.recency import oldest_setting
from foldin.tensors import Float, Int, Tensor
from foldin.training import Config, GradientPhase, Loss, Range, Step, Trainer, setting, shuffled

__all__ = ["MultDAE", "MultDAEConfig"]


@dataclass(frozen=True, kw_only=True)
class MultDAEConfig(Config):
    hidden_dims: tuple[int, ...] = setting(
        (), "Widths of the encoder's hidden layers; the decoder mirrors them.", low=1, range=((), (600,))
    )
    latent_dim: int = setting(200, "Width of the code.", low=1, range=Range(32, 512, log=True))
    dropout: float = setting(0.5, "Dropout of the input's entries.", low=0, below=1, range=Range(0.0, 0.8))
    regularization: float = setting(
        0.01 / 500, "Weight of the squared weights in the loss, λ.", low=0, range=Range(1e-7, 1e-3, log=True)
    )
    loss: FullMultinomial | SampledMultinomial = setting(
        FullMultinomial(), "Items that a step scores: the whole catalog, or those of the batch and a sample."
    )
    oldest: float = oldest_setting()
    learning_rate: float = setting(1e-3, "Learning rate of Adam.", above=0, range=Range(1e-4, 1e-2, log=True))
    batch_size: int = setting(500, "Users in a batch.", low=1, range=Range(50, 1000, log=True))
    epochs: int = setting(200, "Epochs, at most.", low=1)


class MultDAE(OnnxGraph, DotProduct, ItemRows, SignedBag, Recommender[MultDAEConfig]):
    """Denoising autoencoder for collaborative filtering."""

    Config = MultDAEConfig
    has_likelihood = True
    summary = "denoising autoencoder with a multinomial likelihood (Liang et al. 2018)"

    def _build(self, generator: torch.Generator) -> None:
        config = self.config
        self.network = SparseAutoencoder(
            self.n_items,
            config.hidden_dims,
            config.latent_dim,
            config.latent_dim,
            generator=generator,
            device=self.device,
            oldest=config.oldest,
            sparse=config.loss.sparse,
        )

    def trainer(self, train: Histories) -> Trainer[Histories]:
        return _Training(self, train)

    def training_bytes(self, train: Histories) -> float:
        tables = [self.tensors()[name] for name in self.item_rows()]
        return super().training_bytes(train) + self.config.loss.step_bytes(train, self.config.batch_size, tables)

    def tensors(self) -> dict[str, Tensor]:
        return dict(self.network.named_parameters())

    def item_rows(self) -> frozenset[str]:
        return self.network.item_rows()

    @torch.no_grad()
    def queries(self, histories: Histories) -> Float[Tensor, "users hidden"]:
        return self.network.last_hidden(self._code(histories))

    def item_vectors(self) -> tuple[Float[Tensor, "items hidden"], Float[Tensor, " items"]]:
        return self.network.output()

    def padded_logits(self, history: Int[Tensor, "users length"]) -> Float[Tensor, "users items"]:
        code = torch.tanh(self.network.encode_padded(history))
        return F.linear(self.network.last_hidden(code), *self.network.output())

    def _logits(self, histories: Histories) -> Float[Tensor, "users items"]:
        return self.network.logits(self._code(histories))

    def _code(self, histories: Histories) -> Float[Tensor, "users latent"]:
        return torch.tanh(self.network.encode(*read_events(histories, self.config.oldest, self.device)))


class _Training(Trainer[Histories]):
    def __init__(self, model: MultDAE, train: Histories) -> None:
        self.model, config = model, model.config
        self.sampler = config.loss.sampler(train, model.device)
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters=dict(model.network.named_parameters()),
            loss=self.loss,
            optimizer=self._optimizer,
            batches=shuffled(config.batch_size),
            divided=config.loss.divided,
            needs_float32=None,
        )
        super().__init__(phase, epochs=config.epochs)

    def _optimizer(self, parameters: Mapping[str, torch.nn.Parameter]) -> torch.optim.Optimizer:
        config = self.model.config
        weights = [value for name, value in parameters.items() if "bias" not in name]
        biases = [value for name, value in parameters.items() if "bias" in name]
        # The gradient of λ‖W‖² is 2λW, which Adam adds to the gradient with a weight decay of 2λ.
        groups: list[dict[str, Any]] = [
            {"params": weights, "weight_decay": 2 * config.regularization},
            {"params": biases},
        ]
        return config.loss.adam(groups, config.learning_rate)

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        read, predicted = read_and_predicted(batch, model.config.oldest, model.device)
        code = model.network.encode(*read, dropout=model.config.dropout, generator=generator)
        scored = self.sampler(predicted.items, generator)
        reconstruction = model.network.log_likelihood(torch.tanh(code), *predicted, scored).mean()
        return Loss(-reconstruction, {"reconstruction": reconstruction})
