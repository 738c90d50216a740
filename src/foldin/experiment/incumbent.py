"""Models of different catalogs, scored on the same users and targets: the incumbent, which is in service, and its challenger."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foldin.data import Catalog, EventWeights, Histories
from foldin.errors import RunError
from foldin.evaluation import METRICS, parse_metric
from foldin.experiment.origin import Origin, newest_time
from foldin.models import Recommender
from foldin.ranking import Eligibility, rank
from foldin.runs import Run, check_target, generations, load_run
from foldin.tensors import Array, Float64

__all__ = ["Scores", "incumbent_of", "score", "trained_until"]


@dataclass(frozen=True, eq=False)
class Scores:
    """A model's metric on the users of an origin.

    Args:
        values: value of the metric for each user.
        unknown_targets: number of targets that are not in the model's catalog, which count as misses.
        unknown_events: number of earlier events with items that are not in its catalog, which it does not see.
    """

    values: Float64[Array, " users"]
    unknown_targets: int
    unknown_events: int


def incumbent_of(folder: Path, *, device: str | torch.device = "cpu") -> Run | None:
    """The run in service in a folder; None if the folder is new or empty, or a first run was never finished.

    Raises:
        RunError: the run is damaged, or the folder holds something other than runs.
    """
    if (folder / "run.json").is_file() or (folder.is_dir() and any(one.finished for one in generations(folder))):
        return load_run(folder, device=device)
    check_target(folder)
    return None


def trained_until(run: Run) -> int | None:
    """Seconds since 1970 of the newest event that a run was trained on; None if the run does not say.

    Raises:
        RunError: the run says something other than a time.
    """
    until = run.info.get("until")
    if until is None and run.known is not None:
        return newest_time(run.known.histories)
    if until is not None and not isinstance(until, int):
        raise RunError(f"{run.folder}: until = {until!r} in run.json: seconds since 1970 were expected")
    return until


@torch.no_grad()
def score(
    model: Recommender[Any], catalog: Catalog, origin: Origin, metric: str, weighting: EventWeights | None = None
) -> Scores:
    """A metric of a model on every user of an origin, folded in from the events before the cut, all items of its catalog ranked.

    Items are recognized by their external ids. A list never has an item of the user's history, unless the log keeps repeats. A
    list has as many places as the metric, whatever the size of the catalog, so that models of different catalogs are measured
    alike.

    Args:
        metric: a ranking metric, such as `ndcg@10`.
        weighting: the rule by which events were weighted in the training of the model; None if all count alike.

    Raises:
        ConfigError: an unknown metric.
    """
    kind, k = parse_metric(metric)
    k = min(k, len(origin.items))
    places = catalog.places(origin.items)
    to_model = np.array([-1 if at is None else at for at in places], dtype=np.int64)
    none = len(origin.items)  # the place of items that this log does not have, and of empty places of a list
    to_log = np.full(len(catalog) + 1, none, dtype=np.int64)
    known = np.flatnonzero(to_model >= 0)
    to_log[to_model[known]] = known
    own = origin.histories if weighting is None else weighting.applied(origin.histories, origin.before.kinds)
    histories = own.reindex(to_model, len(catalog))
    values, step = np.empty(len(origin)), model.block()
    for start in range(0, len(origin), step):
        part = histories.rows(start, min(start + step, len(origin)))
        lists = np.full((len(part), k), none, dtype=np.int64)
        eligible = Eligibility.of(part, exclude_seen=not origin.before.reading.keeps_repeats)
        found = rank(model, part, k, eligible=eligible).items
        lists[:, : found.shape[1]] = to_log[found]  # the last entry of `to_log` is that of empty places, −1
        targets = origin.targets.rows(start, start + len(part))
        values[start : start + len(part)] = METRICS[kind](_hits(targets, lists), targets.lengths)
    return Scores(
        values=values,
        unknown_targets=int((to_model[origin.targets.items] < 0).sum()),
        unknown_events=own.n_events - histories.n_events,
    )


def _hits(targets: Histories, lists: Array) -> Array:
    """Whether each listed item is a target of its user."""
    marks = np.zeros((len(targets), targets.n_items + 1), dtype=bool)
    marks[targets.users(), targets.items] = True
    marks[:, -1] = False
    return np.take_along_axis(marks, lists, axis=1)
