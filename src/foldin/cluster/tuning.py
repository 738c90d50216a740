"""One search over settings by several processes of a Ray cluster."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from foldin.cluster.connecting import Cluster, connected, everywhere, ray_package
from foldin.cluster.messages import Refusal, listening, or_refusal, unless_refused
from foldin.data import Source
from foldin.errors import RunError
from foldin.experiment import TuningTrial, tune
from foldin.training import Config, Progress, Space

__all__ = ["Search", "tune_on"]

_RETRIES = 3  # times that a process is started again


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search over settings, as values that can be sent.

    Args:
        source: the data, how they are read and how they are split; every process reads them itself.
        config: settings that the search begins with.
        folder: folder of the study, which all machines see.
        name: what the report calls the data.
        space, fixed: see `experiment.tune`.
        trials, minutes, metric, seed, epochs, patience: see `experiment.tune`.
    """

    source: Source
    config: Config
    folder: Path
    name: str = ""
    space: Space = field(default_factory=dict)
    fixed: Sequence[str] = ()
    trials: int | None = None
    minutes: float | None = None
    metric: str = "ndcg@100"
    seed: int = 0
    epochs: int | None = None
    patience: int | None = 20


def tune_on(
    cluster: Cluster, search: Search, *, ended: Callable[[TuningTrial], None] | None = None
) -> Mapping[str, Any]:
    """A search by processes on a cluster that share one study, as processes started by hand do; returns it as data.

    Ray only places the processes. A process that dies is started again, and its trial is repeated.

    Args:
        search: the search; its folder then has the report and the run `best`, and the data are those of `Tuned.as_dict`.
        ended: receives each trial when it has ended, whichever process measured it.

    Raises:
        ConfigError: the cluster has too few CPUs, or as `experiment.tune`.
        FitError: no trial could be measured.
        MissingExtraError: Ray or Optuna is not installed.
        RunError: the folder holds something else, or processes kept dying.
    """
    ray = ray_package()
    search = replace(search, source=everywhere(search.source), folder=search.folder.resolve())
    with connected(cluster) as workers:
        answers = _answers(ray, cluster, search, workers, ended or (lambda _: None))
    found = [one for one in answers if not isinstance(one, Refusal)]
    if not found:
        unless_refused(answers[0])
    return next((one for one in found if one["test"] is not None), found[-1])


def _left_open(answers: Sequence[Any]) -> bool:
    """Whether processes have searched, but none has trained with the best settings."""
    found = [one for one in answers if not isinstance(one, Refusal)]
    return bool(found) and all(one["test"] is None for one in found)


def _answers(
    ray: Any, cluster: Cluster, search: Search, workers: int, ended: Callable[[TuningTrial], None]
) -> list[Any]:
    """What each process returned: the search as data, or a `Refusal`."""
    task = ray.remote(num_cpus=cluster.cpus, max_retries=_RETRIES)(_searched)
    count = workers if search.trials is None else min(workers, search.trials)
    answers: list[Any] = []
    with listening(ray, ended) as queue:
        running = [task.remote(search, cluster.cpus, queue) for _ in range(count)]
        try:
            while running:
                done, running = ray.wait(running, num_returns=1)
                answers += [_answer(ray, ref) for ref in done]
                if not running and _left_open(answers) and len(answers) == count:
                    # The last two ended at once, and each left the end to the other: one more finds nothing left to search.
                    running = [task.remote(search, cluster.cpus, queue)]
        finally:
            for ref in running:
                ray.cancel(ref, force=True)
    return answers


def _answer(ray: Any, ref: Any) -> Any:
    """What a process returned.

    Raises:
        RunError: it has died, and was started in vain.
    """
    try:
        return ray.get(ref)
    except ray.exceptions.RayTaskError:  # a bug, not a death
        raise
    except ray.exceptions.RayError as error:
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise RunError(
            f"a process of the search died {_RETRIES + 1} times: {reason}; the same command continues it"
        ) from error


def _searched(search: Search, cpus: int, queue: Any) -> Any:
    """The work of one process: the search as data, or a `Refusal`."""
    torch.set_num_threads(cpus)

    def work() -> Mapping[str, Any]:
        found = tune(
            search.source.split(),
            search.config,
            trials=search.trials,
            minutes=search.minutes,
            metric=search.metric,
            space=search.space,
            fixed=search.fixed,
            seed=search.seed,
            epochs=search.epochs,
            patience=search.patience,
            folder=search.folder,
            progress=Progress(),
            ended=queue.put,
        )
        return {"data": search.name or search.source.shown, "study": str(search.folder), **found.as_dict()}

    return or_refusal(work)
