"""The page on the command line is what the commands say of themselves."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_not_stale():
    # In a process of its own: click keeps the names of a command's help option from where it was first called.
    script = f"import runpy; print(runpy.run_path({str(DOCS / 'write_cli.py')!r})['text'](), end='')"
    command = [sys.executable, "-X", "utf8", "-c", script]
    written = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == written, "run `make docs`"
