"""Every example in the README and the pages of the documentation runs: Python blocks, and commands after `$` in console blocks.

The examples of a page share their names and run in a folder of their own, in the order of the page.
"""

import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sybil import Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser


def run_commands(example: Example) -> None:
    """Run the commands of a console block, each of which must end well; a line that is none is an error."""
    from foldin.cli import main

    for line in example.parsed.splitlines():
        prompt, program, *arguments = shlex.split(line)
        assert (prompt, program) == ("$", "foldin"), f"{line}: $ foldin … was expected, and `text` for what is not run"
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert not stop.value.code, line


def enter(names: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    names["before_page"], names["folder_of_page"] = Path.cwd(), tempfile.TemporaryDirectory()
    os.chdir(names["folder_of_page"].name)


def leave(names: dict[str, Any]) -> None:
    os.chdir(names["before_page"])
    names["folder_of_page"].cleanup()


collect: Callable[..., Any] = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", run_commands)],
    patterns=[
        "README.md",
        "README.ko.md",
        "docs/*.md",
        "docs/start/*.md",
        "docs/guide/*.md",
        "docs/ko/*.md",
        "docs/book/en/*.md",
    ],
    setup=enter,
    teardown=leave,
).pytest()
pytest_collect_file = collect
