"""The bound report of a variational recommender, on the whole histories of held-out people."""

from collections.abc import Callable
from typing import Any

import numpy as np

from foldin.data import HeldOut, Histories
from foldin.errors import ShapeError
from foldin.inference import bound_report as report
from foldin.models import Variational

__all__ = ["bound_report"]


def bound_report(
    model: Variational[Any],
    held: HeldOut,
    *,
    people: int = 500,
    draws: int = 500,
    refine_steps: int = 60,
    aggregate: Histories | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Bound, tightness, decomposition and health as data, in nats per person and per item: `inference/bounds.py`.

    Args:
        people: held-out people at most (the first with any item).
        draws, refine_steps, aggregate, seed, progress: as there.

    Raises:
        ShapeError: nobody among the held-out people has an item.
    """
    whole = held.fold_in.followed_by(held.targets)
    chosen = np.flatnonzero(whole.lengths)[:people]
    if len(chosen) == 0:
        raise ShapeError("nobody among the held-out people has an item")
    x = whole.select(chosen)
    return report(
        model,
        x,
        x.lengths.astype(np.float64),
        draws=draws,
        refine_steps=refine_steps,
        aggregate=aggregate,
        seed=seed,
        progress=progress,
    )
