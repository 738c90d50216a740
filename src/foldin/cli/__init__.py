"""The command line: thin over the library."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from foldin.cli.app import cli
from foldin.errors import FoldinError, FoldinWarning

__all__ = ["cli", "main"]


@contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    """A context in which a warning of foldin is a line on standard error, as an error is, without a place in its code."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, FoldinWarning):
                click.echo(f"foldin: warning: {message}", err=True)
            else:
                usual(message, category, *place, **more)

        warnings.showwarning = show
        yield


def main(arguments: list[str] | None = None) -> None:
    """Run `foldin`. Exit codes: 0 success, 1 a bug, 2 wrong usage or bad input (one line of text), 130 interrupted."""
    try:
        with _warnings_in_one_line():
            code = cli.main(args=arguments, prog_name="foldin", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("foldin: interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except FoldinError as error:
        click.echo(f"foldin: error: {error}", err=True)
        code = 2
    except BrokenPipeError:
        # The reader of standard output has closed it (`foldin … | head`): no error message.
        sys.stderr.close()
        code = 0
    except OSError as error:  # a full disk, a folder that may not be written to
        click.echo(f"foldin: error: {error}", err=True)
        code = 2
    except (MemoryError, RuntimeError) as error:
        from foldin.memory import lacks_memory  # imports PyTorch, which would slow down `--help`

        if not lacks_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "none is left"
        click.echo(f"foldin: error: out of memory: {reason}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
