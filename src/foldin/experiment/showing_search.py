"""The progress of a search over settings in Python: a bar over its trials, and a line of the logger `foldin` for each."""

import logging
import time
from collections.abc import Mapping
from typing import Any

from foldin.experiment.showing import interactive, open_bar
from foldin.experiment.study import Study
from foldin.experiment.trials import TuningTrial
from foldin.tensors import Tensor
from foldin.training import EpochRecord, Progress, Trainer

__all__ = ["ShowingSearch", "trial_line"]

_log = logging.getLogger("foldin")


class ShowingSearch(Progress):
    """A bar over the trials of a search, or over its minutes if only these are limited, and a line of the logger for each trial.

    Args:
        name: name of the model.
        metric: name of the validation metric.
        trials: number of trials in all; None for no limit.
        minutes: budget of training time, if there is one.
        bar: whether to show a bar; None to show one on a terminal and in a notebook.
    """

    def __init__(
        self, name: str, metric: str, *, trials: int | None, minutes: float | None, bar: bool | None = None
    ) -> None:
        self.name, self.metric = name, metric
        self._trials, self._total = trials is not None, float(trials or minutes or 0.0)
        self._wanted = interactive() if bar is None else bar
        self._bar: Any = None
        self._best: list[TuningTrial] = []
        self._done, self._since = 0.0, 0.0
        self._epoch, self._epochs = 0, 1

    def open(self, study: Study) -> None:
        """The search begins, or continues after the trials that the study has."""
        earlier = study.trials()
        for one in earlier:
            _better(one, self._best)
        self._count(study)
        of = f"{self._total:g} {'trials' if self._trials else 'minutes'}"
        _log.info("%s: search of %s%s", self.name, of, f", after {len(earlier)} trials" if earlier else "")
        if self._wanted:
            unit = "trials" if self._trials else "minutes"
            self._bar = open_bar(f"tune {self.name}", self._total, min(self._done, self._total), unit)
            self._note()

    def ended(self, trial: TuningTrial, study: Study) -> None:
        """A trial has ended."""
        _log.info("%s: %s", self.name, trial_line(trial, self._best, self.metric))
        self._count(study)
        self._move(self._done)
        self._note()

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._epoch, self._epochs = done, epochs

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        if total:
            self._within(min(self._epoch + done / total, self._epochs))

    def epoch(self, record: EpochRecord) -> None:
        self._epoch = record.epoch
        self._within(record.epoch)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _count(self, study: Study) -> None:
        self._done = float(len(study.trials())) if self._trials else study.spent() / 60
        self._since = time.perf_counter()

    def _within(self, epochs: float) -> None:
        """Move the bar to where a trial is after some epochs."""
        self._move(self._done + (epochs / self._epochs if self._trials else (time.perf_counter() - self._since) / 60))

    def _move(self, to: float) -> None:
        if self._bar is not None:  # never backwards, as at the second of two trainings in a trial
            self._bar.update(max(0.0, min(to, self._total) - self._bar.n))

    def _note(self) -> None:
        if self._bar is not None and self._best:
            self._bar.set_postfix({f"best {self.metric}": f"{self._best[0].value:.4f}"})


def trial_line(trial: TuningTrial, best: list[TuningTrial], metric: str) -> str:
    """A line about a trial that has ended.

    Args:
        best: the best trial until now, which is kept here.
    """
    _better(trial, best)
    settings = " ".join(f"{name}={value}" for name, value in trial.settings.items()) or "the settings at the start"
    figure = trial.reason if trial.value is None else f"{metric} {trial.value:.4f}"
    star = " *" if best and best[0] is trial else ""
    epochs = f"{trial.epochs} epoch{'' if trial.epochs == 1 else 's'}"
    return f"trial {trial.number}: {trial.state}: {figure}{star}  {epochs}  {trial.seconds:.1f} s  {settings}"


def _better(trial: TuningTrial, best: list[TuningTrial]) -> None:
    """Keep a trial as the best one, if it is."""
    if trial.state == "complete" and (not best or (trial.value or 0.0) > (best[0].value or 0.0)):
        best[:] = [trial]
