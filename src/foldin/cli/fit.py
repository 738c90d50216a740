"""`foldin fit`: train one model and save it as a run directory."""

from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from foldin.cli.cluster import cluster_of, fit_on, ray_options
from foldin.cli.indexing import INDEX, check_index, say_index
from foldin.cli.options import JSON, ModelName, fit_options, read_options, settings_of, split_options
from foldin.cli.output import FitBar, json_out, out, status
from foldin.cli.reading import name_of_data, read_split
from foldin.cli.replacing import check_everyone, fit_everyone, replace_options, start_of
from foldin.cli.tables import show_fit
from foldin.cli.workers import WORKERS, Job, check_workers, device_of, follow, follows, team
from foldin.errors import ConfigError
from foldin.experiment import check_folder, report, tracker_of, train, unread
from foldin.models import config_class
from foldin.runs import add_index
from foldin.training import PRECISIONS, Stopped

__all__ = ["command"]


@click.command()
@click.argument("path")
@click.option("--model", "name", type=ModelName(), required=True, help="Name of the model; `foldin models` lists them.")
@click.option("--out", "folder", metavar="RUN", help="Run directory to write.")
@click.option(
    "--from",
    "earlier",
    metavar="RUN",
    help="Earlier run of the same model from which training starts; parameters of items are copied by their ids.",
)
@click.option("--set", "texts", multiple=True, metavar="FIELD=VALUE", help="Setting of the model; may be repeated.")
@click.option(
    "--track",
    "tracked",
    multiple=True,
    metavar="WHERE",
    help="Where to follow the training: tensorboard:FOLDER or mlflow:URI; may be repeated.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="Number format of the matrix products in gradient steps; parameters, losses and the evaluation stay in float32.",
)
@click.option("--resume", is_flag=True, help="Whether to continue a run that was interrupted or killed.")
@INDEX
@WORKERS
@ray_options
@replace_options
@read_options
@split_options
@fit_options
@JSON
def command(
    path: str,
    name: str,
    folder: str | None,
    earlier: str | None,
    texts: tuple[str, ...],
    tracked: tuple[str, ...],
    precision: str,
    resume: bool,
    workers: int,
    seed: int,
    epochs: int | None,
    patience: int,
    metric: str,
    device: str,
    calibrate: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model on PATH (a file, a folder, a URL or the name of a data set), with early stopping on the
    validation users, and evaluate it once on the test users. Ctrl-C stops training and keeps the best weights so far.

    With --all, the model is trained on every user once the number of epochs is chosen. With --replace, it is compared with a run
    in service on the latest events, and becomes its next generation if it is not worse. The exit code is 0 if it has, and 3 if
    the run in service stays.

    \b
    Example:
      foldin fit movielens-small --min-rating 4 --model multvae --out runs/films --set epochs=50 --set beta=0.1
      foldin fit events.parquet --model recvae --all --replace runs/shop --if-better ndcg@10:-0.01
    """
    check_everyone(options, folder=folder, earlier=earlier, resume=resume, track=tracked, calibrate=calibrate)
    cluster = cluster_of(options, workers, device)
    if cluster is not None and options["index"] is not None:
        raise ConfigError(
            "--index cannot be combined with --ray; `foldin index RUN` adds an index to the run afterwards"
        )
    check_workers(workers, options, started=cluster is not None)
    check_index(config_class(name).model_class, options["index"])
    config, where = config_class(name).from_texts(settings_of(texts)), device_of("cpu" if cluster else device, workers)
    start = start_of(path, earlier, options["replaced"], where)
    plan: dict[str, Any] = {
        "metric": metric,
        "epochs": epochs,
        "patience": patience,
        "seed": seed,
        "precision": precision,
    }
    if options["everyone"]:
        if click.get_current_context().get_parameter_source("patience") is ParameterSource.DEFAULT:
            plan["patience"] = None  # that of `Plan`
        fit_everyone(path, name, folder, options, as_json=as_json, config=config, device=where, start=start, **plan)
        return
    target = Path(folder or "")
    plan |= {"folder": target, "resume": resume}
    job = Job(path=path, options=options, config=config, device=device, earlier=earlier, arguments=plan)
    if follows():
        follow(job)
        return
    check_folder(target, resume=resume)
    if cluster is not None:
        more: dict[str, Any] = {"calibrate": calibrate, "trackers": tracked, "earlier": earlier}
        fit_on(cluster, path, config, options, as_json=as_json, **more, **plan)
        return
    trackers = [tracker_of(one) for one in tracked]
    split = read_split(path, options)
    for sentence in unread(split, config.model_class):
        status(sentence)
    if start is not None and start.info.get("fingerprint") != split.fingerprint():
        status(f"if {earlier} was trained on held-out users of this split, the metrics are optimistic")
    with team(job, workers, where) as group, FitBar(name, metric) as progress:
        one = train(
            split,
            config,
            device=where,
            start=start,
            calibrate=calibrate,
            progress=progress,
            keep_interrupted=True,
            trackers=trackers,
            group=group,
            **plan,
        )
    if one.result.stopped is Stopped.INTERRUPTED:
        status(f"interrupted: the best weights so far are saved in {target}; --resume continues from the last epoch")
    one.save(target)
    if options["index"] is not None:
        add = partial(add_index, description=options["index"], users=split.test.fold_in)
        say_index(add(target, one.model, split.catalog))
    content = {**report(split, {name: one}, data=name_of_data(path, split), seed=seed), "run": str(target)}
    if as_json:
        json_out(content)
        return
    show_fit(out(), content)
