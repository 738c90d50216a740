"""The page on the command line is what the commands say of themselves."""

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_not_stale():
    spec = importlib.util.spec_from_file_location("write_cli", DOCS / "write_cli.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == module.text(), "run `make docs`"
