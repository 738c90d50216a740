"""`foldin fit --all`: train on every user, and with `--replace` put the model in the place of the run in service."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click
import torch

from foldin.cli.indexing import say_index
from foldin.cli.options import source_of
from foldin.cli.output import FitBar, json_out, out, status, working
from foldin.cli.reading import name_of_data
from foldin.data import DEFAULT_MIN_EVENTS, EventLog
from foldin.data.log.urls import is_file_url, is_url
from foldin.errors import ConfigError, MissingExtraError, RunError
from foldin.experiment import InService, Plan, Retrained, Rule, retrain, until_now
from foldin.experiment.incumbent import incumbent_of
from foldin.experiment.outcome import UNDECIDED
from foldin.runs import Run, add_index, check_target, is_finished, load_run

__all__ = ["NOT_SWAPPED", "check_everyone", "fit_everyone", "replace_options", "start_of"]

NOT_SWAPPED = 3  # exit code
F = TypeVar("F", bound=Callable[..., Any])


def replace_options(function: F) -> F:
    """Add the options of training on every user, and of replacing a run in service."""
    options = [
        click.option(
            "--all",
            "everyone",
            is_flag=True,
            help="Whether to train on every user once the number of epochs is chosen; nothing is evaluated then. Choosing is "
            "patient for half of the epochs, at least 20, unless --patience is given.",
        ),
        click.option(
            "--decay",
            type=click.FloatRange(0.0, 1.0, min_open=True),
            metavar="NUMBER",
            help="Factor of the statistics of the run of --from, to which only later events are then added; at most 1, and for "
            "mixture, plsa, lda and poisson. Without it, training passes over all events.",
        ),
        click.option(
            "--replace",
            "replaced",
            metavar="RUN",
            help="Run in service that the new one replaces, as its next generation, if it is not worse; needs --all.",
        ),
        click.option(
            "--if-better",
            "if_better",
            default="ndcg@10:-0.01",
            show_default=True,
            metavar="METRIC:MARGIN",
            help="Metric of the comparison, and the difference that the lower end of its interval must exceed.",
        ),
        click.option(
            "--undecided",
            type=click.Choice(UNDECIDED),
            default="keep",
            show_default=True,
            help="What happens if the users do not suffice to decide: keep the run in service, or take the fresh one if the mean "
            "difference is not below the margin.",
        ),
        click.option(
            "--latest",
            default="1d",
            show_default=True,
            metavar="PERIOD",
            help="Period of the latest events, on which the models are compared: 12h, 1d, 2w, or a share of all events.",
        ),
        click.option(
            "--keep-generations",
            "kept",
            type=click.IntRange(1),
            default=7,
            show_default=True,
            help="Number of generations to keep; the current one, the one before it, and those that the service may need are "
            "always kept.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def check_everyone(options: Mapping[str, Any], **given: Any) -> None:
    """Raise unless the options of a command go together.

    Args:
        given: further options by name; with --all, none of them may be set but `folder` and `earlier`.

    Raises:
        ConfigError: they do not.
    """
    replaced, folder, earlier = options["replaced"], given.pop("folder"), given.pop("earlier")
    if (folder is None) == (replaced is None):
        raise ConfigError("one of --out RUN and --replace RUN is needed, and not both")
    if options["decay"] is not None and not (options["everyone"] and earlier):
        raise ConfigError("--decay needs --all and --from RUN: it is the factor of the statistics of that run")
    if replaced is not None and not options["everyone"]:
        raise ConfigError("--replace needs --all: a run in service is trained on every user")
    for name, value in given.items():
        if options["everyone"] and value:
            raise ConfigError(f"--{name} does not go with --all")
    if options["everyone"] and options["protocol"] not in (None, "strong"):
        raise ConfigError(f"--protocol {options['protocol']} does not go with --all, which holds users out by strong")


def start_of(path: str, earlier: str | None, replaced: str | None, device: torch.device) -> Run | None:
    """The run from which training starts; None to train from scratch, also if it is the run in service and there is none yet.

    Args:
        path: the log; if it is an event store, its service says which run is in service.

    Raises:
        RunError: the run cannot be loaded.
    """
    if earlier is None:
        return None
    if replaced is not None and Path(earlier) == Path(replaced):
        service = _service_of(path)
        return incumbent_of(Path(earlier), device=device, told=None if service is None else service(Path(earlier)))
    return load_run(earlier, device=device)


def _service_of(path: str) -> Callable[[Path], InService] | None:
    """Asks the service that has this event store what it has of a folder; None for another log.

    Raises:
        MissingExtraError: the packages of the service are not installed.
    """
    if not is_url(path) or is_file_url(path):
        return None
    try:
        from foldin.serve.storage.in_service import in_service
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "a comparison with the run in service") from error
    return partial(in_service, path)


def fit_everyone(
    path: str, name: str, folder: str | None, options: Mapping[str, Any], *, as_json: bool, **plan: Any
) -> None:
    """Train on every user of the log at `path`, and save the run in `folder` or replace the run in service by it.

    Args:
        name: name of the model.
        options: the options of the command.
        as_json: whether to print one JSON object.
        plan: arguments of `Plan`.
    """
    target = Path(options["replaced"] if folder is None else folder)
    if folder is not None:
        if is_finished(target):
            raise RunError(f"{target}: holds a finished run; give another folder, or replace it with --replace")
        check_target(target)
    rule = Rule.of(options["if_better"], undecided=options["undecided"])
    log = _read(path, options)
    least = DEFAULT_MIN_EVENTS["strong"] if options["min_events"] is None else options["min_events"]
    bar, held = FitBar(name, plan["metric"]), {"held_out": options["held_out"], "split_seed": options["split_seed"]}
    made = Plan(min_events=least, progress=bar, decay=options["decay"], **held, **plan)
    about = {"data": name_of_data(path, log), "model": name, "config": made.config.as_dict(), "run": str(target)}
    if folder is not None:
        with bar:
            epochs = made.choose_epochs(log)
            model = made.fit(log, epochs)
            model.save(target)
        if options["index"] is not None:
            users = log.histories
            say_index(add_index(target, model.model, model.catalog, description=options["index"], users=users))
        _say_saved({**about, "users": len(log.histories), "epochs": epochs}, as_json=as_json)
        return
    with bar:
        how = {"latest": options["latest"], "keep": options["kept"], "index": options["index"]}
        found = retrain(log, made, target, rule=rule, saying=status, service=_service_of(path), **how)
    _say(found, about, as_json=as_json)
    if not found.swapped:
        raise click.exceptions.Exit(NOT_SWAPPED)


def _read(path: str, options: Mapping[str, Any]) -> EventLog:
    """The whole log until now; warnings of the reader are printed as notes."""
    with working("reading") as bar:
        log = until_now(source_of(path, options).log(download_progress=bar))
    for note in log.report.warnings:
        status(f"{note.count:,} {note.text}")
    return log


def _say_saved(content: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        json_out(content)
        return
    epochs = "" if content["epochs"] is None else f" with {content['epochs']} epochs"
    run = content["run"]
    text = f"trained on all {content['users']:,} users{epochs}, saved in {run}; try: foldin recommend {run} --history ID,ID"
    out().print(text, soft_wrap=True)


def _say(found: Retrained, about: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        json_out({**about, **found.as_dict()})
        return
    out().print(repr(found), soft_wrap=True)
    if found.compared is not None and found.compared.leaks:
        status(
            "the run in service does not say until when it was trained: if it knows the latest events, that favors it"
        )
