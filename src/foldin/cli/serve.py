"""`foldin serve`: serve runs over HTTP."""

from pathlib import Path
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
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN …]")
@click.option(
    "--events",
    "url",
    default="sqlite:///events.db",
    show_default=True,
    help="Database of events and keys: sqlite:///FILE or postgresql://…",
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
    help="Largest number of requests per second with one key.",
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
    help="Ranker of lists without exploration, for one run or for all: exact, beam:WIDTH or index:FAISS:EFFORT, as in "
    "`foldin recommend`; may be repeated.  [default: exact]",
)
@DEVICE
def command(
    runs: tuple[Path, ...],
    url: str,
    host: str,
    port: int,
    no_keys: bool,
    rate: float,
    queued: int,
    rankers: tuple[str, ...],
    device: str,
) -> None:
    """Serve trained runs over HTTP: users are folded in from their latest events, nothing is retrained. The first run is
    the default model, for requests that do not choose one. The API is described at /openapi.json.

    If a run is trained again in its folder, the service switches to the new one without dropping a request; a damaged run is
    refused. Without --no-keys every request needs a key from `foldin keys add`.

    \b
    Example:
      foldin serve runs/films --no-keys
      curl -X POST http://127.0.0.1:8000/v1/recommendations -H 'Content-Type: application/json' -d '{"history": ["1"], "k": 3}'
    """
    server = server_module()
    from foldin.serve import Limits

    limits = Limits(rate=rate, burst=max(1, round(2 * rate)), queued=queued)
    app, _, watcher = server.build(
        runs,
        url,
        open_to_all=no_keys,
        host=host,
        limits=limits,
        device=str(choose_device(device)),
        rankers=named_rankers(rankers),
    )
    server.run(app, watcher, host=host, port=port, ready=lambda address: status(f"serving at {address}; Ctrl-C stops"))
