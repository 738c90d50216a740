"""The trials of a search over settings: an Optuna study, in memory or in a folder.

In a folder any number of processes work on one study, and any of them may be killed: what it was measuring is measured by the
next process that opens the study. Its files:

    study.json     what is searched, and on which data; a process that searches anything else is refused
    journal.log    the trials, in Optuna's format
    workers/       a locked file for each process that works on the study
"""

import json
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from foldin.errors import ConfigError, MissingExtraError, RunError
from foldin.files import write_json
from foldin.training import Range, Space, setting_text

__all__ = ["ABOUT", "Study", "TuningTrial"]

ABOUT = "study.json"
_JOURNAL = "journal.log"
_STARTUP = 5  # trials before any is pruned
_WARM_UP = 5  # epochs before a trial is pruned
_FOR_IMPORTANCE = 10  # trials
_REPEATS = 20  # draws of what was measured before, after which nothing new is expected


@dataclass(frozen=True, kw_only=True)
class TuningTrial:
    """A trial of a search: a training with some settings.

    Args:
        number: of the trial, from 1.
        settings: setting → value in the syntax of `--set`; empty for the settings that the search began with.
        state: "complete", "pruned" (stopped early, because other trials were ahead after as many epochs), "failed" or "running".
        value: the validation metric of its best epoch; None where none was measured.
        epochs: number of epochs that were run.
        seconds: duration of its training.
        reason: why it failed.
    """

    number: int
    settings: Mapping[str, str] = field(default_factory=dict)
    state: str = "running"
    value: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""


