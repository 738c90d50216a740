"""The page of drift in a real browser: the figures, their alarms and their course, at every width, whatever the names are."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from foldin.serve import EventStore, connect
from foldin.serve.storage.drift_reports import DriftReports
from tests.browser.conftest import LONG_NAME, NEEDS_CHROMIUM, serving
from tests.browser.steps import check_widths, findings, is_whole, studio
from tests.browser.stored import measure_drift
from tests.serve.conftest import make_hostile_run, make_run

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, DriftReports]]:
    """(address, measurements) of a serving process that measures nothing itself."""
    root = tmp_path_factory.mktemp("drift")
    runs, url = (
        [make_hostile_run(root / LONG_NAME, "multvae"), make_run(root / "ease", "ease")],
        f"sqlite:///{root}/events.db",
    )
    with serving(runs, url, "--no-keys", "--drift-every", "0") as found:
        engine = connect(url)
        EventStore(engine)
        yield found, DriftReports(engine)
        engine.dispose()


def test_drift_is_shown_with_its_alarms_and_fits_every_screen(page, served):
    address, reports = served
    page.goto(f"{address}/studio/index.html?model={LONG_NAME}#/drift")
    expect(page.get_by_text("Nothing was measured yet")).to_be_visible()
    check_widths(page, "drift without a measurement")
    measure_drift(reports, LONG_NAME, 48, dense=True)
    measure_drift(reports, "ease", 3, dense=False)
    page.reload()
    alarm = page.get_by_role("alert")
    expect(alarm).to_contain_text("37.5% of the latest events have items that the model does not know")
    expect(alarm).to_contain_text("the log-likelihood fell by 3.00 nats per item")
    row = page.get_by_role("row").filter(
        has=page.get_by_role("rowheader", name="log-likelihood in nats per item", exact=True)
    )
    expect(row).to_contain_text("−8.000 (−8.100 to −7.900)")
    expect(page.get_by_text("The model was deployed anew meanwhile: 2 runs.")).to_be_visible()
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    label = page.locator(".chart").first.get_attribute("aria-label")
    assert "the model: 49 from -5 to -8" in label
    check_widths(page, "drift")
    assert findings(page) == []
    expect(
        page.get_by_text(re.compile(r"^Measured .*:00 UTC, \d+ (minute|hour)s? ago, on 1,000 events of 200 users"))
    ).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert is_whole(page, "The newest measurement")
    period = page.get_by_label("Measurements of the last")
    period.select_option("24")
    expect(page.locator(".chart").first).to_have_attribute("aria-label", re.compile("the model: 24 from"))
    expect(page.get_by_text(re.compile(r"^24 measurements since .*:00 UTC"))).to_be_visible()
    assert "span=24" in page.url
    page.reload()
    expect(period).to_have_value("24")
    expect(page.locator(".chart").first).to_have_attribute("aria-label", re.compile("the model: 24 from"))
    page.go_back()
    expect(page.locator(".chart").first).to_have_attribute("aria-label", re.compile("the model: 49 from"))
    expect(period).to_have_value("168")
    page.goto(studio(address, "drift", ("model", LONG_NAME), ("span", "3")))
    expect(period.get_by_role("option", selected=True)).to_have_text("3 hours")
    expect(page.locator(".chart").first).to_have_attribute("aria-label", re.compile("the model: 3 from"))
    page.locator("#model").select_option("ease")
    expect(page.get_by_text("No log-likelihood: the model has no density")).to_be_visible()
    expect(page.get_by_role("rowheader", name="users without an earlier event")).to_be_visible()
    expect(page.get_by_role("rowheader", name="log-likelihood")).to_have_count(0)
    check_widths(page, "drift of a model without a density")
