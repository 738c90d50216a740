"""`foldin keys`: API keys of the service."""

from typing import TYPE_CHECKING

import click

from foldin.cli.options import JSON
from foldin.cli.output import json_out, out
from foldin.errors import MissingExtraError

if TYPE_CHECKING:
    from foldin.serve import KeyRing

__all__ = ["command"]

_URL = click.option(
    "--events",
    "url",
    default="sqlite:///events.db",
    show_default=True,
    help="Database of events and keys of the service: sqlite:///FILE or postgresql://…",
)


def _ring(url: str) -> "KeyRing":
    try:
        from foldin.serve import EventStore, KeyRing, connect
    except ImportError as error:
        raise MissingExtraError(error.name or "sqlalchemy", "serve", "the service") from error
    return KeyRing(EventStore(connect(url)).engine)


@click.group()
def command() -> None:
    """Manage the API keys of the service. Only a digest of each key is stored.

    \b
    Example:
      foldin keys add shop --scope read --scope write
    """


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("read",),
    show_default=True,
    type=click.Choice(["read", "write", "admin"]),
    help="What the key may do: read lists and users, write events and delete users, admin models; may be repeated.",
)
@_URL
def add(name: str, scopes: tuple[str, ...], url: str) -> None:
    """Create a key called NAME and print it. It cannot be shown again.

    \b
    Example:
      foldin keys add shop --scope read --scope write
    """
    out().print(_ring(url).create(name, scopes), soft_wrap=True, highlight=False)


@command.command("list")
@_URL
@JSON
def list_keys(url: str, as_json: bool) -> None:
    """List the names and scopes of all keys.

    \b
    Example:
      foldin keys list
    """
    found = _ring(url).names()
    if as_json:
        json_out({"keys": [{"name": one.name, "scopes": list(one.scopes)} for one in found]})
        return
    for one in found:
        out().print(f"{one.name}: {', '.join(one.scopes)}", soft_wrap=True, highlight=False)


@command.command()
@click.argument("name")
@_URL
def remove(name: str, url: str) -> None:
    """Revoke the key called NAME. Requests with it are then refused.

    \b
    Example:
      foldin keys remove shop
    """
    _ring(url).remove(name)
