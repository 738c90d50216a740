"""One model, trained on a split and evaluated on its test users."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldin.data import Catalog, Split
from foldin.errors import ConfigError, FitError, ShapeError, SplitError
from foldin.evaluation import (
    DEFAULT_METRICS,
    Calibration,
    ValidationMetric,
    evaluate,
    fit_temperature,
    parse_metric,
)
from foldin.experiment.showing import Showing
from foldin.experiment.tracking import Tracker, Tracking
from foldin.experiment.trained import Trained
from foldin.experiment.warm_start import Start, warm_start
from foldin.memory import allocating
from foldin.models import (
    Dislikes,
    ItemFeatures,
    Recommender,
    WeightedEvents,
    capability,
    config_of,
    has_capability,
    model_name,
)
from foldin.training import Config, FitResult, Progress, Stopped, fit, flat
from foldin.workers import ALONE, Group

__all__ = ["accompany", "build_model", "check_targets", "train", "unread", "unused"]


def build_model(
    catalog: Catalog, config: Config | str, *, seed: int = 0, device: torch.device | str = "cpu"
) -> Recommender[Any]:
    """An untrained model of a catalog, with the catalog's features if the model uses them.

    Args:
        config: a configuration, or the name of a model for the defaults.
        seed: seed of the initial weights.

    Raises:
        ConfigError: no such model.
        CapacityError: its tensors need more memory than is free.
    """
    config = config_of(config)
    model: Recommender[Any] = config.model_class(len(catalog), config, seed=seed, device=device)
    featured = capability(model, ItemFeatures)
    if featured is not None:
        featured.describe(catalog)
    return model


def check_targets(split: Split) -> None:
    """Check that there is a split, and that each of its held-out groups has a target.

    Raises:
        SplitError: a group has none (the message names it), or `split` is something else, such as a log.
    """
    if not isinstance(split, Split):
        raise SplitError(
            f"a Split was expected, not {type(split).__name__}: split the log first, such as with foldin.split(log, 'strong')"
        )
    empty = [
        f"{name} ({len(held):,} users)"
        for name, held in (("validation", split.validation), ("test", split.test))
        if held.targets.n_events == 0
    ]
    if empty:
        raise SplitError(
            f"no user of {' and '.join(empty)} has a target, an item that training users have and that is new to the user: "
            f"there is nothing to evaluate. Hold out more users (--held-out), ask for more items of each (--min-events), or use "
            f"another protocol (--protocol; this is {split.protocol})"
        )


def unused(split: Split) -> list[str]:
    """Attributes of the events that no model uses, one sentence for each."""
    kinds = split.train.kinds
    several = [] if kinds is None else [split.kinds[int(at)] or "none" for at in np.unique(kinds)]
    if len(several) < 2 or split.weighting is not None:
        return []
    return [f"every event counts alike in training, whatever its kind ({', '.join(several)})"]


def unread(split: Split, model: type[Recommender[Any]]) -> list[str]:
    """What models of a class do not read of a split with weights or dislikes, one sentence for each.

    A model that needs other models may read less than its class can; its `lacks` says so.
    """
    found = []
    if split.train.weights is not None and not has_capability(model, WeightedEvents):
        found.append(f"{model.__name__} counts every event alike, whatever its weight")
    if split.train.dislikes is not None and not has_capability(model, Dislikes):
        found.append(f"{model.__name__} does not learn from dislikes; what a user dislikes is not listed all the same")
    return found


def train(
    split: Split,
    config: Config | str,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    metric: str = "ndcg@100",
    metrics: Sequence[str] = DEFAULT_METRICS,
    start: Start | None = None,
    epochs: int | None = None,
    patience: int | None = 20,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    evaluating: Callable[[int, int], None] | None = None,
    keep_interrupted: bool = False,
    calibrate: bool = False,
    trackers: Sequence[Tracker] = (),
    group: Group = ALONE,
    precision: str = "float32",
) -> Trained:
    """Train a model on a split, with early stopping on validation, and evaluate it on the test users once.

    See `fit` and `evaluate` for the arguments and further errors. Ctrl-C in training is raised again, unless `keep_interrupted`
    and an epoch has ended: then the best weights so far are evaluated.

    Args:
        config: configuration of the model, or the model's name for the defaults.
        start: an earlier run or training of the same model, whose parameters are the initial ones (see `warm_start`). If it was
            trained on held-out users of this split, the metrics are optimistic.
        progress: receives a call at each step and epoch; None for a bar in terminals and notebooks and for lines of the logger
            `foldin` everywhere.
        calibrate: fit a temperature of the model's logits on the validation users before it is evaluated, and save it with
            the run; if none can be fitted, the model stays as it is, and `Trained.calibration` gives the reason.
        trackers: trackers that record the settings, each epoch and the evaluation: `TensorBoard(folder)`, `MLflow(uri)`.
        group: workers that share the training (see `joined`). The first one calls this, the others call `accompany`.

    Raises:
        SplitError: the validation or the test group has no target; raised before anything is trained.
        ConfigError: the model cannot start from `start`.
        CapacityError: the model or its training needs more memory than is free.
    """
    check_targets(split)
    for one in metrics:
        parse_metric(one)
    config = config_of(config)
    name = model_name(type(config)) or config.model_class.__name__
    with allocating(f"{name} of {len(split.catalog):,} items", config.model_class.smaller):
        model = _begun(split, config, seed, device, start)
        shown = Showing(name, metric)
        tracking = Tracking(shown if progress is None else progress, trackers, metric)
        given = {"seed": seed, **({} if precision == "float32" else {"precision": precision})}
        with _tracked(tracking, name, config, split, given) as ended:
            try:
                result = _fitted(
                    model,
                    split,
                    metric,
                    seed=seed,
                    epochs=epochs,
                    patience=patience,
                    folder=folder,
                    resume=resume,
                    progress=tracking,
                    group=group,
                    precision=precision,
                )
            finally:
                shown.close()
            if result.stopped is Stopped.INTERRUPTED and not (keep_interrupted and result.records):
                raise KeyboardInterrupt
            calibration = _calibrated(model, split) if calibrate else None
            evaluation = evaluate(
                model,
                split.test,
                metrics=metrics,
                train_counts=split.train.counts(),
                train_users=len(split.train),
                progress=evaluating,
            )
            ended |= {name: entry["mean"] for name, entry in evaluation.summary(seed=seed).items()}
            if result.stopped is Stopped.INTERRUPTED:
                ended[_INTERRUPTED] = None
    return Trained(name, model, result, evaluation, split, seed, calibration)


def accompany(
    split: Split,
    config: Config | str,
    *,
    group: Group,
    seed: int = 0,
    device: torch.device | str = "cpu",
    metric: str = "ndcg@100",
    start: Start | None = None,
    epochs: int | None = None,
    patience: int | None = 20,
    folder: Path | None = None,
    resume: bool = False,
    precision: str = "float32",
) -> FitResult:
    """The training of a worker that is not the first one of its group: its part of what `train` does in the first one.

    It writes nothing and evaluates nothing, and its result is that of the first one.

    Args:
        group: workers that share the training (see `joined`).

    The other arguments are those that the first worker gives to `train`.
    """
    model = _begun(split, config_of(config), seed, device, start)
    options: dict[str, Any] = {"epochs": epochs, "patience": patience, "folder": folder, "resume": resume}
    return _fitted(model, split, metric, seed=seed, progress=Progress(), group=group, precision=precision, **options)


def _begun(split: Split, config: Config, seed: int, device: torch.device | str, start: Start | None) -> Recommender:
    """The model before training, with the parameters of `start`, if there is one."""
    model = build_model(split.catalog, config, seed=seed, device=device)
    if start is not None:
        warm_start(model, split.catalog, start)
    return model


def _fitted(model: Recommender, split: Split, metric: str, **options: Any) -> FitResult:
    """Train a model with early stopping on the validation users of a split."""
    validation = ValidationMetric(split.validation, metric)
    by = f"{metric} on {split.validation.targets.fingerprint()}"
    return fit(model, split.train, validation=validation, validated_by=by, **options)


_INTERRUPTED = "interrupted"  # not the name of a metric


@contextmanager
def _tracked(
    tracking: Tracking, name: str, config: Config, split: Split, given: Mapping[str, Any]
) -> Iterator[dict[str, float | None]]:
    """A context that begins and ends the trackers; its dictionary takes the metrics at the end."""
    identity = {"model": name, **given, "protocol": split.protocol, "data": split.report.source}
    ended: dict[str, float | None] = {}
    try:
        tracking.start(name, {**identity, "fingerprint": split.fingerprint(), **flat(config)})
        yield ended
    except BaseException as error:
        tracking.finish({}, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    how = "interrupted" if _INTERRUPTED in ended else "finished"
    tracking.finish({metric: value for metric, value in ended.items() if value is not None}, how)


def _calibrated(model: Recommender, split: Split) -> Calibration | str:
    """The fitted temperature, which the model then has, or why it has none."""
    try:
        found = fit_temperature(model, split.validation)
        model.calibrate(found.temperature)
    except (ConfigError, FitError, ShapeError) as error:
        return str(error)
    return found
