"""One model, or several side by side: trained, judged on the same people, and reported as data."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from foldin.data import Source, Split
from foldin.errors import ConfigError, FitError, RunError, ShapeError, SplitError
from foldin.evaluation import (
    DEFAULT_METRICS,
    LOG_LIKELIHOOD,
    Calibration,
    Evaluation,
    ValidationMetric,
    compare_models,
    evaluate,
    fit_temperature,
    parse_metric,
)
from foldin.memory import allocating
from foldin.models import ALL, Described, Recommender
from foldin.store import Run, save_run
from foldin.training import Config, FitResult, Progress, Stopped, fit

__all__ = [
    "Trained",
    "check_targets",
    "choose_device",
    "model_class",
    "report",
    "save",
    "source_of_run",
    "split_of_run",
    "train",
    "untrained",
    "versions",
]


def choose_device(name: str = "auto") -> torch.device:
    """A device by name; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: torch does not know the name or does not have the device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        torch.zeros(1, device=name).cpu()  # devices that only describe tensors fail here
        return torch.device(name)
    except (RuntimeError, AssertionError, ImportError, NotImplementedError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"device {name!r} is not available: {reason}") from error


def model_class(name: str) -> type[Recommender]:
    """The class of a model's name.

    Raises:
        ConfigError: no such model.
    """
    if name not in ALL:
        raise ConfigError(f"no model named {name!r}; there are {', '.join(ALL)}")
    return ALL[name]


def untrained(
    split: Split, name: str, config: Config | None = None, *, seed: int = 0, device: torch.device | str = "cpu"
) -> Recommender:
    """A model of a split's catalogue, told what the catalogue says of its items where it listens.

    Raises:
        ConfigError: no such model.
    """
    model = model_class(name)(len(split.catalog), config, seed=seed, device=device)
    if isinstance(model, Described):
        model.describe(split.catalog)
    return model


def check_targets(split: Split) -> None:
    """Nothing when somebody in each of the held-out groups has an item to find.

    Raises:
        SplitError: nobody has; names the groups.
    """
    empty = [
        f"{name} ({len(held):,} users)"
        for name, held in (("validation", split.validation), ("test", split.test))
        if held.targets.n_events == 0
    ]
    if empty:
        raise SplitError(
            f"nobody in {' and '.join(empty)} has an item to find that the training users have too: nothing could be "
            f"judged. Hold out more users (--held-out), ask for more events of each (--min-events), or take another protocol "
            f"(--protocol; this is {split.protocol})"
        )


def versions() -> dict[str, str]:
    """What a figure depends on besides the code."""
    packages = ("foldin", "torch", "numpy", "polars")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


@dataclass(frozen=True, eq=False)
class Trained:
    """A model, how its training went, and what it does on the test people.

    Args:
        calibration: the temperature that was fitted on the validation users, if one was asked for; or why there is none.
    """

    name: str
    model: Recommender
    result: FitResult
    evaluation: Evaluation
    calibration: Calibration | str | None = None

    def calibrated(self) -> dict[str, Any]:
        """The calibration as data; empty where none was asked for."""
        found = self.calibration
        if found is None:
            return {}
        return {"calibration": {"failed": found} if isinstance(found, str) else found.as_dict()}


def train(
    split: Split,
    name: str,
    config: Config | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    metric: str = "ndcg@100",
    metrics: Sequence[str] = DEFAULT_METRICS,
    epochs: int | None = None,
    patience: int | None = 20,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    evaluating: Callable[[int, int], None] | None = None,
    keep_interrupted: bool = False,
    calibrate: bool = False,
) -> Trained:
    """Train a model on a split, with early stopping on validation, and judge it on the test people once.

    See `fit` and `evaluate` for the arguments and further errors. Ctrl-C in training is raised again, unless `keep_interrupted`
    and an epoch has ended: then the best weights so far are judged.

    Args:
        calibrate: fit a temperature of the model's logits on the validation users before it is judged, and keep it with
            the run; where there is none, the model stays as it is, and `Trained.calibration` says why.

    Raises:
        SplitError: nobody of the validation or of the test group has an item to find; before anything is trained.
        CapacityError: the model or its training needs more memory than is free.
    """
    check_targets(split)
    for one in metrics:
        parse_metric(one)
    with allocating(f"{name} of {len(split.catalog):,} items", model_class(name).smaller):
        model = untrained(split, name, config, seed=seed, device=device)
        validation = ValidationMetric(split.validation, metric)
        result = fit(
            model,
            split.train,
            validation=validation,
            validated_by=f"{metric} on {split.validation.targets.fingerprint()}",
            seed=seed,
            epochs=epochs,
            patience=patience,
            folder=folder,
            resume=resume,
            progress=progress,
        )
        if result.stopped is Stopped.INTERRUPTED and not (keep_interrupted and result.records):
            raise KeyboardInterrupt
        calibration = _calibrated(model, split) if calibrate else None
        evaluation = evaluate(
            model,
            split.test,
            metrics=metrics,
            train_counts=split.train.counts(),
            train_people=len(split.train),
            progress=evaluating,
        )
    return Trained(name, model, result, evaluation, calibration)


