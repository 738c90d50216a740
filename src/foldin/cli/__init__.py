"""The command line: thin over the library."""

import sys

import click

from foldin.cli.app import cli
from foldin.errors import FoldinError

__all__ = ["cli", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Run `foldin`; exits with 0 done, 2 usage or bad input (one clear line), 1 a bug, 130 interrupted."""
    try:
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
        # The reader of our output has gone (`foldin … | head`); leave without a word.
        sys.stderr.close()
        code = 0
    except OSError as error:  # a full disk, a folder that may not be written to
        click.echo(f"foldin: error: {error}", err=True)
        code = 2
    except (MemoryError, RuntimeError) as error:
        from foldin.memory import lacks_memory  # it brings PyTorch, which `--help` need not wait for

        if not lacks_memory(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else "none is left"
        click.echo(f"foldin: error: more memory is needed than there is: {reason}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
