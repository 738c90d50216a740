"""The pages on the command line and on the HTTP interface are what these say of themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("script", "page"), [("write_cli.py", "cli.md"), ("write_http.py", "reference/http.md")])
def test_the_page_is_not_stale(script, page):
    # In a process of its own: click keeps the names of a command's help option from where it was first called.
    code = f"import runpy; print(runpy.run_path({str(DOCS / script)!r})['text'](), end='')"
    command = [sys.executable, "-X", "utf8", "-c", code]
    written = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert (DOCS / page).read_text(encoding="utf-8") == written, "run `make docs`"
