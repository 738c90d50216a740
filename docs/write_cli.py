"""Write docs/cli.md from the commands' own help."""

from collections.abc import Iterator
from pathlib import Path

import click

from foldin.cli import cli

TARGET = Path(__file__).with_name("cli.md")


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from walk(found, f"{name} {child}")


def text() -> str:
    """The page."""
    parts = [
        "# The command line\n\nWritten by `make docs` from the commands' own `--help`; a test fails when it is stale.\n"
    ]
    for name, command in walk(cli, "foldin"):
        context = click.Context(
            command, info_name=name, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
        )
        parts.append(f"## `{name}`\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
