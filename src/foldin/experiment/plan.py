"""How a model for production is trained: the number of epochs is chosen on held-out users, then every user trains.

The schedules of a setting, such as that of β, run over the largest number of epochs P of the training by which a number B was
chosen, so that the model for production is at the same place of them when it ends after B epochs. Training that starts from an
earlier run takes the last W of the epochs 1 to B, at whose end that run's own training was.
"""

import math
from dataclasses import dataclass, replace

import torch

from foldin.data import EventLog, strong
from foldin.errors import ConfigError, SplitError
from foldin.evaluation import ValidationMetric
from foldin.experiment.increment import check_increment
from foldin.experiment.production import Production, fit_all
from foldin.experiment.training import build_model
from foldin.experiment.warm_start import check_start
from foldin.models import model_name
from foldin.runs import Run
from foldin.training import Config, FitResult, Progress, Stopped, fit

__all__ = ["Plan"]

_LEAST_PATIENCE = 20
_WARM = 3  # training from scratch takes this many times the epochs of one that starts from an earlier run


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a model for production is trained.

    Args:
        config: configuration of the model.
        start: an earlier run from which training starts; None to train from scratch.
        decay: factor in (0, 1] of the statistics of `start`, to which then only later events are added, as in `fit_all`; not used
            without `start`. None to train on all events.
        held_out: users held out for choosing the number of epochs: a share below 1, or a number.
        min_events: users with fewer items do not take part in choosing it.
        metric: the validation metric that chooses it.
        epochs: largest number of epochs, or with `start` their number. None for the model's setting, or with `start` for a third
            of the epochs that were chosen when the model was last trained from scratch.
        patience: number of epochs without a better metric after which no more are tried; None for half of the largest number
            of epochs, at least 20. With few held-out users the metric of a model can peak after its first epochs, fall, and
            rise above that peak much later.
        seed: seed of the initial weights and of training.
        split_seed: seed of the choice of held-out users and of their targets.
        device: device to compute on.
        progress: receives a call at each step and epoch; as in `train` when None.
        precision: number format of the matrix products of gradient steps, as in `train`.

    Raises:
        ConfigError: the model cannot start from `start`.
    """

    config: Config
    start: Run | None = None
    decay: float | None = None
    held_out: float = 0.1
    min_events: int = 5
    metric: str = "ndcg@100"
    epochs: int | None = None
    patience: int | None = None
    seed: int = 0
    split_seed: int = 0
    device: torch.device | str = "cpu"
    progress: Progress | None = None
    precision: str = "float32"

    def __post_init__(self) -> None:
        if self.start is not None:
            check_start(type(self.config), self.start)
            if self.decay is not None:
                check_increment(type(self.config), self.start, self.decay)

    @property
    def name(self) -> str:
        """Name of the model."""
        return model_name(type(self.config)) or self.config.model_class.__name__

    def choose_epochs(self, log: EventLog) -> int | None:
        """The number of epochs with which a model is trained on every user of a log; None for a closed form.

        From scratch, it is the best one on held-out users of the log, with the protocol `strong`. With `start` it is fixed, since
        the earlier run was trained on those users, and the first epoch would look best.

        Raises:
            SplitError: the log has too few users to hold some out.
            ConfigError: the earlier run does not say how many epochs were chosen for it, and `epochs` is None.
        """
        if self.start is not None:
            return self.epochs or math.ceil(_cold_epochs(self.start) / _WARM)
        split = strong(log, held_out=self.held_out, min_events=self.min_events, seed=self.split_seed)
        model = build_model(split.catalog, self.config, seed=self.seed, device=self.device)
        trainer = model.trainer(split.train)
        if trainer.closed_form:
            return None
        if not split.validation.targets.n_events:
            raise SplitError(
                f"{log.report.source}: no held-out user has a target by which the number of epochs could be chosen: hold out "
                "more users (--held-out)"
            )
        patience = (
            max(_LEAST_PATIENCE, (self.epochs or trainer.epochs) // 2) if self.patience is None else self.patience
        )
        found = fit(
            model,
            split.train,
            validation=ValidationMetric(split.validation, self.metric),
            seed=self.seed,
            epochs=self.epochs,
            patience=patience,
            progress=self.progress,
            precision=self.precision,
        )
        _uninterrupted(found)
        return found.best_epoch

    def fit(self, log: EventLog, epochs: int | None) -> Production:
        """A model trained on every user of a log.

        Args:
            epochs: a number that was chosen by `choose_epochs`.
        """
        planned, first, last = self._place(epochs)
        made = fit_all(
            log,
            self.config,
            start=self.start,
            decay=None if self.start is None else self.decay,
            epochs=planned,
            first_epoch=first,
            last_epoch=last,
            seed=self.seed,
            device=self.device,
            progress=self.progress,
            precision=self.precision,
        )
        _uninterrupted(made.result)
        if self.start is None:
            return replace(made, notes={"cold_epochs": epochs})
        before = self.start.info
        cold = before.get("cold_epochs") or before.get("best_epoch")
        notes = {"cold_epochs": cold, "started_from": before["digest"]}
        return replace(made, notes=notes if self.decay is None else {**notes, "decay": self.decay})

    def _place(self, epochs: int | None) -> tuple[int | None, int, int | None]:
        """(number of epochs over which schedules run, the first epoch, the last one) of a training with a number of epochs."""
        if self.start is None or epochs is None:
            return self.epochs, 1, epochs
        if self.decay is not None:
            return epochs, 1, epochs
        info = self.start.info
        last = max(epochs, info.get("cold_epochs") or info.get("best_epoch") or 0)
        # A run of a version that did not note it was trained with schedules over the chosen number.
        planned = max(last, info.get("planned_epochs") or 0)
        return planned, last - epochs + 1, last


def _cold_epochs(run: Run) -> int:
    """The number of epochs that was chosen for a run when it, or the run it started from, was trained from scratch."""
    found = run.info.get("cold_epochs") or run.info.get("best_epoch")
    if not isinstance(found, int):
        raise ConfigError(
            f"{run.folder}: the run does not say how many epochs were chosen for it: give a number (--epochs)"
        )
    return found


def _uninterrupted(result: FitResult) -> None:
    """Raise the interrupt that ended a training, so that no half-trained model is taken."""
    if result.stopped is Stopped.INTERRUPTED:
        raise KeyboardInterrupt