class Study:
    """Trials of one search.

    Args:
        folder: where the study is kept; None for one in memory.
        about: what is searched, as JSON keeps it.
        seed: of the sampler.

    Raises:
        ConfigError: the folder holds the study of another search.
        MissingExtraError: Optuna is not installed.
        RunError: the folder holds other files.
    """

    def __init__(self, folder: Path | None, about: Mapping[str, Any], *, seed: int) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("optuna", "tune", "tuning") from error
        self._optuna: Any = optuna
        self._folder, self._worker = folder, uuid.uuid4().hex
        self._alone: Any = nullcontext()
        self._last: Any = None
        self._held: Any = None
        if folder is None:
            self._study = self._opened(None, seed)
            return
        from filelock import FileLock

        self._folder = folder = folder.resolve()
        if folder.is_dir() and any(folder.iterdir()) and not (folder / ABOUT).exists():
            raise RunError(f"{folder}: holds files that are not of a study; give another folder")
        (folder / "workers").mkdir(parents=True, exist_ok=True)
        self._alone = FileLock(folder / ".lock")
        self._last = FileLock(folder / ".last")
        try:
            with self._alone:
                self._open(folder, about, seed)
        except BaseException:
            self.close()
            raise

    def _open(self, folder: Path, about: Mapping[str, Any], seed: int) -> None:
        from filelock import FileLock
        from optuna.storages import JournalStorage, journal

        new = _is_new(folder / ABOUT, about)
        self._held = FileLock(self._lock_of(self._worker))
        self._held.acquire()
        lock = _JournalLock(FileLock(folder / f"{_JOURNAL}.lock"))
        _cut(folder / _JOURNAL, lock)
        backend: Any = journal.JournalFileBackend(str(folder / _JOURNAL), lock_obj=lock)  # type: ignore[arg-type]
        # A process that goes on, or joins, must not draw again what was drawn.
        drawn = np.random.SeedSequence([seed, int(self._worker, 16)]).generate_state(1)[0]
        self._study = self._opened(JournalStorage(backend), seed if new else int(drawn))
        self._take_over()

    def _take_over(self) -> None:
        """Put what dead processes were measuring in front of the queue."""
        for trial in self._of_state("RUNNING"):
            if not self._alive(trial.user_attrs.get("worker")):
                if "result" in trial.user_attrs:  # killed between the result and its state
                    self._told(trial.number, TuningTrial(**trial.user_attrs["result"]))
                else:
                    self._again(trial)

    def _opened(self, storage: Any, seed: int) -> Any:
        optuna = self._optuna
        with self._quiet():
            sampler = optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True)
            pruner = optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=_WARM_UP)
            return optuna.create_study(
                study_name="tune",
                storage=storage,
                sampler=sampler,
                pruner=pruner,
                direction="maximize",
                load_if_exists=True,
            )

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Without what Optuna says of its own features and of every trial."""
        logging = self._optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.set_verbosity(before)

    def _lock_of(self, worker: str) -> Path:
        assert self._folder is not None
        return self._folder / "workers" / f"{worker}.lock"

    def _alive(self, worker: str | None) -> bool:
        """Whether a process still works on the study: it holds its lock until it ends, however it does."""
        if worker == self._worker:
            return True
        if worker is None or not self._lock_of(worker).exists():
            return False
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._lock_of(worker), timeout=0):
                self._lock_of(worker).unlink(missing_ok=True)
                return False
        except Timeout:
            return True

    def _of_state(self, *states: str) -> list[Any]:
        found: list[Any] = self._study.get_trials(
            deepcopy=False, states=[self._optuna.trial.TrialState[state] for state in states]
        )
        return found

    def _again(self, trial: Any) -> None:
        """End a trial that was not measured, and put its settings in front of the queue."""
        with self._quiet():
            self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)
            first = trial.user_attrs.get("first")
            self._study.enqueue_trial(
                trial.params if first is None else first, user_attrs={} if first is None else {"first": first}
            )

    def ask(self, space: Space, defaults: Mapping[str, Any], trials: int | None) -> tuple[Any, dict[str, str]] | None:
        """A trial and its settings; None where `trials` are finished or running, or where nothing new is drawn any more.

        The first trial has the settings that the search begins with. Settings that were measured before are not measured again:
        the sampler is told their value.

        Args:
            defaults: their values, by the names in `space`.
        """
        start = {name: setting_text(value) for name, value in defaults.items()}
        with self._alone, self._quiet():
            self._take_over()
            for _ in range(_REPEATS):
                if trials is not None and len(self.trials()) + len(self._of_state("RUNNING")) >= trials:
                    return None
                if not self._study.get_trials(deepcopy=False):
                    known = {name: _known(one, defaults[name]) for name, one in space.items()}
                    params = {name: value for name, value in known.items() if value is not None}
                    self._study.enqueue_trial(params, user_attrs={"first": params})
                trial = self._study.ask()
                trial.set_user_attr("worker", self._worker)
                trial.set_user_attr("began", time.time())
                first = trial.user_attrs.get("first")
                names = space if first is None else first
                settings = {name: _drawn(trial, name, space[name]) for name in names}
                if first is not None:
                    return trial, {}
                before = next((one for one in self.trials() if {**start, **one.settings} == settings), None)
                if before is None:
                    return trial, settings
                self._told(trial, before)
            return None

    def is_first(self, trial: Any) -> bool:
        """Whether a trial has the settings that the search begins with."""
        return "first" in trial.user_attrs

    def should_prune(self, trial: Any, epoch: int, metric: float) -> bool:
        """Report the metric of an epoch; whether other trials are so far ahead that this one should end.

        The first trial never is: the result must not be worse than it.
        """
        with self._quiet():
            trial.report(metric, epoch)
            return bool(trial.should_prune()) and not self.is_first(trial)

    def spent(self) -> float:
        """Seconds of training in all processes, what others are measuring now included; of this process, what has ended."""
        ended = sum(one.user_attrs.get("spent", 0.0) for one in self._study.get_trials(deepcopy=False))
        others = [one for one in self._of_state("RUNNING") if one.user_attrs.get("worker") != self._worker]
        alive = [one for one in others if self._alive(one.user_attrs.get("worker"))]
        return float(ended + sum(time.time() - one.user_attrs.get("began", time.time()) for one in alive))

    def end(self, trial: Any, found: TuningTrial) -> None:
        """Keep the result of a trial."""
        with self._quiet():
            trial.set_user_attr("spent", found.seconds)
            trial.set_user_attr("result", {**asdict(found), "settings": dict(found.settings)})
            self._told(trial, found)

    def _told(self, trial: Any, found: TuningTrial) -> None:
        states = self._optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[found.state]
        self._study.tell(trial, found.value if found.state == "complete" else None, state=state)

    def give_back(self, trial: Any, seconds: float = 0.0) -> None:
        """A trial that was interrupted after some seconds: its settings are the next that are asked for."""
        with self._alone:
            trial.set_user_attr("spent", seconds)
            self._again(self._study.get_trials(deepcopy=False)[trial.number])

    def failed(self) -> list[TuningTrial]:
        """The trials that could not be measured."""
        return [one for one in self.trials() if one.state == "failed"]

    def trials(self) -> list[TuningTrial]:
        """The trials that have ended, in their order."""
        ended = self._of_state("COMPLETE", "PRUNED", "FAIL")
        return [TuningTrial(**one.user_attrs["result"]) for one in ended if "result" in one.user_attrs]

    def others(self) -> bool:
        """Whether another process is measuring a trial."""
        with self._alone:
            return any(
                one.user_attrs.get("worker") != self._worker and self._alive(one.user_attrs.get("worker"))
                for one in self._of_state("RUNNING")
            )

    @contextmanager
    def last(self) -> Iterator[bool]:
        """Whether this process is the last that works on the study, and no other may think so meanwhile."""
        if self._last is None:
            yield True
            return
        from filelock import Timeout

        try:
            self._last.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield not self.others()
        finally:
            self._last.release()

    def importances(self, space: Space) -> dict[str, float] | None:
        """The share of each setting in what makes the best tenth of the trials different (PED-ANOVA); None for too few trials.

        Source: watanabe2023.
        """
        # A trial at the start may lack what lies outside of the ranges.
        whole = [one for one in self._of_state("COMPLETE") if one.params.keys() == space.keys()]
        if len(whole) < _FOR_IMPORTANCE:
            return None
        with self._quiet():
            study = self._optuna.create_study(direction="maximize")
            study.add_trials(whole)
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
            found = self._optuna.importance.get_param_importances(study, evaluator=evaluator)
        return {name: float(value) for name, value in found.items()}

    def close(self) -> None:
        """End the work of this process on the study."""
        if self._held is not None:
            self._held.release()
            self._lock_of(self._worker).unlink(missing_ok=True)
            self._held = None


class _JournalLock:
    """Optuna's lock of the journal, by one that ends with its process."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def acquire(self) -> bool:
        """Wait for it."""
        self._lock.acquire()
        return True

    def release(self) -> None:
        """Let others have it."""
        self._lock.release()


