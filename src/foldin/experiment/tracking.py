"""Trackers of a training: TensorBoard and MLflow. Without either, a run keeps its epochs as lines of JSON."""

import contextlib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from foldin.errors import ConfigError, MissingExtraError, warn
from foldin.tensors import Tensor
from foldin.training import EpochRecord, Progress, Trainer

__all__ = ["MLflow", "TensorBoard", "Tracker", "Tracking", "tracker_of"]

TRACKERS = ("tensorboard", "mlflow")


class Tracker(ABC):
    """Records the settings, the epochs and the evaluation of one training."""

    @abstractmethod
    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        """Record the start of a training.

        Args:
            name: name of the model.
            settings: setting → value, and other values that identify the training.
        """

    @abstractmethod
    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Record the end of an epoch, with its mean terms and its validation metric."""

    @abstractmethod
    def end(self, metrics: Mapping[str, float], how: str) -> None:
        """Record the end of the training, with its metrics on the test users.

        Args:
            how: "finished", "interrupted" (by Ctrl-C), or "failed".
        """


class TensorBoard(Tracker):
    """Event files of TensorBoard, in a folder for each training.

    Args:
        folder: folder that is passed to `tensorboard --logdir`.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", "tensorboard", "TensorBoard") from error
        self._make: Any = SummaryWriter
        self._folder = Path(folder)
        self._writer: Any = None

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            with contextlib.suppress(FileExistsError):
                (folder := self._folder / f"{name}-{number:03d}").mkdir()
                break
        self._writer = self._make(str(folder))
        rows = "\n".join(f"| {setting} | {value} |" for setting, value in settings.items())
        self._writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{rows}", 0)

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, number)

    def end(self, metrics: Mapping[str, float], how: str) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(f"test/{name}", value, 0)
        self._writer.close()


class MLflow(Tracker):
    """Runs of MLflow, in the experiment `foldin`.

    Args:
        uri: tracking server or database, such as `http://127.0.0.1:5000` or `sqlite:///mlflow.db`.
        experiment: name of the experiment.

    Raises:
        MissingExtraError: MLflow is not installed.
    """

    def __init__(self, uri: str, *, experiment: str = "foldin") -> None:
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise MissingExtraError("mlflow-skinny", "mlflow", "MLflow") from error
        self._make: Any = MlflowClient
        self._uri, self._experiment, self._run = uri, experiment, ""

    def begin(self, name: str, settings: Mapping[str, Any]) -> None:
        try:
            self._client: Any = self._make(tracking_uri=self._uri)
            found = self._client.get_experiment_by_name(self._experiment)
        except (
            Exception
        ) as error:  # a folder of files, of which MLflow 3 raises many lines, or a server that is not there
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"MLflow: {self._uri!r} cannot be used: {said[:200]}; give a server or a database, such as sqlite:///ml.db"
            ) from error
        number = self._client.create_experiment(self._experiment) if found is None else found.experiment_id
        self._run = self._client.create_run(number, run_name=name).info.run_id
        for setting, value in settings.items():
            self._client.log_param(self._run, setting, value)

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, _plain(name), value, step=number)

    def end(self, metrics: Mapping[str, float], how: str) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self._run, _plain(f"test/{name}"), value)
        self._client.set_terminated(
            self._run, status={"failed": "FAILED", "interrupted": "KILLED"}.get(how, "FINISHED")
        )


def _plain(name: str) -> str:
    return name.replace("@", " at ")  # MLflow does not accept @ in the name of a metric


def tracker_of(text: str) -> Tracker:
    """A tracker from text: `tensorboard:FOLDER` or `mlflow:URI`.

    Raises:
        ConfigError: any other text.
    """
    kind, _, where = text.partition(":")
    if kind not in TRACKERS or not where:
        raise ConfigError(f"tracker {text!r}: tensorboard:FOLDER or mlflow:URI was expected")
    return TensorBoard(where) if kind == "tensorboard" else MLflow(where)


class Tracking(Progress):
    """Passes the events of a training on to trackers and to another progress.

    A tracker that fails once training has begun is left out from then on, with a warning, so that training continues.

    Args:
        shown: the other progress.
        trackers: trackers of the training.
        metric: name of the validation metric.
    """

    def __init__(self, shown: Progress, trackers: Sequence[Tracker], metric: str) -> None:
        self._shown, self._trackers, self._metric = shown, list(trackers), metric
        self._begun: list[Tracker] = []
        self._other = False  # whether another model is trained first

    def start(self, name: str, settings: Mapping[str, Any]) -> None:
        """Tell the trackers that a training starts; their errors are raised."""
        for one in self._trackers:
            one.begin(name, settings)
            self._begun.append(one)

    def finish(self, metrics: Mapping[str, float], how: str) -> None:
        """Tell the trackers that the training has ended."""
        self._each(lambda one: one.end(metrics, how))

    def _each(self, tell: Callable[[Tracker], None]) -> None:
        for one in list(self._begun):
            try:
                tell(one)
            except Exception as error:  # whatever a server or a disk does
                self._begun.remove(one)
                warn(f"{type(one).__name__} is left out: {type(error).__name__}: {error}")

    def pretraining(self, name: str) -> None:
        self._other = bool(name)
        self._shown.pretraining(name)

    def begin(self, trainer: Trainer[Any], epochs: int, done: int) -> None:
        self._shown.begin(trainer, epochs, done)

    def step(self, phase: str, done: int, total: int, terms: Mapping[str, Tensor]) -> None:
        self._shown.step(phase, done, total, terms)

    def epoch(self, record: EpochRecord) -> None:
        self._shown.epoch(record)
        if self._other:
            return
        values = dict(record.terms)
        if record.metric is not None:
            values[f"validation/{self._metric}"] = record.metric
        self._each(lambda one: one.epoch(record.epoch, values))
