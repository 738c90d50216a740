"""The trials of a search over settings: an Optuna study, in memory or in a folder.

Any number of processes may work on a study in a folder, and any of them may be killed: another one then repeats its trial.
"""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from foldin.errors import MissingExtraError
from foldin.experiment.proposing import proposed_settings, queue_next
from foldin.experiment.pruning import is_hopeless
from foldin.experiment.trials import TuningTrial, ended_trials, is_first, results, trials_of_state
from foldin.training import Space, setting_text

__all__ = ["Study"]

_NEAR = 3  # draws near the best trial, if what they give was measured before
_WARM_UP = 5  # number of epochs before a trial is pruned
_FOR_IMPORTANCE = 10  # number of trials
_REPEATS = 20  # draws of known settings in a row after which no new ones are expected


class Study:
    """Trials of one search.

    Args:
        folder: where the study is kept; None for one in memory.
        about: description of the search, as a JSON object.
        seed: seed of the sampler.
        warm_up: number of epochs before a trial may be pruned. Curves of small learning rates rise late: pruned too early, the
            best settings of a model that learns slowly are never seen.

    `continued` says in one line what there was in the folder of a search that goes on; it is empty for a new one.

    Raises:
        ConfigError: the folder holds the study of another search.
        MissingExtraError: Optuna is not installed.
        RunError: the folder holds other files.
    """

    def __init__(self, folder: Path | None, about: Mapping[str, Any], *, seed: int, warm_up: int = _WARM_UP) -> None:
        try:
            import optuna
        except ImportError as error:
            raise MissingExtraError("optuna", "tune", "tuning") from error
        self._optuna: Any = optuna
        self._folder: Any = None
        self._warm_up, self.continued = warm_up, ""
        if folder is None:
            self._study = self._opened(None, seed)
            return
        from foldin.experiment.study_folder import StudyFolder

        self._folder = StudyFolder(folder, about)
        try:
            with self._folder.alone:
                # A process that continues or joins a study must not repeat earlier draws.
                drawn = np.random.SeedSequence([seed, int(self._folder.worker, 16)]).generate_state(1)[0]
                self._study = self._opened(self._folder.storage(), seed if self._folder.new else int(drawn))
                lost = self._take_over()
                if not self._folder.new:
                    self.continued = _continued(folder, len(self.trials()), lost)
        except BaseException:
            self.close()
            raise

    def _take_over(self) -> int:
        """Put the trials of processes that have died in the queue; returns the number of those that are measured again."""
        lost = 0
        for trial in trials_of_state(self._study, "RUNNING"):
            if not self._alive(trial):
                if "result" in trial.user_attrs:  # killed between the result and its state
                    self._told(trial.number, TuningTrial(**trial.user_attrs["result"]))
                else:
                    self._again(trial)
                    lost += 1
        return lost

    def _opened(self, storage: Any, seed: int) -> Any:
        optuna = self._optuna
        with self._quiet():
            # Settings of training depend on each other: a rate of learning on a size of batches.
            sampler = optuna.samplers.TPESampler(seed=seed % 2**32, constant_liar=True, multivariate=True)
            pruner = optuna.pruners.NopPruner()  # `should_prune` decides
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
        """A context without Optuna's messages about its features and about every trial."""
        logging = self._optuna.logging
        before = logging.get_verbosity()
        logging.set_verbosity(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.set_verbosity(before)

    @property
    def _worker(self) -> str:
        return "" if self._folder is None else self._folder.worker

    @property
    def _alone(self) -> Any:
        return nullcontext() if self._folder is None else self._folder.alone

    def _alive(self, trial: Any) -> bool:
        """Whether the process that measures a trial is still running."""
        return self._folder is None or self._folder.alive(trial.user_attrs.get("worker"))

    def _again(self, trial: Any) -> None:
        """End a trial that was not measured, and put its settings in the queue."""
        with self._quiet():
            self._study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)
            kept = {name: value for name, value in trial.user_attrs.items() if name in ("first", "changed", "names")}
            self._study.enqueue_trial(kept.get("first", trial.params), user_attrs=kept)

    def ask(self, space: Space, defaults: Mapping[str, Any], trials: int | None) -> tuple[Any, dict[str, str]] | None:
        """A trial and its settings; None if `trials` trials are finished or running, or if no new settings are drawn any more.

        Its settings are drawn, or those that `proposing.py` puts in the queue. Settings that were measured before are not
        measured again: the sampler gets their value.

        Args:
            defaults: the settings that the search begins with, by the names in `space`.
        """
        start = {name: setting_text(value) for name, value in defaults.items()}
        with self._alone, self._quiet():
            self._take_over()
            for repeat in range(_REPEATS):
                if trials is not None and len(self.trials()) + len(trials_of_state(self._study, "RUNNING")) >= trials:
                    return None
                queue_next(self._study, space, defaults, near=repeat < _NEAR)
                trial = self._study.ask()
                trial.set_user_attr("worker", self._worker)
                trial.set_user_attr("began", time.time())
                settings = proposed_settings(trial, space)
                if is_first(trial):
                    return trial, {}
                whole = {**start, **settings}
                before = next((one for one in self.trials() if {**start, **one.settings} == whole), None)
                if before is None:
                    return trial, settings
                self._told(trial, before)
            return None

    def is_first(self, trial: Any) -> bool:
        """Whether a trial has the settings that the search begins with."""
        return is_first(trial)

    def should_prune(self, trial: Any, epoch: int, metric: float) -> bool:
        """Report the metric of an epoch, and return whether other trials are so far ahead that this one should end.

        The first trial is never pruned, so that the result is not worse than the settings that the search begins with.
        """
        with self._quiet():
            trial.report(metric, epoch)
            if self._folder is not None:  # what is spent if the process is killed
                trial.set_user_attr("lasted", time.time() - trial.user_attrs["began"])
        if epoch < self._warm_up or self.is_first(trial):
            return False
        curves = [(one.value, one.intermediate_values) for one in trials_of_state(self._study, "COMPLETE")]
        return is_hopeless(self._curve(trial), curves, epoch)

    def _curve(self, trial: Any) -> Mapping[int, float]:
        found: Mapping[int, float] = self._study.get_trials(deepcopy=False)[trial.number].intermediate_values
        return found

    def spent(self) -> float:
        """Seconds of training in all processes, with running trials of other processes but only ended ones of this process.

        A trial whose process was killed counts until the end of its last epoch.
        """
        past = ended_trials(self._study)
        ended = sum(one.user_attrs.get("spent", one.user_attrs.get("lasted", 0.0)) for one in past)
        others = [
            one for one in trials_of_state(self._study, "RUNNING") if one.user_attrs.get("worker") != self._worker
        ]
        alive = [one for one in others if self._alive(one)]
        return float(ended + sum(time.time() - one.user_attrs.get("began", time.time()) for one in alive))

    def end(self, trial: Any, found: TuningTrial) -> None:
        """Store the result of a trial."""
        with self._quiet():
            trial.set_user_attr("spent", found.seconds)
            trial.set_user_attr("result", {**asdict(found), "settings": dict(found.settings)})
            self._told(trial, found)

    def _told(self, trial: Any, found: TuningTrial) -> None:
        states = self._optuna.trial.TrialState
        state = {"complete": states.COMPLETE, "pruned": states.PRUNED, "failed": states.FAIL}[found.state]
        self._study.tell(trial, found.value if found.state == "complete" else None, state=state)

    def give_back(self, trial: Any, seconds: float = 0.0) -> None:
        """End a trial that was interrupted after some seconds; the next trial gets its settings."""
        with self._alone:
            trial.set_user_attr("spent", seconds)
            self._again(self._study.get_trials(deepcopy=False)[trial.number])

    def failed(self) -> list[TuningTrial]:
        """The trials that could not be measured."""
        return [one for one in self.trials() if one.state == "failed"]

    def trials(self) -> list[TuningTrial]:
        """The trials that have ended, in their order."""
        return results(self._study)

    def others(self) -> bool:
        """Whether another process is measuring a trial."""
        with self._alone:
            return any(
                one.user_attrs.get("worker") != self._worker and self._alive(one)
                for one in trials_of_state(self._study, "RUNNING")
            )

    @contextmanager
    def last(self) -> Iterator[bool]:
        """A context that gives whether this process is the last one on the study; no other process gets True meanwhile."""
        if self._folder is None:
            yield True
            return
        with self._folder.last() as last:
            yield last and not self.others()

    def importances(self, space: Space) -> dict[str, float] | None:
        """The share of each setting in what distinguishes the best tenth of the trials (PED-ANOVA); None for too few trials.

        Source: watanabe2023.
        """
        # The first trial may lack settings whose values lie outside of the ranges.
        whole = [one for one in trials_of_state(self._study, "COMPLETE") if one.params.keys() == space.keys()]
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
        if self._folder is not None:
            self._folder.close()


def _continued(folder: Path, ended: int, lost: int) -> str:
    """A line about a search that goes on."""
    again = f"; {lost} whose process was killed {'is' if lost == 1 else 'are'} measured again" if lost else ""
    return f"continues the search in {folder}, where {ended} trial{' has' if ended == 1 else 's have'} ended{again}"
