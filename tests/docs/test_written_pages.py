"""The pages on the command line and on the HTTP interface are what these say of themselves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"write_cli.py": "cli.md", "write_http.py": "reference/http.md"}


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """What the scripts write, by script; in a process of its own, since click keeps names from where it was first called."""
    code = "import json, runpy, sys; print(json.dumps({one: runpy.run_path(one)['text']() for one in sys.argv[1:]}))"
    command = [sys.executable, "-X", "utf8", "-c", code, *(str(DOCS / script) for script in PAGES)]
    found = json.loads(subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout)
    return {Path(script).name: text for script, text in found.items()}


@pytest.mark.long
@pytest.mark.parametrize(("script", "page"), PAGES.items(), ids=PAGES)
def test_the_page_is_not_stale(written, script, page):
    assert (DOCS / page).read_text(encoding="utf-8") == written[script], "run `make docs`"
