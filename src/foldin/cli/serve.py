"""`foldin serve`: serve runs over HTTP."""

import functools
from typing import Any

import click

from foldin.cli.options import DEVICE
from foldin.cli.output import status
from foldin.cli.rankers import named_rankers
from foldin.errors import MissingExtraError
from foldin.experiment import choose_device

__all__ = ["command", "server_module"]


def server_module() -> Any:
    """The module `foldin.serve.server`.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
    """
    try:
        from foldin.serve import server
    except ImportError as error:
        raise MissingExtraError(error.name or "fastapi", "serve", "the service") from error
    return server


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN …]")
@click.option(
    "--events",
    "url",
    default="sqlite:///events.db",
    show_default=True,
    help="Database of events, keys and deployed models: sqlite:///FILE or postgresql://…",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--no-keys", is_flag=True, help="Whether to answer requests without a key; only allowed on the loopback address."
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=1000.0,
    show_default=True,
    help="Largest number of requests per second with one key, over all workers.",
)
@click.option(
    "--queue",
    "queued",
    type=click.IntRange(1),
    default=1024,
    show_default=True,
    help="Largest number of requests that may wait for a model.",
)
@click.option(
    "--ranker",
    "rankers",
    multiple=True,
    metavar="[RUN=]RANKER",
    help="Ranker of lists without exploration, for one run or for all: exact, beam:WIDTH, index (the one that `foldin index` "
    "stored) or index:FAISS:EFFORT, as in `foldin recommend`; may be repeated.  [default: exact]",
)
@click.option(
    "--deploy",
    "force",
    is_flag=True,
    help="Whether to deploy the given runs even if the database knows models of their names.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Number of processes that serve the port, each with all models in memory.",
)
@click.option(
    "--drift-every",
    type=click.FloatRange(0),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two measurements of how well the models predict the events that arrive; 0 for none.",
)
@click.option(
    "--log-lists",
    "logged",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="Share of the users whose lists are logged, for experiments and off-policy evaluation; 0 logs no list.",
)
@click.option(
    "--keep-lists",
    "days",
    type=click.FloatRange(0, min_open=True),
    default=90.0,
    show_default=True,
    help="Number of days after which logged lists are deleted.",
)
@click.option(
    "--lists-every",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two computations of the lists for all users (popular, trending and recent items); 0 for none.",
)
@click.option(
    "--explore-new",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    metavar="SHARE",
    help="Probability with which each place of a list is given to an active item that the model does not know yet.",
)
@click.option(
    "--new-items-every",
    "new_seconds",
    type=click.FloatRange(0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks for items that were sent since the training and that a model can score by their features; 0 "
    "leaves all models as they were trained.",
)
@DEVICE
def command(
    runs: tuple[str, ...],
    url: str,
    host: str,
    port: int,
    no_keys: bool,
    rate: float,
    queued: int,
    rankers: tuple[str, ...],
    force: bool,
    workers: int,
    drift_every: float,
    logged: float,
    days: float,
    lists_every: float,
    explore_new: float,
    new_seconds: float,
    device: str,
) -> None:
    """Serve trained runs, in folders or at URLs, over HTTP: users are folded in from their latest events, nothing is retrained.
    The first run is the default model, for requests that do not choose one. The API is described at /openapi.json.

    The database says which models are in service, to all processes that share it, and after a restart. A RUN is deployed if
    the database knows no model of its name, or if its folder was served and holds a new run since; the service switches to it
    without dropping a request, and refuses a damaged one. Without RUN, what the database says is served.

    Without --no-keys every request needs a key from `foldin keys add`.

    \b
    Example:
      foldin serve runs/films --no-keys
      curl -X POST http://127.0.0.1:8000/v1/recommendations -H 'Content-Type: application/json' -d '{"history": ["1"], "k": 3}'
    """
    server = server_module()
    from foldin.serve import Limits, ListLogging, log_lines

    limits = Limits(rate=rate, burst=max(1, round(2 * rate)), queued=queued)
    build = functools.partial(
        server.build,
        runs,
        url,
        open_to_all=no_keys,
        host=host,
        limits=limits,
        device=str(choose_device(device)),
        rankers=named_rankers(rankers),
        drift_seconds=drift_every,
        list_logging=ListLogging(share=logged, days=days),
        list_seconds=lists_every,
        explore_new=explore_new,
        new_seconds=new_seconds,
    )

    def ready(address: str) -> None:
        status(f"serving at {address}; Ctrl-C stops")

    with log_lines.logged():
        if workers > 1:
            from foldin.serve.workers import serve

            serve(workers, build, url, limits=limits, host=host, port=port, force=force, ready=ready)
        else:
            app, _, watcher = build(force=force)
            server.run(app, watcher, host=host, port=port, ready=ready)
