"""Steps that tests of the studio share."""

from pathlib import Path

import axe_playwright_python
from playwright.sync_api import Page

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def findings(page: Page, *rules: str) -> list[str]:
    """Serious findings of axe-core on the page as it is, by all its rules or by some."""
    options = {"runOnly": list(rules)} if rules else {}
    found = page.evaluate(f"options => {{ {AXE}; return window.axe.run(options); }}", options)
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in serious]


def add(page: Page, title: str) -> None:
    """Add the first item that a search finds."""
    page.get_by_label("Search titles").fill(title)
    page.get_by_role("button", name=f"Add {title}", exact=False).first.click()
