"""Attributions: the events of the history that raised a listed item, and those that lowered it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from foldin.data import Histories
from foldin.models import Recommender
from foldin.ranking.exact import scores
from foldin.tensors import Array, Int64

__all__ = ["Attribution", "attributions"]


@dataclass(frozen=True)
class Attribution:
    """Effects of events on a listed item, each as (position in the history, effect of the event), strongest first.

    Args:
        raised_by: the events that raised it.
        lowered_by: the events that lowered it.
    """

    raised_by: tuple[tuple[int, float], ...] = ()
    lowered_by: tuple[tuple[int, float], ...] = ()


@torch.no_grad()
def attributions(
    model: Recommender[Any],
    history: Sequence[int],
    items: Int64[Array, " listed"],
    times: Sequence[int] | None = None,
    most: int = 3,
) -> list[Attribution]:
    """For each listed item, the events of the history that raised it most, and those that lowered it most.

    The effect of an event is the difference in the item's log-probability, in nats, between the whole history and the history
    without the event: leave-one-out over the fold-in, in batches. For a model without a density it is the difference in the
    item's score. Events without effect are left out.

    Args:
        history: item indices, oldest first.
        items: indices of the listed items.
        times: seconds since 1970 of the events.
        most: maximum number of events of either kind.
    """
    if not len(history) or not len(items):
        return [Attribution() for _ in items]

    def without(events: Sequence[int]) -> list[Sequence[int]]:
        return [events, *([*events[:at], *events[at + 1 :]] for at in range(len(events)))]

    rows = without(history)
    moments = None if times is None else without(times)
    found = np.empty((len(rows), len(items)))
    step = model.block()
    for start in range(0, len(rows), step):
        part = Histories.from_lists(rows[start : start + step], model.n_items)
        if moments is not None:
            part = replace(part, times=np.concatenate(moments[start : start + step]).astype(np.int64))
        found[start : start + step] = scores(model, part)[:, torch.from_numpy(items)].double().cpu().numpy()
    made = []
    for column in (found[0] - found[1:]).T:
        order = [(int(at), float(column[at])) for at in np.argsort(-np.abs(column), kind="stable")]
        raised = [one for one in order if one[1] > 0.0][:most]
        lowered = [one for one in order if one[1] < 0.0][:most]
        made.append(Attribution(tuple(raised), tuple(lowered)))
    return made
