"""One training by the workers of a Ray cluster, with the batches of a single process."""

import logging
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from foldin.cluster.connecting import Cluster, connected, everywhere, ray_package
from foldin.cluster.messages import Refusal, RefusedError, listening
from foldin.data import Source, Split
from foldin.data.log.urls import is_url
from foldin.errors import FitError, FoldinError
from foldin.experiment import accompany, check_folder, report, tracker_of, train, unread, unused
from foldin.runs import load_run
from foldin.training import Config, EpochRecord, Progress, Trainer
from foldin.workers import Group

__all__ = ["ClusterTraining", "TrainedOn", "train_on"]

_log = logging.getLogger("foldin")
_ATTEMPTS = 4  # trainings in a row that a dying worker may end
_DIGITS = 12  # of a fingerprint, which a float64 holds exactly
_LOST = ("connection closed", "connection reset", "gloo")  # in what PyTorch's errors say of a connection that was lost
_PAUSE = 5.0  # seconds between two lines about epochs
_WAITING = 7200  # seconds that workers wait for the first one, which alone validates and saves


@dataclass(frozen=True, kw_only=True)
class ClusterTraining:
    """One training: what every worker must know, as values that can be sent.

    Args:
        source: the data, how they are read and how they are split; every worker reads them itself.
        config: configuration of the model.
        folder: run directory, which all machines see.
        name: what the reports call the data.
        earlier: earlier run from which training starts; None for none.
        resume: whether to continue after the last checkpoint in `folder`.
        seed, metric, epochs, patience, precision: see `experiment.train`.
        calibrate: whether to fit a temperature.
        trackers: where to follow the training; see `experiment.tracker_of`.
    """

    source: Source
    config: Config
    folder: Path
    name: str = ""
    earlier: str | None = None
    resume: bool = False
    seed: int = 0
    metric: str = "ndcg@100"
    epochs: int | None = None
    patience: int | None = 20
    calibrate: bool = False
    trackers: tuple[str, ...] = ()
    precision: str = "float32"


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """The result of a training on a cluster; the run is in its directory.

    Args:
        report: the run as data; see `experiment.report`.
        notes: what must be known of the data and the training, one sentence each.
    """

    report: Mapping[str, Any]
    notes: tuple[str, ...]


def train_on(cluster: Cluster, training: ClusterTraining, *, saying: Callable[[str], None] | None = None) -> TrainedOn:
    """Train a model on a cluster by Ray Train and save the run.

    The workers share every batch as `--workers` shares it, so that the result is that of one process, up to rounding. If a worker
    or its machine dies, all begin again after the last whole epoch, up to three times.

    Args:
        saying: receives a line every few seconds of training, and when a worker has died; None for the logger `foldin`.

    Raises:
        ConfigError: the cluster has too few CPUs, or as `experiment.train`.
        FitError: training cannot continue, workers kept dying, or the model is trained by one worker only.
        MissingExtraError: Ray is not installed.
        RunError: the folder holds something else, or a finished run.
    """
    trackers = tuple(map(_absolute, training.trackers))
    training = replace(
        training, source=everywhere(training.source), folder=training.folder.resolve(), trackers=trackers
    )
    check_folder(training.folder, resume=training.resume)
    with connected(cluster) as workers, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Ray's packages, about each other
        return _attempts(cluster, workers, training, saying or _log.info)


def _absolute(tracker: str) -> str:
    """The tracker with an absolute folder, if it has one."""
    kind, _, where = tracker.partition(":")
    return f"{kind}:{Path(where).resolve()}" if kind == "tensorboard" and where else tracker


def _attempts(cluster: Cluster, workers: int, training: ClusterTraining, saying: Callable[[str], None]) -> TrainedOn:
    """Train, and again after the last whole epoch while workers die of something else than the training."""
    ray = ray_package()
    from ray.train import TrainingFailedError

    for attempt in range(_ATTEMPTS):
        try:
            return _attempt(cluster, workers, training, saying)
        except TrainingFailedError as error:
            failures = list(getattr(error, "worker_failures", {}).values())
            refused = next((one for one in failures if isinstance(one, RefusedError)), None)
            if refused is not None:
                raise refused.refusal.error() from None
            bug = next((one for one in failures if not _of_connection(one)), None)
            if bug is not None:
                raise bug from error
            last = str(failures[0] if failures else error).strip().splitlines()[-1]
            if attempt == _ATTEMPTS - 1:
                raise FitError(
                    f"workers ended early {_ATTEMPTS} times, lastly: {last}; --resume continues after the last whole epoch"
                ) from error
            saying(f"a worker ended early ({last}); training begins again after the last whole epoch")
            training = replace(training, resume=True)
            cluster.workers_on(ray.cluster_resources().get("CPU", 0.0))
    raise AssertionError("the last attempt returns or raises")


