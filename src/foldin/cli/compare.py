"""`foldin compare`: train and evaluate models side by side."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from foldin.cli.options import JSON, fit_options, read_options, settings_of, split_options
from foldin.cli.output import FitBar, json_out, line_width, out, status
from foldin.cli.reading import name_of_data, read_split
from foldin.cli.tables import metrics_table, show_calibrations, show_choice, show_tests
from foldin.data import Split
from foldin.errors import CapacityError, ConfigError, FitError, FoldinError, MissingExtraError
from foldin.experiment import (
    Trained,
    Tuned,
    TuningTrial,
    best_pairs,
    choose_device,
    choose_model,
    multiplied,
    report,
    train,
    trial_line,
    tune,
    unread,
)
from foldin.models import config_class
from foldin.reports import tuning_sentences

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
@click.option(
    "--tune",
    "minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="Budget of training time, in minutes per model, for a search over its settings before the comparison.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Maximum number of trials of each search, with --tune.",
)
@click.option(
    "--studies",
    metavar="FOLDER",
    help="Folder that keeps each search, with --tune: a comparison that was stopped goes on, and each search has a report.",
)
@click.option(
    "--product",
    is_flag=True,
    help="Also compare a product of two of the models: the two whose product is best on the validation users.",
)
@read_options
@split_options
@fit_options
@JSON
def command(
    path: str,
    models: str,
    texts: tuple[str, ...],
    minutes: float | None,
    trials: int,
    studies: str | None,
    product: bool,
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
    reason is printed; the others are compared. At the end the model to take is named, with the reasons and their figures: by the
    validation users, the cheapest of the models that are not shown to be behind the best one.

    With --tune, the settings of every model are searched with the same budget, by the metric on the validation users; settings
    that are given with --set stay as they are. The test users are looked at once, with the best settings.

    \b
    Example:
      foldin compare movielens-small --min-rating 4 --models popularity,ease,multvae --set ease.regularization=200
      foldin compare movielens-small --min-rating 4 --models itemknn,ease,multvae --tune 5 --product
    """
    if studies is not None and minutes is None:
        raise ConfigError("--studies needs --tune MINUTES")
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
    if product and (len(names) < 2 or "product" in names):
        raise ConfigError("--product needs two models, and none that is called product")
    configs = {name: config_class(name).from_texts(settings[name]) for name in names}
    where = choose_device(device)
    split = read_split(path, options)
    for sentence in (one for config in configs.values() for one in unread(split, config.model_class)):
        status(sentence)
    trained: dict[str, Trained] = {}
    left_out: dict[str, str] = {}
    tuned: dict[str, Tuned] = {}
    first: FoldinError | None = None
    common: dict[str, Any] = {
        **{"seed": seed, "device": where, "metric": metric, "epochs": epochs, "patience": patience},
        "calibrate": calibrate,
    }
    for name in names:
        try:
            with FitBar(name, metric, lines=minutes is None) as progress:
                if minutes is None:
                    trained[name] = train(split, configs[name], progress=progress, **common)
                    continue
                best: list[TuningTrial] = []
                tuned[name] = tune(
                    split,
                    configs[name],
                    minutes=minutes,
                    trials=trials,
                    fixed=list(settings[name]),
                    folder=None if studies is None else Path(studies) / name,
                    progress=progress,
                    ended=partial(_say, name, best, metric),
                    **common,
                )
            found = tuned[name].trained
            if found is None:
                del tuned[name]
                raise FitError(f"another process works on its search in {studies}; run this again when it has ended")
            trained[name] = found
        except (CapacityError, FitError, MissingExtraError) as error:
            # The others can still be compared; if no model can be trained, the first reason is the error.
            first = first or error
            left_out[name] = str(error)
            status(f"{name} is left out: {error}")
    if not trained and first is not None:
        raise first
    if product:
        try:
            trained["product"] = _product(split, trained, metric, seed)
        except (CapacityError, FitError, MissingExtraError) as error:
            left_out["product"] = str(error)
            status(f"product is left out: {error}")
    data = name_of_data(path, split)
    content = report(split, trained, data=data, seed=seed, left_out=left_out)
    for name, one in tuned.items():
        content["models"][name]["tuning"] = one.as_dict()
    choice = choose_model(split, trained, metric=metric, data=data, seed=seed).as_dict() if len(trained) > 1 else None
    content["choice"] = choice
    if as_json:
        json_out(content)
        return
    out().print(metrics_table(content, line_width(out())))
    for name in tuned:
        found = content["models"][name]["tuning"]
        title, *_ = tuning_sentences(found)
        chosen = " ".join(f"{setting}={entry['best']}" for setting, entry in found["settings"].items())
        out().print(f"  {title}{f': {chosen}' if chosen else ''}", soft_wrap=True)
    for name, reason in left_out.items():
        out().print(f"left out: {name}: {reason}", soft_wrap=True)
    show_calibrations(out(), content)
    show_tests(out(), content, "ndcg@100")
    if choice is not None:
        show_choice(out(), choice)


def _product(split: Split, trained: Mapping[str, Trained], metric: str, seed: int) -> Trained:
    """The product of the two trained models whose product is best on the validation users.

    Raises:
        CapacityError: it needs more memory than is free.
        FitError: only one model was trained, or no product of two could be measured.
    """
    if len(trained) < 2:
        raise FitError(f"a product needs two trained models, and only {next(iter(trained))} was trained")
    pair = best_pairs(split, {name: one.model for name, one in trained.items()}, metric=metric, seed=seed)[0]
    status(f"product: {' and '.join(pair.names)}, {metric} {pair.value:.4f} on the validation users")
    return multiplied(split, [trained[name] for name in pair.names], seed=seed)


def _say(name: str, best: list[TuningTrial], metric: str, trial: TuningTrial) -> None:
    """Print a line about a trial of a model."""
    status(f"{name}: {trial_line(trial, best, metric)}")
