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
    *,
    weights: Sequence[float] | None = None,
    dislikes: Histories | None = None,
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
        weights: weight of each event; None if all are 1.
        dislikes: dislikes of the user, as histories of one user; they are in every one of the histories that are compared.
    """
    if not len(history) or not len(items):
        return [Attribution() for _ in items]

    def without(events: Sequence[Any]) -> list[Sequence[Any]]:
        return [events, *([*events[:at], *events[at + 1 :]] for at in range(len(events)))]

    rows = without(history)
    beside = {
        name: (without(values), dtype)
        for name, values, dtype in (("times", times, np.int64), ("weights", weights, np.float32))
        if values is not None
    }
    found = np.empty((len(rows), len(items)))
    step = model.block()
    for start in range(0, len(rows), step):
        part = Histories.from_lists(rows[start : start + step], model.n_items)
        more: dict[str, Any] = {
            name: np.concatenate(values[start : start + step]).astype(dtype) for name, (values, dtype) in beside.items()
        }
        if dislikes is not None:
            more["dislikes"] = dislikes.select(np.zeros(len(part), dtype=np.int64))
        part = replace(part, **more) if more else part
        found[start : start + step] = scores(model, part)[:, torch.from_numpy(items)].double().cpu().numpy()
    made = []
    for column in (found[0] - found[1:]).T:
        order = [(int(at), float(column[at])) for at in np.argsort(-np.abs(column), kind="stable")]
        raised = [one for one in order if one[1] > 0.0][:most]
        lowered = [one for one in order if one[1] < 0.0][:most]
        made.append(Attribution(tuple(raised), tuple(lowered)))
    return made
