"""Training on every user of a log, for production: no user is held out, and nothing is evaluated."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from time import time as clock
from typing import Any, NoReturn

import torch

from foldin.data import Catalog, EventLog, EventWeights, KnownUsers, catalog_of, log_with_user_features, weighed_log
from foldin.display import Display, Displayed
from foldin.errors import DataError, RunError, warn
from foldin.experiment.environment import versions
from foldin.experiment.increment import check_increment, incremental_trainer
from foldin.experiment.origin import ahead_of_clock, newest_time, until_now
from foldin.experiment.showing import Showing
from foldin.experiment.training import build_model
from foldin.experiment.warm_start import Start, warm_start
from foldin.inference import Statistics
from foldin.memory import allocating
from foldin.models import (
    ItemFeatures,
    MergeableStatistics,
    Recommender,
    capability,
    config_of,
    has_capability,
    model_name,
)
from foldin.runs import Parts, Recommends, save_run, weights_info
from foldin.training import Config, FitResult, Progress, fit

__all__ = ["Production", "fit_all"]


@dataclass(frozen=True, eq=False, repr=False)
class Production(Recommends, Displayed):
    """A model trained on every user of a log.

    Args:
        name: name of the model.
        model: the model.
        result: result of its training.
        log: the log that it was trained on.
        seed: seed of the training.
        notes: further entries of `run.json`.
        weighting: the rule by which the events of the log are weighted; None if all count alike.
        start_until: seconds since 1970 of the newest event that the start of the training was trained on; None without a start,
            or if it does not say.
    """

    name: str
    model: Recommender
    result: FitResult
    log: EventLog
    seed: int = 0
    notes: Mapping[str, Any] = field(default_factory=dict)
    weighting: EventWeights | None = None
    start_until: int | None = None

    def display(self) -> Display:
        h = self.log.histories
        title = f"{self.name} trained on all {len(h):,} users and {h.n_items:,} items in {self.result.seconds:,.1f} s"
        return Display(title=title)

    @cached_property
    def catalog(self) -> Catalog:
        """The items of the model."""
        return catalog_of(self.log.items, self.log.histories)

    @property
    def statistics(self) -> Statistics | None:
        """The expected sufficient statistics that gave the model's parameters; None for a model that has none."""
        found = capability(self.model, MergeableStatistics)
        return None if found is None else found.statistics

    @property
    def until(self) -> int | None:
        """Seconds since 1970 of the newest event of the log, or of that of its start if it is later; None without times."""
        newest = newest_time(self.log.histories)
        return newest if newest is None or self.start_until is None else max(newest, self.start_until)

    @property
    def evaluation(self) -> None:
        """None, as of the run when it is loaded: no user was held out."""

    def explain(self, **_: Any) -> NoReturn:
        """No report: there are no test users.

        Raises:
            RunError: always.
        """
        raise RunError(
            f"{self.name}: trained on all users of its log, so that there are no test users to report on; explain the result of "
            "`train`"
        )

    def _parts(self) -> Parts:
        return Parts(self.model, self.catalog, self.log.style, self.log.reading, self.weighting)

    def _known_users(self) -> KnownUsers:
        return KnownUsers.of_log(self.log, self.catalog)

    def save(self, folder: str | Path, *, histories: bool = False) -> dict[str, Any]:
        """Write a run directory, which `foldin.load` reads and the service serves; returns the content of its `run.json`.

        The run has no metrics: `foldin evaluate` and `foldin explain` refuse it.

        Args:
            folder: new or empty, or one that holds a run.
            histories: whether to save the histories of the users, so that the loaded run makes lists for their ids.

        Raises:
            RunError: `save_run` refuses the run.
        """
        h = self.log.histories
        info = {
            "source": {},
            "log": h.fingerprint(),
            "protocol": "all",
            "seed": self.seed,
            "users": {"train": len(h), "validation": 0, "test": 0},
            "items": h.n_items,
            "until": self.until,
            "precision": self.result.precision,
            "fit_seconds": round(self.result.seconds, 3),
            "stopped": self.result.stopped,
            "planned_epochs": self.result.epochs,
            "versions": versions(),
            **weights_info(self.weighting),
            **self.notes,
        }
        save_run(
            Path(folder),
            model=self.model,
            catalog=self.catalog,
            info=info,
            history=[asdict(record) for record in self.result.records],
            known=self._known_users() if histories else None,
            style=self.log.style,
            reading=self.log.reading,
            statistics=self.statistics,
        )
        return info


