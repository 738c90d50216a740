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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foldin.training import Range, Space, setting_text

__all__ = ["STAGES", "Change", "alternatives", "moves", "together"]

STAGES = 3
_STEP = 1.0 / 3.0  # share of a range
_LEAST = 0.25  # share of the largest gain below which a change is left out


@dataclass(frozen=True)
class Change:
    """A changed setting, and what it brought.

    Args:
        name: name of the setting.
        value: its new value, in the form of the sampler.
        gain: metric of the trial with it, less that of the settings that it was changed in.
    """

    name: str
    value: Any
    gain: float


def alternatives(space: Space, settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """(name, value) of each other alternative of a setting; of settings that are outside of the ranges too."""
    return [
        (name, other)
        for name, one in space.items()
        if isinstance(one, tuple)
        for other in map(setting_text, one)
        if other != settings.get(name)
    ]


def moves(space: Space, settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
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


def together(settings: Mapping[str, Any], *stages: Sequence[Change]) -> dict[str, Any] | None:
    """Settings with the best change of each, if at least two settings have one that helped; None otherwise.

    Args:
        settings: the settings that the search begins with.
        stages: the changes of each stage.
    """
    best: dict[str, Change] = {}
    for changes in stages:
        least = _LEAST * max((one.gain for one in changes), default=0.0)
        for one in sorted(changes, key=lambda one: one.gain):
            if one.gain > 0.0 and one.gain >= least:
                best[one.name] = one
    return {**settings, **{name: one.value for name, one in best.items()}} if len(best) > 1 else None


def _moved(one: Range, value: float, step: float) -> float:
    moved = value * (one.high / one.low) ** step if one.log else value + step * (one.high - one.low)
    kept = min(max(moved, one.low), one.high)
    return round(kept) if one.whole else float(kept)
