"""Commands in the pages that the tests do not run, since they need a server or a cluster: they and their options exist."""

import re
import shlex
from pathlib import Path

import click
import pytest

from foldin.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = (*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md")))
SHOWN = [
    (path.relative_to(ROOT), line.strip())
    for path in PAGES
    if path.name != "cli.md"  # written from the commands themselves
    for block in re.findall(
        r"^```(?:text|sh)\n(.*?)^```", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    for line in re.findall(r"(?:^|(?<!-n)[ *])foldin (?!foldin)[a-z].*$", block, flags=re.MULTILINE)
]


def check(arguments: list[str]) -> None:
    """Raise click's error if there is no such command or option, or a value is wrong."""
    command: click.Command = cli
    context = click.Context(command, info_name="foldin")
    while isinstance(command, click.Group):
        name, command, arguments = command.resolve_command(context, arguments)
        assert command is not None
        context = click.Context(command, info_name=name, parent=context)
    command.parse_args(context, list(arguments))


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=str)
def test_a_command_that_is_only_shown_exists(page, line):
    words = shlex.split(line, comments=True)
    ends = [at for at, word in enumerate(words) if word in (">", ">>", "|", "&&", "&")]
    check(words[1 : ends[0] if ends else None])


def test_a_wrong_command_is_noticed():
    for line in (
        "fitt events.csv",
        "fit events.csv --modell ease --out run",
        "runs rolback run",
        "serve --workers many",
    ):
        with pytest.raises(click.UsageError):
            check(line.split())
