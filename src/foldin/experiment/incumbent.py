"""Models of different catalogs, scored on the same users and targets: the incumbent, which is in service, and its challenger."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from time import time as clock
from typing import Any

import numpy as np
import torch

from foldin.data import Catalog, EventWeights, Histories
from foldin.errors import RunError
from foldin.evaluation import METRICS, parse_metric
from foldin.experiment.origin import Origin, newest_time
from foldin.models import Recommender
from foldin.ranking import Eligibility, rank
from foldin.runs import Run, check_target, generations, load_run, local_run
from foldin.runs.pointer import digest_in
from foldin.tensors import Array, Float64

__all__ = ["InService", "Scores", "incumbent_of", "score", "trained_until"]


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


@dataclass(frozen=True, kw_only=True)
class InService:
    """What a service has of the runs in a folder at one moment.

    Args:
        digest: digest of the run that the service answers with in place of the folder's current run, which was rolled back or
            replaced there; None if it answers with the current run, or will do so.
        uri: folder or URL of that run.
        named: digests and addresses of all runs that the service may need again: of every model, the one in service and the one
            before it.
    """

    digest: str | None = None
    uri: str = ""
    named: Set[str] = frozenset()


def incumbent_of(folder: Path, *, device: str | torch.device = "cpu", told: InService | None = None) -> Run | None:
    """The run in service in a folder; None if the folder is new or empty, or a first run was never finished.

    Args:
        told: what a service has of the folder; without it, the current run is taken for the one in service.

    Raises:
        RunError: the run is damaged, the service's run cannot be read here, or the folder holds something other than runs.
    """
    if (folder / "run.json").is_file() or (folder.is_dir() and any(one.finished for one in generations(folder))):
        if told is not None and told.digest is not None:
            return _answering(folder, told, device)
        return load_run(folder, device=device)
    check_target(folder)
    return None


def _answering(folder: Path, told: InService, device: str | torch.device) -> Run:
    """The run that a service answers with: a generation of the folder, wherever the service has it, or a run from elsewhere."""
    own = [one.folder for one in generations(folder) if digest_in(one.folder) == told.digest]
    try:
        run = load_run(own[0] if own else local_run(told.uri, digest=told.digest), device=device)
        if run.info["digest"] != told.digest:
            raise RunError(f"{run.folder}: holds another run by now")
    except (RunError, OSError) as error:
        raise RunError(
            f"{folder}: the service does not answer with its current run but with one that cannot be read here, so that there is "
            f"nothing to compare with: {error}"
        ) from error
    return run


def trained_until(run: Run, now: float | None = None) -> int | None:
    """Seconds since 1970 of the newest event that a run was trained on; None if the run does not say.

    A time ahead of the clock, which the event of a device with a bad clock left in a run of an earlier version, says nothing.

    Args:
        now: time of the clock, in seconds since 1970; that of this machine if None.

    Raises:
        RunError: the run says something other than a time.
    """
    until = run.info.get("until")
    if until is None and run.known is not None:
        return newest_time(run.known.histories, now=now)
    if until is not None and not isinstance(until, int):
        raise RunError(f"{run.folder}: until = {until!r} in run.json: seconds since 1970 were expected")
    return None if until is not None and until > (clock() if now is None else now) else until


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
