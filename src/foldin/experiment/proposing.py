"""The settings that a search tries next.

The first trial has the settings that the search begins with; the next ones change one setting at a time, and then all at once
that helped (`opening.py`). Of all others, every second one is near the best trial so far (`neighbors.py`), and the rest are drawn
by the sampler of the Optuna study.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foldin.experiment.neighbors import neighbor
from foldin.experiment.opening import STAGES, Tried, settings_of_stage
from foldin.experiment.trials import ended_trials, is_first, results, trials_of_state
from foldin.training import Range, Space, setting_text

__all__ = ["proposed_settings", "queue_next"]

_DRAWN = 10  # trials before the first that is near the best one


def queue_next(study: Any, space: Space, defaults: Mapping[str, Any], *, near: bool) -> None:
    """Put in the queue of an Optuna study what it is to try next, unless the sampler is to draw.

    Args:
        study: the Optuna study.
        space: ranges and alternatives by name.
        defaults: the settings that the search begins with, by the names in `space`.
        near: whether settings near the best trial may be proposed.
    """
    if not study.get_trials(deepcopy=False):
        params = _known_of(space, defaults)
        study.enqueue_trial(params, user_attrs={"first": params})
    _open(study, space, defaults)
    if near and _turn_of_neighbors(study):
        _queue(study, _neighbor(study, space))


def proposed_settings(trial: Any, space: Space) -> dict[str, str]:
    """The settings of a trial that was asked for, from the queue or drawn, in the syntax of `--set`."""
    names = trial.user_attrs.get("first", trial.user_attrs.get("names", space))
    return {name: _drawn(trial, name, one) for name, one in space.items() if name in names}


def _queue(study: Any, settings: Mapping[str, Any], **about: Any) -> None:
    """Put settings in the queue; of others nothing is drawn: they are those that the search begins with."""
    study.enqueue_trial(dict(settings), user_attrs={"names": list(settings), **about})


def _open(study: Any, space: Space, defaults: Mapping[str, Any]) -> None:
    """Put the next stage of the search's beginning in the queue, once the one before has ended (`opening.py`)."""
    stage = study.user_attrs.get("stage", 0)
    ended = ended_trials(study)
    first = next((one for one in ended if is_first(one) and "result" in one.user_attrs), None)
    # A first trial that was interrupted has no result, and is measured again.
    if first is None or any("changed" in one.user_attrs for one in trials_of_state(study, "WAITING", "RUNNING")):
        return
    start, changed = _known_of(space, defaults), [one for one in ended if "changed" in one.user_attrs]
    queued: list[Any] = []
    while stage < STAGES and not queued:
        queued = settings_of_stage(stage, space, start, _tried(first), [_tried(one) for one in changed])
        for settings, change in queued:
            _queue(study, settings, **({} if change is None else {"changed": change}))
        stage += 1
        study.set_user_attr("stage", stage)


def _turn_of_neighbors(study: Any) -> bool:
    """Whether the next trial is near the best one: every second trial once some have been drawn, if none is in the queue."""
    ended = len(results(study))
    free = ended >= _DRAWN and ended % 2 == 1 and not trials_of_state(study, "WAITING")
    return free and bool(trials_of_state(study, "COMPLETE"))


def _neighbor(study: Any, space: Space) -> dict[str, Any]:
    best = study.best_trial
    rng = np.random.default_rng([len(study.get_trials(deepcopy=False)), best.number])
    return neighbor(space, best.params, rng)


def _tried(trial: Any) -> Tried:
    """A trial that has ended, without a value unless it is complete."""
    value = trial.value if trial.state.name == "COMPLETE" else None
    changed = trial.user_attrs.get("changed")
    return Tried(trial.number, trial.params, value, None if changed is None else (changed[0], changed[1]))


def _drawn(trial: Any, name: str, one: Range | tuple[Any, ...]) -> str:
    """A value for a trial in the syntax of `--set`."""
    if isinstance(one, tuple):
        return str(trial.suggest_categorical(name, [setting_text(value) for value in one]))
    suggest = trial.suggest_int if one.whole else trial.suggest_float
    return one.text(suggest(name, one.low, one.high, log=one.log))


def _known_of(space: Space, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults in the form of the sampler, without those outside of the searched ranges."""
    known = {name: _known(one, defaults[name]) for name, one in space.items()}
    return {name: value for name, value in known.items() if value is not None}


def _known(one: Range | tuple[Any, ...], value: Any) -> Any:
    """A value in the form of the sampler; None if it lies outside of the searched range."""
    if isinstance(one, tuple):
        text = setting_text(value)
        return text if text in map(setting_text, one) else None
    return value if isinstance(value, int | float) and one.low <= value <= one.high else None
