"""The figures to move in a real browser: drawn, moved, played, reset in both languages, without an error or a finding of axe."""

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from foldin.book import FIGURES, figures
from tests.browser.conftest import NEEDS_CHROMIUM
from tests.browser.steps import findings

pytestmark = NEEDS_CHROMIUM

ONE = "gaussian-kl"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        """Nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[str]:
    """All figures on one page in each language, and a page with a single one."""
    folder = tmp_path_factory.mktemp("figures") / "site"
    shutil.copytree(FIGURES, folder)
    place = '<div data-figure="{}"><div class="moving-place"></div></div>'
    everything = "".join(map(place.format, figures()))
    for name, language, places in (
        ("en", "en", everything),
        ("ko", "ko", everything),
        ("one", "en", place.format(ONE)),
    ):
        (folder / f"{name}.html").write_text(
            f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>Figures</title>'
            '<link rel="icon" href="data:,"><link rel="stylesheet" href="figures.css"></head><body><main><h1>Figures</h1>'
            f'{places}</main><script type="module" src="book.js"></script></body></html>',
            encoding="utf-8",
        )
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def opened(page: Page, address: str) -> None:
    page.goto(address)
    for name in [ONE] if address.endswith("one.html") else figures():
        drawn = page.locator(f'[data-figure="{name}"] .moving-stage').locator("svg, table, .track").first
        expect(drawn, name).to_be_visible()


@pytest.mark.parametrize("language", ["en", pytest.param("ko", marks=pytest.mark.long)])
def test_every_figure_is_drawn_and_can_be_read_by_everybody(page, site, language):
    opened(page, f"{site}/{language}.html")
    assert not page.get_by_role("alert").count()
    assert not findings(page)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_moving_changes_the_picture_and_the_address_and_reset_undoes_both(page, site):
    opened(page, f"{site}/one.html")
    figure = page.locator(f'[data-figure="{ONE}"]')
    before = figure.locator(".moving-stage").inner_html()
    figure.get_by_label("Mean μ of q").fill("-2")
    expect(page).to_have_url(f"{site}/one.html?{ONE}.mu=-2")
    assert figure.locator(".moving-stage").inner_html() != before
    page.reload()
    expect(figure.get_by_label("Mean μ of q")).to_have_value("-2")
    figure.get_by_role("button", name="Reset").click()
    expect(page).to_have_url(f"{site}/one.html")
    expect(figure.get_by_label("Mean μ of q")).to_have_value("1.2")


def test_a_question_is_answered_before_its_reason_is_shown(page, site):
    opened(page, f"{site}/ko.html")
    for name in figures():
        figure = page.locator(f'[data-figure="{name}"]')
        assert not figure.locator(".moving-because").count()
        figure.locator(".moving-choices button").first.click()
        expect(figure.locator(".moving-because")).to_be_focused()
        assert figure.locator("button[data-right]").count() == 1


def test_time_is_stepped_and_scrubbed(page, site):
    opened(page, f"{site}/en.html")
    played = [name for name in figures() if page.locator(f'[data-figure="{name}"] .moving-time').is_visible()]
    assert "em" in played
    for name in played:
        figure = page.locator(f'[data-figure="{name}"]')
        first = figure.locator(".moving-stage").inner_html()
        figure.get_by_role("button", name="One step forward").click()
        assert figure.locator(".moving-stage").inner_html() != first, name
        figure.get_by_role("button", name="One step back").click()
        figure.get_by_role("button", name="Play").click()
        figure.get_by_role("button", name="Pause").click()


def test_a_handle_is_dragged(page, site):
    opened(page, f"{site}/one.html")
    figure = page.locator(f'[data-figure="{ONE}"]')
    handle = figure.locator(".handle").first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y, steps=5)
    page.mouse.move(x - 80, y, steps=5)
    page.mouse.up()
    assert float(figure.get_by_label("Mean μ of q").input_value()) < 0.5
