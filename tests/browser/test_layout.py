"""The layout of the studio's pages on a phone, a tablet and a desk, whatever the titles are."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LONG_KIND, LONG_NAME, NEEDS_CHROMIUM
from tests.browser.steps import HISTORY, PAGES, WIDTHS, check_widths, findings, studio

pytestmark = NEEDS_CHROMIUM


@pytest.mark.long
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("model", ["hostile", LONG_NAME, "judged", "semantic", "ease", "popularity"])
def test_no_state_of_a_page_is_wider_than_the_screen(page, address, model, theme):
    page.emulate_media(color_scheme=theme)
    for name in PAGES:
        state = (("model", model), ("live", "1"), ("selected", "i0"), ("open", "0"), ("weight", f"{LONG_KIND}:1"))
        page.goto(studio(address, name, *HISTORY, *state))
        page.wait_for_load_state("networkidle")
        expect(page.locator("[aria-busy]")).to_have_count(0, timeout=60_000)
        check_widths(page, f"{name} of {model}", (320, *WIDTHS))
        assert findings(page) == []
