"""Training of SASRec: what follows after every event, by one of five losses. See `sasrec.py` for the equations."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from foldin.data import Histories
from foldin.kernels import softmax_cross_entropy
from foldin.models.sequential._losses import binary_loss, calibration, sampled_softmax_loss
from foldin.models.sequential._negatives import negatives_not_taken, shared_negatives
from foldin.nn import batches_of_transitions, transitions
from foldin.training import FullPass, GradientPhase, Loss, Pretraining, Step, Trainer, falling

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
            parameters=dict(model.encoder.by_name()),
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, betas=(0.9, 0.98), fused=True
            ),
            batches=lambda train, rng: batches_of_transitions(train, config.length, config.batch_tokens, rng),
            learning_rate=falling(config.learning_rate, config.decay),
            small=config.batch_tokens * config.width <= _SMALL_BATCH,
        )
        first: FullPass[Histories] | Pretraining[Histories] = FullPass(name="count", run=self.count)
        if model.naming is not None:
            first = model.naming.learning("count", lambda: None, self._after)
        super().__init__(phase, epochs=config.epochs, first=(first,))

    def count(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        self.model.learn_shares(train)
        return {}

    def _after(self, train: Histories) -> None:
        self.model.learn_shares(train)
        self.model._call()

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model = self.model
        crop = generator if model.config.crop else None
        given, targets = transitions(batch, model.config.length, model.device, crop)
        states = model.encoder(given, generator).flatten(0, 1).index_select(0, given.positions())
        hidden, vectors = model._asked(states), model._vectors()
        kind = model.loss_kind
        if kind == "softmax":
            value = softmax_cross_entropy(hidden, vectors, targets) / len(targets)
            return Loss(value, {"nats_per_event": value})
        k = model.negatives
        if kind == "sampled":
            negatives, log_expected = shared_negatives(model.config.sampling, k, model.log_share, targets, generator)
            value = sampled_softmax_loss(hidden, vectors, targets, negatives, log_expected)
            return Loss(value, {"nats_per_event": value})
        if kind == "gbce":
            negatives = torch.randint(model.n_items, (len(targets), k), generator=generator, device=model.device)
            beta = calibration(model.config.gbce_t, k, model.n_items)
            return Loss(binary_loss(hidden, vectors, targets, negatives, beta), {})
        people = torch.repeat_interleave(torch.arange(len(batch), device=model.device), given.lengths)
        return Loss(binary_loss(hidden, vectors, targets, negatives_not_taken(k, batch, people, generator)), {})
