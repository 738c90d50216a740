"""The pages on the command line and on the HTTP interface are what these say of themselves."""

import json
import re
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


@pytest.mark.long
def test_every_request_names_the_scope_that_it_needs(written):
    first, *sections = written["write_http.py"].partition("## Objects")[0].split("\n## ")
    assert '{"error": …, "request_id": …}' in first
    named = {one.partition("\n")[0].strip("`"): re.search(r"^Scope: (.*)\.$", one, re.MULTILINE)[1] for one in sections}
    some = {
        "POST /v1/recommendations": "`read`",
        "POST /v1/events": "`write`",
        "GET /v1/users/{user}": "`read` or `write`",
        "POST /v1/models": "`admin`",
        "GET /healthz": "none, and no key",
    }
    assert {name: named[name] for name in some} == some
    assert [name for name, scope in named.items() if "none" in scope] == ["GET /healthz", "GET /readyz"]
