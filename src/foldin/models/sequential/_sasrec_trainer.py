"""Training of SASRec: prediction of the item after every event, by one of its losses. See `sasrec.py` for the equations."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from foldin.data import Histories
from foldin.models.sequential.losses import Predicted
from foldin.nn import batches_of_transitions, transitions
from foldin.tensors import Array, Int64
from foldin.training import Divided, FullPass, GradientPhase, Loss, Pretraining, Step, Trainer, falling
from foldin.workers import group_of, longest

if TYPE_CHECKING:
    from foldin.models.sequential.sasrec import SASRec

__all__ = ["SASRecTrainer"]

_SMALL_BATCH = 1 << 17  # entries of a batch's states


class SASRecTrainer(Trainer[Histories]):
    """Gradient steps over batches of histories of similar lengths."""

    def __init__(self, model: "SASRec") -> None:
        self.model, config = model, model.config
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters={**model.encoder.by_name(), **({} if model.side is None else {"features.map": model.side.map})},
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
            ),
            batches=lambda train, rng: batches_of_transitions(train, config.max_length, config.batch_tokens, rng),
            learning_rate=falling(config.learning_rate, config.lr_decay),
            small=config.batch_tokens * config.embedding_dim <= _SMALL_BATCH,
            divided=Divided(self.tokens, mean_over="tokens")
            if model.side is None
            else "with features, its negatives are drawn among the items with training events",
            needs_float32=None,
        )
        first: FullPass[Histories] | Pretraining[Histories] = FullPass(name="count", run=self.count)
        if model.tokenizer is not None:
            first = model.tokenizer.learning("count", lambda: None, self._after)
        described = () if model.side is None else (FullPass(name="features", run=self._described),)
        super().__init__(phase, epochs=config.epochs, first=(first, *described))

    def tokens(self, batch: Histories) -> Mapping[str, Int64[Array, " users"]]:
        """Number of tokens of each history: its events with a next one, of which the newest are read."""
        return {"tokens": np.minimum(batch.lengths - 1, self.model.config.max_length)}

    def count(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        self.model.learn_shares(train, group_of(generator))
        return {}

    def _described(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Take the features of the items, and forget the initial vectors of those without training events."""
        side = self.model.side
        assert side is not None
        side.profiles.set(self.model.described())
        side.learn_trained(train, self.model.encoder.items)
        side.forget()
        return {}

    def _after(self, train: Histories) -> None:
        self.model.learn_shares(train)
        self.model._call()

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        crop = generator if model.config.crop else None
        # With several workers, padded as the whole batch, whose dropout is drawn for its rectangle.
        width = longest(generator, "tokens")
        given, targets = transitions(batch, model.config.max_length, model.device, crop, width)
        with nullcontext() if model.side is None else model.side.step(generator):
            states = model.encoder(given, generator).flatten(0, 1).index_select(0, given.positions())
            predicted = Predicted(
                model._asked(states), model._vectors(), targets, batch, given.lengths, model.log_share
            )
        return model.loss(predicted if model.side is None else predicted.among(*model.side.among_trained()), generator)