def _of_connection(error: BaseException) -> bool:
    """Whether an error only says that a worker is gone: one of Ray, or of the connection between the workers."""
    if type(error).__module__.split(".")[0] == "ray" or isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _LOST)


def _attempt(cluster: Cluster, workers: int, training: ClusterTraining, saying: Callable[[str], None]) -> TrainedOn:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    # Ray Train keeps files of its own, which nobody needs later.
    notes = training.folder.parent / f".{training.folder.name}.ray"
    shutil.rmtree(notes, ignore_errors=True)
    try:
        with listening(ray_package(), saying) as queue:
            trainer = TorchTrainer(
                _worker,
                train_loop_config={"training": training, "cpus": cluster.cpus, "queue": queue},
                torch_config=TorchConfig(backend="gloo", timeout_s=_WAITING),
                scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": cluster.cpus}),
                run_config=RunConfig(name="fit", storage_path=str(notes)),
            )
            found: TrainedOn = trainer.fit().return_value
    finally:
        shutil.rmtree(notes, ignore_errors=True)
    return found


def _worker(job: Mapping[str, Any]) -> TrainedOn | None:
    """The whole work of one worker; the first one returns the result."""
    from ray.train import get_context

    training: ClusterTraining = job["training"]
    torch.set_num_threads(job["cpus"])
    group = Group(get_context().get_world_rank(), get_context().get_world_size())
    try:
        return _trained(training, group, job["queue"].put)
    except FoldinError as error:
        raise RefusedError(Refusal.of(error)) from None


def _trained(training: ClusterTraining, group: Group, saying: Callable[[str], None]) -> TrainedOn | None:
    """The training of one worker; the first one saves the run, says what happens, and returns the result."""
    split = training.source.split()
    _check_same(split, group)
    start = None if training.earlier is None else load_run(training.earlier, device=torch.device("cpu"))
    names = ("seed", "metric", "epochs", "patience", "folder", "resume", "precision")
    plan: dict[str, Any] = {name: getattr(training, name) for name in names}
    if not group.first:
        accompany(split, training.config, group=group, start=start, **plan)
        return None
    notes = [f"{note.count:,} {note.text}" for note in split.report.warnings]
    notes += [*unused(split), *unread(split, training.config.model_class)]
    if start is not None and start.info.get("fingerprint") != split.fingerprint():
        notes.append(f"if {training.earlier} was trained on held-out users of this split, the metrics are optimistic")
    trained = train(
        split,
        training.config,
        start=start,
        calibrate=training.calibrate,
        progress=_Lines(saying),
        trackers=[tracker_of(one) for one in training.trackers],
        group=group,
        **plan,
    )
    trained.save(training.folder)
    # The report names exactly the events of a store that were read.
    data = split.report.source if is_url(training.source.path) else training.name or training.source.shown
    return TrainedOn(report=report(split, {trained.name: trained}, data=data, seed=training.seed), notes=tuple(notes))


def _check_same(split: Split, group: Group) -> None:
    """Check that this worker has read what the first one has, which machines with other files or a growing store prevent.

    Raises:
        FitError: it has not.
    """
    own = float(int(split.fingerprint()[:_DIGITS], 16))
    if group.of_first(lambda: own) != own:
        raise FitError(
            f"worker {group.rank}, counted from 0, has read other events than the first one: give all machines the same files, "
            f"and export an event store that grows, by `foldin events export`"
        )


class _Lines(Progress):
    """Lines about a training.

    Args:
        saying: receives each line.
    """

    def __init__(self, saying: Callable[[str], None]) -> None:
        self._saying, self._said, self._epochs = saying, 0.0, 0

    def pretraining(self, name: str) -> None:
        if name:
            self._saying(f"trains {name} first")

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._epochs = epochs
        if done:
            self._saying(f"continues after epoch {done}")

    def epoch(self, record: EpochRecord) -> None:
        if self._epochs > 1 and (time.monotonic() - self._said > _PAUSE or record.epoch == self._epochs):
            self._said = time.monotonic()
            figure = (
                "" if record.metric is None else f": validation metric {record.metric:.4f}{' *' if record.best else ''}"
            )
            self._saying(f"epoch {record.epoch}/{self._epochs}{figure}")
