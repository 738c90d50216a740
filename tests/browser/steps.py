"""Steps that tests of the studio share."""

from pathlib import Path
from urllib.parse import urlencode

import axe_playwright_python
from playwright.sync_api import Page

PAGES = ("user", "model", "compare", "experiments", "drift", "map", "learn", "lab")
WIDTHS = (390, 768, 1440)
HISTORY = [("item", f"i{at}") for at in (0, 1, 2, 3, 6)]
# The boxes that are wider than the page, unless what is around them scrolls or is cut.
WIDER = """() => {
  const width = document.documentElement.clientWidth;
  const hidden = (one) => one !== document.body && (getComputedStyle(one).overflowX !== 'visible' || hidden(one.parentElement));
  const over = (one) => one.getBoundingClientRect().right > width + 1;
  const found = [...document.body.querySelectorAll('*')].filter((one) => over(one) && !hidden(one));
  return [document.documentElement.scrollWidth - width, found.slice(0, 3).map((one) => one.outerHTML.slice(0, 120))];
}"""
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def is_whole(page: Page, table: str) -> bool:
    """Whether all columns of a table are on the screen at once."""
    return bool(page.get_by_role("region", name=table).evaluate("one => one.scrollWidth <= one.clientWidth"))


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


def studio(address: str, page: str, *state: tuple[str, str]) -> str:
    """The address of a page with a state."""
    return f"{address}/studio/index.html?{urlencode(state)}#/{page}"


def check_widths(page: Page, what: str, widths: tuple[int, ...] = WIDTHS) -> None:
    """Nothing is wider than the page at any of these widths."""
    for width in widths:
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        over, which = page.evaluate(WIDER)
        assert over <= 0, (what, width, which)
        assert not which, (what, width, which)