def fit_all(
    log: EventLog,
    config: Config | str,
    *,
    start: Start | None = None,
    decay: float | None = None,
    epochs: int | None = None,
    first_epoch: int = 1,
    last_epoch: int | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    precision: str = "float32",
) -> Production:
    """Train a model on every user of a log, for production.

    No user is held out, so there is no early stopping and no evaluation: choose the settings and the number of epochs with
    `train` first, and give `last_epoch=run.result.best_epoch` here. Schedules then run as they did there.

    Items of the log that have no event are in the catalog of a model that learns from features of items, and are left out of one
    that knows nothing of them. Events that are ahead of this machine's clock are left out (`until_now`), with a warning.

    Args:
        config: configuration of the model, or the model's name for the defaults.
        start: an earlier run or training of the same model, whose parameters are the initial ones (see `warm_start`).
        decay: None to train on all events of the log. Otherwise only the events that `start` does not know are added to its
            statistics, which are first multiplied by this number in (0, 1].
        epochs: number of epochs, over which schedules run, or with `decay` of passes over the users with such events; that of the
            configuration when None.
        first_epoch: epoch that comes first, by which schedules have their place: for a model with a `start`.
        last_epoch: epoch after which training ends; all epochs when None.
        progress, precision: as in `train`.

    Raises:
        FitError: the model cannot be trained on this log, there are no such epochs, or with `decay` the log has no times.
        ConfigError: the model cannot start from `start`, or with `decay` cannot be updated from it.
        CapacityError: the model or its training needs more memory than is free.
        DataError: `log` is something else, such as a split, or all of its events are ahead of the clock.
    """
    if not isinstance(log, EventLog):
        raise DataError(f"fit_all: an EventLog was expected, not {type(log).__name__}: read it with foldin.read_log")
    config = config_of(config)
    name = model_name(type(config)) or config.model_class.__name__
    if decay is not None:
        check_increment(type(config), start, decay)
    log = log_with_user_features(_past(log))
    with allocating(f"{name} of {log.histories.n_items:,} items", config.model_class.smaller):
        log = _scorable(log, config)
    log, weighting = weighed_log(log)
    catalog = catalog_of(log.items, log.histories)
    with allocating(f"{name} of {len(catalog):,} items", config.model_class.smaller):
        model = build_model(catalog, config, seed=seed, device=device)
        if start is not None:
            warm_start(model, catalog, start)
        trainer = incremental_trainer(model, catalog, log, start, decay=decay, epochs=epochs)
        if trainer is not None:
            epochs = last_epoch = trainer.epochs
        how = {"seed": seed, "epochs": epochs, "first_epoch": first_epoch, "last_epoch": last_epoch}
        result = _fitted(model, log, name, progress, trainer=trainer, precision=precision, **how)
    return Production(name, model, result, log, seed, weighting=weighting, start_until=_until_of(start))


def _past(log: EventLog) -> EventLog:
    """The log until now, with a warning if events are ahead of the clock.

    As the newest events they would be what age is counted from, and with `decay` they would be added again once their time has
    come.
    """
    if (ahead := ahead_of_clock(log)) is None:
        return log
    warn(f"fit_all: {ahead}")
    return until_now(log)


def _until_of(start: Start | None) -> int | None:
    """Time of the newest event that a start was trained on, unless it is ahead of the clock, which says nothing."""
    until: int | None = getattr(start, "until", None)
    return None if until is None or until > clock() else until


def _fitted(model: Recommender, log: EventLog, name: str, progress: Progress | None, **how: Any) -> FitResult:
    """The result of `fit` on all users of a log, shown as in `train` if there is no progress."""
    shown = Showing(name, "")
    try:
        return fit(model, log.histories, progress=shown if progress is None else progress, **how)
    finally:
        shown.close()


def _scorable(log: EventLog, config: Config) -> EventLog:
    """The log with the items that a model can score: those with events, and others if it learns from features of items."""
    if log.histories.counts().all():
        return log
    if has_capability(config.model_class, ItemFeatures):
        model = build_model(catalog_of(log.items, log.histories), config)
        if capability(model, ItemFeatures) is not None:
            return log
    return log.core()
