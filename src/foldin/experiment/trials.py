"""The trials of a search: the result of one, and those that an Optuna study holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["TuningTrial", "ended_trials", "is_first", "results", "trials_of_state"]


@dataclass(frozen=True, kw_only=True)
class TuningTrial:
    """A trial of a search: a training with some settings.

    Args:
        number: number of the trial, from 1.
        settings: setting → value in the syntax of `--set`; empty for the settings that the search began with.
        state: "complete", "pruned" (given up, see `pruning.py`), "failed" or "running".
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


def trials_of_state(study: Any, *states: str) -> list[Any]:
    """The trials of an Optuna study that have one of these states, in their order."""
    from optuna.trial import TrialState

    found: list[Any] = study.get_trials(deepcopy=False, states=[TrialState[state] for state in states])
    return found


def ended_trials(study: Any) -> list[Any]:
    """The trials of an Optuna study that have ended, in their order; those that were interrupted are among them."""
    return trials_of_state(study, "COMPLETE", "PRUNED", "FAIL")


def results(study: Any) -> list[TuningTrial]:
    """The results of the trials of an Optuna study that have ended, in their order."""
    return [TuningTrial(**one.user_attrs["result"]) for one in ended_trials(study) if "result" in one.user_attrs]


def is_first(trial: Any) -> bool:
    """Whether a trial has the settings that the search begins with."""
    return "first" in trial.user_attrs
