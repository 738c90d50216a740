"""`foldin compare`: train and evaluate models side by side."""

from typing import Any

import click

from foldin.cli.options import JSON, fit_options, read_options, settings_of, source_of, split_options
from foldin.cli.output import FitBar, json_out, out, status, working
from foldin.cli.tables import metrics_table, show_calibrations, show_tests
from foldin.errors import CapacityError, ConfigError, FitError, FoldinError, MissingExtraError
from foldin.experiment import Trained, choose_device, report, train, unused
from foldin.models import config_class

__all__ = ["command"]


@click.command()
@click.argument("path")
@click.option(
    "--models",
    default="popularity,itemknn,ease,multvae",
    show_default=True,
    help="Comma-separated names of models.",
)
@click.option(
    "--set", "texts", multiple=True, metavar="MODEL.FIELD=VALUE", help="Setting of one model; may be repeated."
)
@read_options
@split_options
@fit_options
@JSON
def command(
    path: str,
    models: str,
    texts: tuple[str, ...],
    seed: int,
    epochs: int | None,
    patience: int,
    metric: str,
    device: str,
    calibrate: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train models on the same split of PATH and evaluate them on the same users: a table with intervals, and paired
    tests with Holm's correction. A model that cannot be trained, because memory or a package is missing, is left out, and the
    reason is printed; the others are compared.

    \b
    Example:
      foldin compare movielens-small --min-rating 4 --models popularity,ease,multvae --set ease.regularization=200
    """
    names = list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if not names:
        raise ConfigError(f"--models {models!r}: comma-separated names of models were expected")
    settings: dict[str, dict[str, str]] = {name: {} for name in names}
    for key, value in settings_of(texts).items():
        name, dot, field = key.partition(".")
        if not dot or name not in settings:
            raise ConfigError(
                f"--set {key}={value}: MODEL.FIELD=VALUE was expected, where MODEL is one of {', '.join(names)}"
            )
        settings[name][field] = value
    configs = {name: config_class(name).from_texts(settings[name]) for name in names}
    where = choose_device(device)
    source = source_of(path, options)
    with working("reading") as bar:
        split = source.split(download_progress=bar)
    for note in split.report.warnings:
        status(f"{note.count:,} {note.text}")
    for sentence in unused(split):
        status(sentence)
    trained: dict[str, Trained] = {}
    left_out: dict[str, str] = {}
    first: FoldinError | None = None
    for name in names:
        try:
            with FitBar(name, metric) as progress:
                trained[name] = train(
                    split,
                    configs[name],
                    seed=seed,
                    device=where,
                    metric=metric,
                    epochs=epochs,
                    patience=patience,
                    calibrate=calibrate,
                    progress=progress,
                )
        except (CapacityError, FitError, MissingExtraError) as error:
            # The others can still be compared; if no model can be trained, the first reason is the error.
            first = first or error
            left_out[name] = str(error)
            status(f"{name} is left out: {error}")
    if not trained and first is not None:
        raise first
    content = report(split, trained, data=path, seed=seed, left_out=left_out)
    if as_json:
        json_out(content)
        return
    out().print(metrics_table(content))
    for name, reason in left_out.items():
        out().print(f"left out: {name}: {reason}", soft_wrap=True)
    show_calibrations(out(), content)
    show_tests(out(), content, "ndcg@100")
