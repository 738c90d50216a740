"""Incremental training: the events after an earlier run's newest one are added to the statistics that the run keeps."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from foldin.data import Catalog, EventLog
from foldin.errors import ConfigError, FitError
from foldin.experiment.warm_start import Start
from foldin.inference import Statistics
from foldin.models import (
    MODELS,
    IncrementalTrainer,
    MergeableStatistics,
    Recommender,
    capability,
    has_capability,
    model_name,
    statistics_of_catalog,
)
from foldin.runs import Run
from foldin.training import Config

__all__ = ["StatisticsStart", "check_increment", "incremental_trainer"]


@runtime_checkable
class StatisticsStart(Start, Protocol):
    """What a training can add events to: a loaded run that was trained on every user, or the result of `fit_all`."""

    @property
    def statistics(self) -> Statistics | None:
        """The statistics that gave the model's parameters; None if they were not kept."""

    @property
    def until(self) -> int | None:
        """Seconds since 1970 of the newest event in them; None if it is not known."""


def check_increment(kind: type[Config], start: Start | None, decay: float) -> None:
    """Raise an error unless a model of a configuration class may be updated from the statistics of an earlier one.

    Raises:
        ConfigError: models of that class have no statistics, `start` keeps none or does not say until when it was trained, or the
            decay is not in (0, 1].
    """
    if not 0.0 < decay <= 1.0:
        raise ConfigError(f"decay = {decay}: a number above 0 and at most 1 was expected")
    name = model_name(kind) or kind.model_class.__name__
    if not has_capability(kind.model_class, MergeableStatistics):
        able = [one for one, of in MODELS.usable().items() if has_capability(of.model_class, MergeableStatistics)]
        raise ConfigError(
            f"{name}: has no statistics to which later events could be added; these have: {', '.join(able)}"
        )
    if start is None:
        raise ConfigError(
            f"{name}: decay = {decay} needs an earlier run, whose statistics it is the factor of (--from)"
        )
    _kept(start, name)


def incremental_trainer(
    model: Recommender[Any],
    catalog: Catalog,
    log: EventLog,
    start: Start | None,
    *,
    decay: float | None,
    epochs: int | None,
) -> IncrementalTrainer | None:
    """The trainer that adds the later events of a log to an earlier run's statistics; None if there is no decay.

    An event is a later one if it is after the newest event that the run was trained on, or if the run does not have its item.

    Args:
        model: the model to train, with the parameters of `start` (see `warm_start`).
        catalog: its items.
        log: the log, with whole histories and absolute times.
        start: the earlier run.
        decay: factor of the earlier statistics, in (0, 1].
        epochs: number of passes over the users with later events; the epochs of the configuration when None.

    Raises:
        ConfigError: see `check_increment`.
        FitError: the log has no absolute times.
    """
    if decay is None or start is None:
        return None
    check_increment(type(model.config), start, decay)
    merging = capability(model, MergeableStatistics)
    assert merging is not None
    statistics, until = _kept(start, type(model).__name__)
    if log.histories.times is None:
        raise FitError(
            f"{log.report.source}: the events that an earlier run does not know can only be told with a column of absolute times "
            "(--time)"
        )
    places = start.catalog.places(catalog.ids)
    fresh = np.array([place is None for place in places], dtype=np.bool_)
    here = statistics_of_catalog(statistics, merging.item_sums(), places, len(catalog))
    merging.begin_from(here)
    passes = model.config.epochs if epochs is None else epochs
    return IncrementalTrainer(merging, log.histories, here.scaled(decay), until=until, fresh=fresh, epochs=passes)


def _kept(start: Start, name: str) -> tuple[Statistics, int]:
    """(the statistics of a start, the time of the newest event in them).

    Raises:
        ConfigError: it lacks one of them; the message says what to do.
    """
    where = f"{start.folder}" if isinstance(start, Run) else f"{name}, {type(start).__name__}"
    if not isinstance(start, StatisticsStart) or start.statistics is None:
        raise ConfigError(
            f"{where}: keeps no statistics to which later events could be added, because it is older than they are or was not "
            "trained on every user: train it once again with `foldin fit --all`, without --decay"
        )
    if start.until is None:
        raise ConfigError(
            f"{where}: does not say until when it was trained, so that no event can be told to be later: train it once again on "
            "a log with absolute times (--time), without --decay"
        )
    return start.statistics, start.until
