"""A search over the settings of a model, by its metric on the validation users."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from foldin.data import Split
from foldin.errors import CapacityError, ConfigError, FitError
from foldin.evaluation import DEFAULT_METRICS, Evaluation, ValidationMetric, evaluate, parse_metric
from foldin.experiment.showing_search import ShowingSearch
from foldin.experiment.study import Study
from foldin.experiment.trained import Trained
from foldin.experiment.training import build_model, check_targets, train
from foldin.experiment.trials import TuningTrial
from foldin.experiment.tuned import Tuned
from foldin.memory import allocating
from foldin.models import config_of, model_name
from foldin.training import Config, EpochRecord, Progress, Space, Stopped, fit, search_space, value_of

__all__ = ["TRIALS", "tune"]

_log = logging.getLogger("foldin")
TRIALS = 50  # if neither a number of trials nor a budget is given
_FAILED = 5  # failed trials after which a search without any measured trial ends


def tune(
    split: Split,
    config: Config | str,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    metric: str = "ndcg@100",
    space: Space | None = None,
    fixed: Sequence[str] = (),
    seed: int = 0,
    epochs: int | None = None,
    patience: int | None = 20,
    device: torch.device | str = "cpu",
    metrics: Sequence[str] = DEFAULT_METRICS,
    calibrate: bool = False,
    folder: str | Path | None = None,
    progress: Progress | None = None,
    ended: Callable[[TuningTrial], None] | None = None,
    continued: Callable[[str], None] | None = None,
) -> Tuned:
    """Search for the settings with the best metric on the validation users, then train with them and evaluate on the test users.

    The first trial has the settings of `config`, so that the result is never worse than these on validation. The next ones change
    one of them at a time, and then one makes all changes that helped. Of the others, every second one is near the best so far,
    and the rest are drawn by the tree-structured Parzen estimator (bergstra2011). A trial ends early if it is behind what each of
    the five best was after half as many epochs. With a folder, the search continues where it was stopped or killed, and processes
    with the same folder work on it together; the last of them trains with the best settings. The test users are evaluated once.

    Args:
        config: a configuration, or the name of a model: settings that are not searched keep its values.
        trials: number of trials in all.
        minutes: budget of training time, in all processes together. A trial that is running at its end counts with its best
            epoch, and one that was killed with the time until its last epoch. Without it and without `trials`, 50 trials.
        metric: metric that is maximized.
        space: setting → range or tuple of alternatives, in place of those that the configuration declares.
        fixed: settings that keep their values although the configuration declares a range. Settings of `config` that differ
            from their defaults keep their values too, unless they are in `space`.
        seed: seed of the sampler and of every training.
        epochs: maximum number of epochs of a trial; None for the model's setting.
        patience: number of epochs without an improvement after which a trial ends; no trial is pruned before as many epochs.
        metrics: metrics of the evaluation on the test users.
        calibrate: whether to fit a temperature of the final model's logits on the validation users, as in `train`.
        folder: folder of the study, which then also has the report and the run directory `best`; None to keep it in memory.
        progress: receives a call at each step and epoch of each training; None for a bar over the trials in terminals and
            notebooks, and for a line of the logger `foldin` for each trial everywhere. The last training is then shown as by
            `train`.
        ended: receives each trial when it has ended.
        continued: receives a line about what there is already, if the folder holds a search that goes on; None for the logger
            `foldin`.

    Raises:
        ConfigError: no such setting or metric, a budget below 0, or a folder that holds another search.
        FitError: no trial could be measured; the message has the first reason.
        MissingExtraError: Optuna is not installed.
        SplitError: the validation or the test group has no target.
    """
    check_targets(split)
    parse_metric(metric)
    if (trials is not None and trials < 1) or (minutes is not None and not minutes > 0):
        raise ConfigError(
            f"a search of {trials} trials and {minutes} minutes: at least 1 trial and more than 0 minutes"
        )
    if trials is None and minutes is None:
        trials = TRIALS
    config = config_of(config)
    name = model_name(type(config)) or config.model_class.__name__
    searched = _searched(config, space, fixed)
    if not searched:
        trials = 1
    about = {
        **{"model": name, "config": config.as_dict(), "metric": metric, "seed": seed},
        "space": {setting: str(one) for setting, one in searched.items()},
        **{"epochs": epochs, "patience": patience, "data": split.fingerprint()},
    }
    early = {} if patience is None else {"warm_up": patience}
    study = Study(None if folder is None else Path(folder), about, seed=seed, **early)
    if study.continued:
        (continued or _log.info)(study.continued)
    search = _Search(
        split=split,
        config=config,
        metric=metric,
        seed=seed,
        epochs=epochs,
        patience=patience,
        device=device,
        progress=progress,
    )
    try:
        search.measure(study, searched, trials, minutes, ended)
        measured = [one for one in study.trials() if one.state == "complete"]
        if not measured:
            failed = study.failed()
            raise FitError(
                f"tune {name}: no trial could be measured; the first failed because: {failed[0].reason}"
                if failed
                else f"tune {name}: another process measures the first trial; run this again when it has ended"
            )
        best = max(measured, key=lambda one: (one.value or 0.0, -one.number))
        chosen = config.with_texts(best.settings)
        with study.last() as last:
            trained, validation = search.finish(chosen, metrics, calibrate) if last else (None, None)
            tuned = Tuned(
                name=name,
                metric=metric,
                start=config,
                config=chosen,
                space=searched,
                trials=tuple(study.trials()),
                importances=study.importances(searched),
                best=best,
                trained=trained,
                validation=validation,
            )
            if last and folder is not None:
                tuned.save(folder)
        return tuned
    finally:
        study.close()


@dataclass(frozen=True, kw_only=True)
class _Search:
    """The arguments that all trials have in common."""

    split: Split
    config: Config
    metric: str
    seed: int
    epochs: int | None
    patience: int | None
    device: torch.device | str
    progress: Progress | None

    def measure(
        self,
        study: Study,
        space: Space,
        trials: int | None,
        minutes: float | None,
        ended: Callable[[TuningTrial], None] | None,
    ) -> None:
        """Run trials until their number is reached, the minutes are spent, nothing new is drawn, or only failures are met."""
        name = model_name(type(self.config)) or self.config.model_class.__name__
        shown = ShowingSearch(name, self.metric, trials=trials, minutes=minutes) if self.progress is None else None
        budget = None if minutes is None else 60 * minutes
        try:
            if shown is not None:
                shown.open(study)
            while budget is None or study.spent() < budget:
                asked = study.ask(space, _values(self.config, space), trials)
                if asked is None:
                    break
                found = self.run(study, *asked, budget, shown or self.progress)
                if shown is not None:
                    shown.ended(found, study)
                if ended is not None:
                    ended(found)
                if len(study.failed()) >= _FAILED and all(one.state == "failed" for one in study.trials()):
                    break
        finally:
            if shown is not None:
                shown.close()

    def run(
        self, study: Study, trial: Any, settings: Mapping[str, str], budget: float | None, progress: Progress | None
    ) -> TuningTrial:
        """Train with some settings; the budget is in seconds, in all processes."""
        began = time.perf_counter()
        pruned = False

        def until(record: EpochRecord) -> bool:
            nonlocal pruned
            pruned = record.metric is not None and study.should_prune(trial, record.epoch, record.metric)
            return pruned or (budget is not None and time.perf_counter() - began + study.spent() > budget)

        found: dict[str, Any]
        try:
            value, epochs = self._value(settings, until, progress)
            found = {"state": "pruned" if pruned else "complete", "value": value, "epochs": epochs}
        except (CapacityError, ConfigError, FitError) as error:
            found = {"state": "failed", "reason": str(error)}
        except Exception as error:  # a bug: stored as a failed trial, so that a continued search does not repeat it
            reason = f"{type(error).__name__}: {error}"
            study.end(trial, self._ended(trial, settings, began, {"state": "failed", "reason": reason}))
            raise
        except BaseException:
            study.give_back(trial, time.perf_counter() - began)
            raise
        ended = self._ended(trial, settings, began, found)
        study.end(trial, ended)
        return ended

    def _ended(self, trial: Any, settings: Mapping[str, str], began: float, found: Mapping[str, Any]) -> TuningTrial:
        seconds = time.perf_counter() - began
        return TuningTrial(number=trial.number + 1, settings=settings, seconds=seconds, **found)

    def _value(
        self, settings: Mapping[str, str], until: Callable[[EpochRecord], bool], progress: Progress | None
    ) -> tuple[float, int]:
        """(validation metric of the best epoch, number of epochs)."""
        config = self.config.with_texts(settings)
        validation = ValidationMetric(self.split.validation, self.metric)
        with allocating(config.model_class.__name__, config.model_class.smaller):
            model = build_model(self.split.catalog, config, seed=self.seed, device=self.device)
            result = fit(
                model,
                self.split.train,
                validation=validation,
                seed=self.seed,
                epochs=self.epochs,
                patience=self.patience,
                progress=progress,
                until=until,
            )
            if result.stopped is Stopped.INTERRUPTED:
                raise KeyboardInterrupt
            value = validation(model) if result.best_metric is None else result.best_metric
        return value, len(result.records)

    def finish(self, config: Config, metrics: Sequence[str], calibrate: bool) -> tuple[Trained, Evaluation]:
        """(the model with the best settings, evaluated on the test users; its metric on the validation users)."""
        trained = train(
            self.split,
            config,
            seed=self.seed,
            device=self.device,
            metric=self.metric,
            metrics=metrics,
            epochs=self.epochs,
            patience=self.patience,
            progress=self.progress,
            calibrate=calibrate,
        )
        return trained, evaluate(trained.model, self.split.validation, metrics=(self.metric,), likelihood=False)


def _searched(config: Config, space: Space | None, fixed: Sequence[str]) -> dict[str, Any]:
    """The searched settings: the ranges that the configuration declares, except for fixed settings, and those of the caller.

    If an option itself is searched, its settings are not, since they belong to one of the alternatives.
    """
    declared, given = search_space(config), dict(space or {})
    values = _values(config, {**declared, **given, **dict.fromkeys(fixed)})
    kept = {name: one for name, one in declared.items() if name not in fixed and _default(config, name) == values[name]}
    return {
        name: one
        for name, one in {**kept, **given}.items()
        if not any(name.startswith(f"{option}.") for option in given)
    }


def _values(config: Config, names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value_of(config, name) for name in names}


def _default(config: Config, name: str) -> Any:
    """The default of a setting: that of the configuration's class, or of the option or model that was chosen in its place."""
    found: Any = config
    default: Any = type(config)()
    for part in name.split("."):
        if isinstance(found, tuple):
            at = int(part)
            found, default = found[at], default[at] if at < len(default) else None
        else:
            found, default = getattr(found, part), getattr(default, part)
        if isinstance(found, Config) and type(found) is not type(default):
            default = type(found)()
    return default
