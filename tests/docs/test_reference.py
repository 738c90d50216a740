"""The reference has a page of every public package, and its table and its contents name them all."""

import re
from pathlib import Path

import foldin

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PACKAGES = {*foldin._PACKAGES, "book", "client", "formulas", "serve", "sklearn", "testing"}


def test_every_public_package_has_a_page_that_lists_its_names():
    index = (REFERENCE / "python.md").read_text(encoding="utf-8")
    contents = re.search(r"^```\{toctree\}\n:hidden:\n\n(.*?)^```", index, flags=re.DOTALL | re.MULTILINE)[1].split()
    documented = {}
    for page in contents:
        text = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
        for name in re.findall(r"^\.\. automodule:: foldin\.(\w+)\n   :members:", text, flags=re.MULTILINE):
            documented[name] = page
    assert set(documented) == PACKAGES
    for name, page in documented.items():
        assert re.search(rf"^\| \[.*`foldin\.{name}`.*\]\({page}\.md\)", index, flags=re.MULTILINE), name
