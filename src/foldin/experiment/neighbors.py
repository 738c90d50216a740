"""Settings near others: where a search looks besides the draws of its estimator.

The estimator learns from many trials what is good together. Until then, near the best trial is a better place to look, as long as
the search began with settings that somebody chose with care.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from foldin.training import Range, Space, setting_text

__all__ = ["neighbor"]

_STEP = 0.1  # standard deviation of a step, as a share of the range
_OTHER = 0.1  # probability of another alternative


def neighbor(space: Space, settings: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Settings that are each a little off.

    A number moves by a normal step, whose standard deviation is a tenth of its range (of its logarithms, if it is searched on a
    logarithmic scale); an alternative changes with a probability of a tenth.

    Args:
        space: ranges and alternatives by name.
        settings: the settings to begin with; those that are not there are not in the result either.
    """
    return {name: _moved(one, settings[name], rng) for name, one in space.items() if name in settings}


def _moved(one: Range | tuple[Any, ...], value: Any, rng: np.random.Generator) -> Any:
    if isinstance(one, tuple):
        others = [text for text in map(setting_text, one) if text != value]
        return str(rng.choice(others)) if others and rng.random() < _OTHER else value
    step = rng.normal(0.0, _STEP)
    moved = value * (one.high / one.low) ** step if one.log else value + step * (one.high - one.low)
    kept = min(max(moved, one.low), one.high)
    return round(kept) if one.whole else float(kept)