def _calibrated(model: Recommender, split: Split) -> Calibration | str:
    """The temperature that the model now has, or why it has none."""
    try:
        found = fit_temperature(model, split.validation)
        model.calibrate(found.temperature)
    except (ConfigError, FitError, ShapeError) as error:
        return str(error)
    return found


def report(
    split: Split, trained: Mapping[str, Trained], *, data: str, seed: int, left_out: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Models side by side as data: metrics with intervals, and paired tests with Holm's correction.

    Args:
        left_out: why a model is not among them, by its name.
    """
    models = {}
    for name, one in trained.items():
        models[name] = {
            "config": one.model.config.as_dict(),
            "fit_seconds": round(one.result.seconds, 3),
            "epochs": len(one.result.records),
            "stopped": one.result.stopped,
            "best_epoch": one.result.best_epoch,
            "validation": one.result.best_metric,
            **one.calibrated(),
            "metrics": one.evaluation.summary(seed=seed),
        }
    evaluations = {name: one.evaluation for name, one in trained.items()}
    first = next(iter(evaluations.values()))
    every = [name for name in first.metrics if not name.startswith("novelty")]
    if LOG_LIKELIHOOD not in every:
        every.append(LOG_LIKELIHOOD)
    return {
        "data": data,
        "protocol": split.protocol,
        "seed": seed,
        "people": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "without_targets": first.without_targets,
        "items": len(split.catalog),
        "models": models,
        "left_out": dict(left_out or {}),
        "tests": compare_models(evaluations, every, seed=seed),
    }


def save(folder: Path, split: Split, one: Trained, *, source: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Write a run directory; returns its `run.json` content.

    Args:
        source: what `Source.as_dict` gives; empty where the log has no place to be read from again, and then `evaluate` and
            `explain` need to be told (`--data`).

    Raises:
        RunError: a source that could not be used again, or what `save_run` refuses.
    """
    if source:
        _source(source, str(folder))
    began = time.time() - one.result.seconds
    info = {
        "source": dict(source),
        "fingerprint": split.fingerprint(),
        "protocol": split.protocol,
        "seed": seed,
        "people": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        "items": len(split.catalog),
        "fit_seconds": round(one.result.seconds, 3),
        "stopped": one.result.stopped,
        "best_epoch": one.result.best_epoch,
        "validation": one.result.best_metric,
        "began": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        **one.calibrated(),
    }
    save_run(
        folder,
        name=one.name,
        model=one.model,
        catalog=split.catalog,
        info=info,
        history=[asdict(record) for record in one.result.records],
        metrics=one.evaluation.summary(seed=seed),
        per_user=one.evaluation.per_user,
        keep_checkpoint=one.result.stopped is Stopped.INTERRUPTED,
    )
    return info


def source_of_run(run: Run) -> Source | None:
    """Where a run's log came from and how it was read; None for a run that was saved without saying.

    Raises:
        RunError: what is stored there cannot be used.
    """
    stored = run.info.get("source")
    return _source(stored, str(run.folder)) if stored else None


def _source(stored: Any, where: str) -> Source:
    try:
        source = Source(**stored)
    except TypeError as error:
        raise RunError(f"{where}: the source of the log cannot be used: {error}") from error
    if not isinstance(source.path, str):
        raise RunError(f"{where}: the source of the log cannot be used: path = {source.path!r}: text was expected")
    return source


def split_of_run(run: Run, path: str | None) -> Split:
    """The split a run was trained on, read again and checked.

    Args:
        path: the log, where it has moved, or where the run does not say where it came from.

    Raises:
        RunError: the log is another one, or the run does not say where it came from, and neither does `path`.
    """
    source = source_of_run(run)
    if source is None and path is None:
        raise RunError(
            f"{run.folder}: the run has no source: it does not say which log it was trained on; name it with --data"
        )
    fingerprint = run.info.get("fingerprint")
    if fingerprint is None:
        raise RunError(
            f"{run.folder}: the run has no fingerprint of its log: no log can be told to be the one it was trained on"
        )
    if source is None:
        source = Source(path="", protocol=run.info.get("protocol"), seed=run.info.get("seed") or 0)
    if path is not None:
        source = replace(source, path=path)
    split = source.split()
    if split.fingerprint() != fingerprint:
        raise RunError(
            f"{run.folder}: the log at {source.path} is not the one it was trained on; name that with --data"
        )
    return split
