"""The layout of the studio's pages on a phone, a tablet and a desk, whatever the titles are."""

from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import LONG_NAME, NEEDS_CHROMIUM
from tests.browser.steps import findings

pytestmark = NEEDS_CHROMIUM

PAGES = ("user", "model", "compare", "map", "learn", "lab")
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


def studio(address: str, page: str, *state: tuple[str, str]) -> str:
    return f"{address}/studio/index.html?{urlencode(state)}#/{page}"


def check_widths(page: Page, what: str, widths: tuple[int, ...] = WIDTHS) -> None:
    for width in widths:
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        over, which = page.evaluate(WIDER)
        assert over <= 0, (what, width, which)
        assert not which, (what, width, which)


def test_no_page_is_wider_than_the_screen_whatever_the_titles(page, address):
    page.set_viewport_size({"width": 390, "height": 844})
    for name in PAGES:
        page.goto(studio(address, name, *HISTORY, ("model", "hostile"), ("filter", "year:low:1900")))
        page.wait_for_load_state("networkidle")
        if name == "user":
            first = page.locator(".hits > li").first
            expect(first).to_be_visible()
            assert first.bounding_box()["y"] < 600  # the list begins on the first screen
            page.get_by_role("button", name="What changes without").first.click()
            expect(page.get_by_role("region", name="Without one event").get_by_role("table")).to_be_visible()
        check_widths(page, name)
    assert page.evaluate("() => document.querySelectorAll('main img, main b').length") == 0


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("model", ["hostile", LONG_NAME, "judged", "semantic", "ease", "popularity"])
def test_no_state_of_a_page_is_wider_than_the_screen(page, address, model, theme):
    page.emulate_media(color_scheme=theme)
    for name in PAGES:
        page.goto(studio(address, name, *HISTORY, ("model", model), ("live", "1"), ("selected", "i0"), ("open", "0")))
        page.wait_for_load_state("networkidle")
        expect(page.locator("[aria-busy]")).to_have_count(0, timeout=60_000)
        check_widths(page, f"{name} of {model}", (320, *WIDTHS))
        assert findings(page) == []
