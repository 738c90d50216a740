"""How a search begins: one change at a time, and then those together that helped.

An estimator of good settings needs dozens of trials before it knows more than the settings that somebody chose with care. A
search therefore begins with these, and goes on in three stages, each when the one before has ended:

1. the settings at the start, with each other alternative of one setting;
2. the best of these, with one number lower or higher by a third of its range (of its logarithms on a logarithmic scale);
3. all changes together that helped, if there are several: of each setting the best one, and none that brought less than a
   quarter of what the best one of its stage brought, which is mostly noise.

If the effects of the settings add up, the third stage is at the best of the grid after 2d + 2 trials of d numbers in place of 3ᵈ
(a screening of main effects; Box, Hunter and Hunter, "Statistics for Experimenters", 2005, chapter 5). Where they do not, the
search has only begun.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from foldin.training import Range, Space, setting_text

__all__ = ["STAGES", "Tried", "settings_of_stage"]

STAGES = 3
_STEP = 1.0 / 3.0  # share of a range
_LEAST = 0.25  # share of the largest gain below which a change is left out


@dataclass(frozen=True)
class Tried:
    """A trial that has ended.

    Args:
        number: its number.
        settings: its settings, in the form of the sampler.
        value: its metric; None if it was given up or failed.
        changed: (name of the changed setting, number of the trial that it was changed in) of a trial of the first two stages.
    """

    number: int
    settings: Mapping[str, Any]
    value: float | None
    changed: tuple[str, int] | None = None


Stage = list[tuple[dict[str, Any], tuple[str, int] | None]]  # (settings, what is changed)


def settings_of_stage(
    stage: int, space: Space, start: Mapping[str, Any], first: Tried, changed: Sequence[Tried]
) -> Stage:
    """The settings to try in a stage, counted from 0, with what `Tried.changed` is then.

    Args:
        space: ranges and alternatives by name.
        start: the settings that the search begins with, in the form of the sampler. Those outside of the ranges, such as none,
            are left out here, and stay as they are in the settings to try.
        first: the trial with these settings.
        changed: the complete trials of earlier stages.
    """
    if stage == 0:
        return [({**start, name: value}, (name, first.number)) for name, value in _alternatives(space, start)]
    if stage == 1:
        base = max([first, *changed], key=lambda one: -math.inf if one.value is None else one.value)
        found = _moves(space, base.settings)
        return [({**base.settings, name: value}, (name, base.number)) for name, value in found]
    both = _together(start, first, changed)
    return [] if both is None else [(both, None)]


def _alternatives(space: Space, settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(name, value) of each other alternative of a setting; of settings that are outside of the ranges too."""
    return [
        (name, other)
        for name, one in space.items()
        if isinstance(one, tuple)
        for other in map(setting_text, one)
        if other != settings.get(name)
    ]


def _moves(space: Space, settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(name, value) of each number that is lower or higher by a third of its range, as far as the range allows."""
    found = []
    for name, one in space.items():
        if isinstance(one, tuple) or name not in settings:
            continue
        for step in (-_STEP, _STEP):
            value = _moved(one, settings[name], step)
            if value != settings[name]:
                found.append((name, value))
    return found


def _together(start: Mapping[str, Any], first: Tried, changed: Sequence[Tried]) -> dict[str, Any] | None:
    """The settings at the start with the best change of each, if at least two settings have one that helped; None otherwise."""
    values = {one.number: one.value for one in (first, *changed)}
    gains: dict[
        int, list[tuple[float, str, Any]]
    ] = {}  # (gain, name, value) by what was changed, another in each stage
    for one in changed:
        assert one.changed is not None
        name, of = one.changed
        before = values.get(of)
        if one.value is not None and before is not None and one.value > before:
            gains.setdefault(of, []).append((one.value - before, name, one.settings[name]))
    best: dict[str, Any] = {}
    for some in gains.values():
        least = _LEAST * max(gain for gain, _, _ in some)
        best |= {name: value for gain, name, value in sorted(some, key=itemgetter(0)) if gain >= least}
    return {**start, **best} if len(best) > 1 else None


def _moved(one: Range, value: float, step: float) -> float:
    moved = value * (one.high / one.low) ** step if one.log else value + step * (one.high - one.low)
    kept = min(max(moved, one.low), one.high)
    return round(kept) if one.whole else float(kept)