def _drawn(trial: Any, name: str, one: Range | tuple[Any, ...]) -> str:
    """A value for a trial in the syntax of `--set`."""
    if isinstance(one, tuple):
        return str(trial.suggest_categorical(name, [setting_text(value) for value in one]))
    suggest = trial.suggest_int if one.whole else trial.suggest_float
    return one.text(suggest(name, one.low, one.high, log=one.log))


def _known(one: Range | tuple[Any, ...], value: Any) -> Any:
    """A value as the sampler knows it; None where it lies outside of what is searched."""
    if isinstance(one, tuple):
        text = setting_text(value)
        return text if text in map(setting_text, one) else None
    return value if isinstance(value, int | float) and one.low <= value <= one.high else None


def _is_new(path: Path, about: Mapping[str, Any]) -> bool:
    """Whether a study is new; then what it searches is kept, else compared."""
    if not path.exists():
        write_json(path, dict(about))
        return True
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(f"{path}: damaged: {error}") from error
    now = json.loads(json.dumps(dict(about)))
    other = [name for name in {**kept, **now} if kept.get(name) != now.get(name)]
    if other:
        name = other[0]
        raise ConfigError(
            f"{path.parent}: holds the study of another search, whose {name} is {json.dumps(kept.get(name))}, "
            f"not {json.dumps(now.get(name))}; give another folder"
        )
    return False


def _cut(path: Path, lock: Any) -> None:
    """Take away what a killed process wrote of a line."""
    if not path.exists():
        return
    lock.acquire()
    try:
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()
