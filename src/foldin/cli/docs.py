"""`foldin docs`: the documentation in a browser, without a network."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import click

from foldin.book.site import site
from foldin.cli.output import status

__all__ = ["command"]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: who serves pages to themselves needs no log."""


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port to listen on; 0 for a free one."
)
@click.option("--open/--no-open", "opens", default=True, show_default=True, help="Whether to open a browser.")
def command(port: int, opens: bool) -> None:
    """Serve the documentation on the loopback address, and open it in a browser. Ctrl-C stops.

    The pages come from the package `foldin-docs`, or in a clone of the repository from `make docs`.

    \b
    Example:
      foldin docs
    """
    handler = partial(_Quiet, directory=str(site()))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        status(f"the documentation is at {address}; Ctrl-C stops")
        if opens:
            click.launch(address)
        server.serve_forever()
