"""Training of the two-tower model: events of a user are predicted from a random part of all. See `two_tower.py`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from foldin.data import Histories
from foldin.kernels import drop_events, read_weights
from foldin.models.sequential.losses import Predicted
from foldin.tensors import Array, Int64
from foldin.training import FullPass, GradientPhase, Loss, Step, Trainer, shuffled
from foldin.workers import group_of

if TYPE_CHECKING:
    from foldin.models.baselines.two_tower import TwoTower

__all__ = ["TwoTowerTrainer"]


class TwoTowerTrainer(Trainer[Histories]):
    """Gradient steps over batches of users, of whom some random events are targets."""

    def __init__(self, model: "TwoTower") -> None:
        self.model, config = model, model.config
        phase: GradientPhase[Histories] = GradientPhase(
            name="train",
            parameters=model.learned(),
            loss=self.loss,
            optimizer=lambda parameters: torch.optim.Adam(
                list(parameters.values()), lr=config.learning_rate, fused=True
            ),
            batches=shuffled(config.batch_size),
            divided="the targets of a step are drawn for the whole batch",
            needs_float32=None,
        )
        first = FullPass(name="count", run=self.count)
        described = () if model.side is None else (FullPass(name="features", run=self.described),)
        super().__init__(phase, epochs=config.epochs, first=(first, *described))

    def count(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Learn the shares of the items."""
        self.model.learn_shares(train, group_of(generator))
        return {}

    def described(self, train: Histories, generator: torch.Generator) -> Mapping[str, float]:
        """Take the features of the items, and forget the initial rows of those without training events."""
        model = self.model
        assert model.side is not None
        model.side.profiles.set(model.described())
        free = [one for one in (model.read_rows, model.scored_rows) if one is not None]
        model.side.learn_trained(train, *free)
        model.forget()
        return {}

    def loss(self, batch: Histories, step: Step, generator: torch.Generator) -> Loss:
        model, option = self.model, self.model.config.features
        model.forget()  # the step after this loss changes the vectors
        at = torch.from_numpy(_some_events(batch, model.config.n_targets, generator)).to(model.device)
        if len(at) == 0:
            return Loss((model.start * 0.0).sum(), {})
        kept = None
        if model.side is not None and option is not None:
            kept = model.side.kept(option.dropout, generator).to(model.start.dtype)
        rows, scored = model.rows(kept)
        users = torch.from_numpy(batch.users()).to(model.device)[at]
        items, offsets = batch.tensors(model.device)
        targets = items[at]
        values = read_weights(offsets, 1.0, events=len(items))
        events = drop_events(items, offsets, values, model.config.dropout, generator, "read", compact=False)
        x = model.bag(rows, *events)
        if model.users is not None:
            x = x * model.users.kept(len(batch), generator).unsqueeze(1) + model.users.rows(batch)
        hidden = model.user_vectors(model.start + x)[users]
        lengths = torch.bincount(users, minlength=len(batch))
        predicted = Predicted(hidden, model.vectors_of(scored), targets, batch, lengths, model.log_share)
        if model.side is not None:
            predicted = predicted.among(*model.side.among_trained())
        return model.config.loss(predicted, generator)


def _some_events(read: Histories, count: int, generator: torch.Generator) -> Int64[Array, " targets"]:
    """Positions of `count` random events of each user, or of all where there are fewer, user by user."""
    drawn = torch.rand(read.n_events, generator=generator, device=generator.device).cpu().numpy()
    order = np.lexsort((drawn, read.users()))
    rank = np.arange(read.n_events) - np.repeat(read.offsets[:-1], read.lengths)
    chosen: Int64[Array, " targets"] = order[rank < count]
    return chosen
