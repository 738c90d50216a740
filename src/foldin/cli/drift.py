"""`foldin drift`: how far the latest events are from what a run was trained on."""

from typing import Any

import click

from foldin.cli.options import DEVICE, JSON, log_options, source_of
from foldin.cli.output import json_out, out, status, table, working
from foldin.experiment import DriftLimits, choose_device, measure_drift, until_now
from foldin.runs import load_run

__all__ = ["ALARM", "command"]

ALARM = 3  # exit code


@click.command()
@click.argument("run")
@click.argument("path")
@click.option(
    "--latest",
    default="1d",
    show_default=True,
    metavar="PERIOD",
    help="Period of the latest events: 12h, 1d, 2w, or a share of all events.",
)
@click.option(
    "--most-unknown",
    type=float,
    default=DriftLimits.unknown_items,
    show_default=True,
    help="Largest share of the latest events with items that the model does not know.",
)
@click.option(
    "--most-days",
    type=float,
    default=DriftLimits.age,
    show_default=True,
    help="Largest number of days between the newest event that the model was trained on and the newest event.",
)
@click.option(
    "--most-fall",
    type=float,
    default=DriftLimits.fall,
    show_default=True,
    help="Largest fall of the log-likelihood since the first period after training, in nats per item.",
)
@log_options
@DEVICE
@JSON
def command(
    run: str,
    path: str,
    latest: str,
    most_unknown: float,
    most_days: float,
    most_fall: float,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare the latest events of the log at PATH (a file, a folder, a URL or the name of a data set) with
    what RUN was trained on: unknown items, new users, age, and the log-likelihood of what known users took. The exit code is 3 if
    a limit is exceeded.

    \b
    Example:
      foldin drift runs/shop sqlite:///events.db --latest 1d
    """
    limits = DriftLimits(unknown_items=most_unknown, age=most_days, fall=most_fall)
    loaded = load_run(run, device=choose_device(device))
    with working("reading") as bar:
        log = source_of(path, options).log(download_progress=bar)
    past = until_now(log)
    if ahead := log.histories.n_events - past.histories.n_events:
        status(f"{ahead:,} events are ahead of this machine's clock and are left out")
    found = measure_drift(loaded, past, latest=latest)
    alarms = found.alarms(limits)
    if as_json:
        json_out({"run": run, **found.as_dict(), "alarms": list(alarms)})
    else:
        shown = found.display()
        out().print(table(shown.title, shown.head, shown.rows))
        for line in alarms:
            status(line)
    if alarms:
        raise click.exceptions.Exit(ALARM)
