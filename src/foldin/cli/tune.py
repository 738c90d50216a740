"""`foldin tune`: search for the best settings of a model."""

from pathlib import Path
from typing import Any

import click

from foldin.cli.cluster import cluster_of, placed_options, tune_study
from foldin.cli.options import JSON, ModelName, read_options, settings_of, split_options, training_options
from foldin.cli.output import FitBar, json_out, out, status, table
from foldin.cli.reading import name_of_data, read_split
from foldin.errors import ConfigError
from foldin.experiment import TRIALS, TuningTrial, choose_device, trial_line, tune
from foldin.models import config_class
from foldin.reports import TUNING_HEAD, tuning_rows, tuning_sentences
from foldin.training import parse_space

__all__ = ["command"]


@click.command()
@click.argument("path")
@click.option("--model", "name", type=ModelName(), required=True, help="Name of the model; `foldin models` lists them.")
@click.option("--out", "folder", required=True, metavar="STUDY", help="Folder of the search, to write or to continue.")
@click.option(
    "--trials",
    type=click.IntRange(1),
    help=f"Number of trials in all  [default: {TRIALS}, or no limit with --minutes]",
)
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Budget of training time, in all processes together."
)
@click.option(
    "--set", "texts", multiple=True, metavar="FIELD=VALUE", help="Setting that is not searched; may be repeated."
)
@click.option(
    "--search",
    "ranges",
    multiple=True,
    metavar="FIELD=RANGE",
    help="Range to search in place of the model's default range: LOW:HIGH, LOW:HIGH:log, or alternatives A|B|C; may be repeated.",
)
@read_options
@split_options
@training_options
@placed_options
@JSON
def command(
    path: str,
    name: str,
    folder: str,
    trials: int | None,
    minutes: float | None,
    texts: tuple[str, ...],
    ranges: tuple[str, ...],
    seed: int,
    epochs: int | None,
    patience: int,
    metric: str,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Search for the settings of a model that have the best metric on the validation users, train with these settings, and
    evaluate once on the test users. STUDY then holds a report and the run directory `best`.

    To resume a search that was stopped or killed, run the same command again; to share one search between processes, run it in
    each of them, or give --ray, which starts them on a Ray cluster. `foldin models NAME` lists the settings that are searched,
    and their ranges.

    \b
    Example:
      foldin tune movielens-small --min-rating 4 --model ease --trials 20 --out studies/ease
    """
    cluster = cluster_of(options, options["workers"], device)
    fixed = settings_of(texts)
    config = config_class(name).from_texts(fixed)
    searched = settings_of(ranges, "--search")
    both = next(iter(searched.keys() & fixed.keys()), None)
    if both:
        raise ConfigError(f"--search {both}: --set gives it a value")
    space = parse_space(config, searched)
    best: list[TuningTrial] = []

    def ended(trial: TuningTrial) -> None:
        status(trial_line(trial, best, metric))

    plan: dict[str, Any] = {
        "trials": trials,
        "minutes": minutes,
        "metric": metric,
        "space": space,
        "fixed": list(fixed),
    }
    plan |= {"seed": seed, "epochs": epochs, "patience": patience}
    if cluster is not None:
        content = tune_study(cluster, path, options, ended, config=config, folder=Path(folder), **plan)
    else:
        split = read_split(path, options)
        with FitBar(name, metric, lines=False) as bar:
            where = choose_device(device)
            found = tune(
                split, config, device=where, folder=folder, progress=bar, ended=ended, continued=status, **plan
            )
        content = {"data": name_of_data(path, split), "study": folder, **found.as_dict()}
    if as_json:
        json_out(content)
        return
    _show(content, Path(folder))


def _show(content: dict[str, Any], folder: Path) -> None:
    """Print the best settings, what must be known of the figures, and where the results are."""
    title, *notes = tuning_sentences(content)
    if content["settings"]:
        out().print(table(title, TUNING_HEAD, tuning_rows(content), left=4))
    else:
        out().print(f"{title}\n{content['model']} has no setting to search.", soft_wrap=True)
    for line in notes:
        out().print(line, soft_wrap=True)
    if content["test"] is None:
        line = "Another process works on the study; the last one trains with the best settings and writes the report."
    else:
        line = f"saved in {folder}: report.html, tune.json and the run {folder / 'best'}"
    out().print(line, soft_wrap=True)
