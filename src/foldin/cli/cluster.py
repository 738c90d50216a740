"""The options of a Ray cluster, and the commands on one: `fit`, `recommend` and `tune` with `--ray`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from foldin.cli.options import source_of
from foldin.cli.output import json_out, out, status, working
from foldin.cli.tables import show_fit
from foldin.cluster import Cluster, ClusterTraining, Lists, Search, recommend_on, train_on, tune_on
from foldin.errors import ConfigError
from foldin.experiment import ListRequest, TuningTrial
from foldin.training import Config
from foldin.training.distributed import launched

__all__ = ["cluster_of", "fit_on", "placed_options", "ray_options", "recommend_folder", "tune_study"]

F = TypeVar("F", bound=Callable[..., Any])

_RAY = click.option(
    "--ray",
    "address",
    metavar="ADDRESS",
    help="Ray cluster that does the work: local for one that is started on this machine and ends with the command, auto for one "
    "that was started here before, or HOST:PORT of the head of one to which this machine belongs.",
)
_CPUS = click.option(
    "--worker-cpus",
    type=click.IntRange(1),
    help="Number of CPUs of each worker of a Ray cluster  [default: 1]",
)
_WORKERS = click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of worker processes of a Ray cluster  [default: as many as its CPUs allow, but one]",
)


def ray_options(function: F) -> F:
    """Add the options of a Ray cluster, for a command that has the option --workers."""
    return _RAY(_CPUS(function))


def placed_options(function: F) -> F:
    """Add the options of a Ray cluster with its number of workers."""
    return _RAY(_WORKERS(_CPUS(function)))


def cluster_of(options: Mapping[str, Any], workers: int | None, device: str) -> Cluster | None:
    """The cluster that a command's options describe; None without --ray.

    Args:
        workers: value of --workers; None if it was not given.
        device: value of --device.

    Raises:
        ConfigError: the options do not go together.
    """
    address = options["address"]
    if address is None:
        if "workers" in options and workers is not None:
            raise ConfigError(f"--workers {workers} needs --ray ADDRESS")
        if options["worker_cpus"] is not None:
            raise ConfigError(f"--worker-cpus {options['worker_cpus']} needs --ray ADDRESS")
        return None
    if launched():
        raise ConfigError("--ray starts its own workers and does not go with torchrun")
    if device not in ("auto", "cpu"):
        raise ConfigError(f"--device {device}: the workers of --ray compute on CPUs; for GPUs, use torchrun")
    return Cluster(address=address, workers=workers, cpus=options["worker_cpus"] or 1)


def fit_on(
    cluster: Cluster,
    path: str,
    config: Config,
    options: Mapping[str, Any],
    *,
    as_json: bool,
    folder: Path,
    earlier: str | None,
    **plan: Any,
) -> None:
    """`foldin fit --ray`: train on the cluster, and print what `foldin fit` prints.

    Args:
        path: the data, as given to the command.
        options: the options of the command, which describe how the data are read and split.
        plan: further arguments of `ClusterTraining`.
    """
    start = None if earlier is None else str(Path(earlier).resolve())
    source = source_of(path, options)
    found = train_on(
        cluster,
        ClusterTraining(source=source, config=config, name=path, folder=folder, earlier=start, **plan),
        saying=status,
    )
    for note in found.notes:
        status(note)
    content = {**found.report, "run": str(folder)}
    if as_json:
        json_out(content)
    else:
        show_fit(out(), content)


def recommend_folder(
    cluster: Cluster, run: str, users: str | None, target: str | None, request: ListRequest, *, as_json: bool
) -> None:
    """`foldin recommend --ray`: a file of lists for each file of a folder."""
    if users is None or target is None:
        raise ConfigError("--ray needs --users FOLDER and --out FOLDER")
    with working("parts") as bar:
        found = recommend_on(cluster, run, users, target, request, progress=bar)
    if as_json:
        about = {"out": target, **asdict(found)}
        json_out({name: value for name, value in about.items() if value is not None})
    else:
        _show_lists(found, target)


def _show_lists(found: Lists, target: str) -> None:
    say = partial(out().print, soft_wrap=True)
    there = f" ({found.skipped:,} were there already)" if found.skipped else ""
    say(f"{found.users:,} users, {found.rows:,} rows in {found.parts:,} parts{there} → {target}")
    if found.unknown_events:
        say(f"note: {found.unknown_events:,} events with items that are not in the model's catalog are ignored")
    if found.without_events:
        say(f"note: {found.without_events:,} users have no usable event")
    if found.given_popularity:
        say(
            f"note: {found.given_popularity:,} of them are given the most popular items, since they have no usable history"
        )
    if found.recall_of_exact is not None:
        say(f"{found.recall_of_exact:.1%} of the exact lists were found, on some users of each part")


def tune_study(
    cluster: Cluster, path: str, options: Mapping[str, Any], ended: Callable[[TuningTrial], None], **search: Any
) -> dict[str, Any]:
    """`foldin tune --ray`: the search as data.

    Args:
        path: the data, as given to the command.
        options: the options of the command, which describe how the data are read and split.
        ended: receives each trial when it has ended.
        search: further arguments of `Search`.
    """
    return dict(tune_on(cluster, Search(source=source_of(path, options), name=path, **search), ended=ended))
