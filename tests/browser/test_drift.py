"""The page of drift in a real browser: the figures, their alarms and their course, at every width, whatever the names are."""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from foldin.experiment import Drift, DriftLimits, Likelihood
from foldin.serve import EventStore, connect
from foldin.serve.storage.drift_reports import DriftReports
from tests.browser.conftest import LONG_NAME, NEEDS_CHROMIUM, serving
from tests.browser.steps import check_widths, findings
from tests.serve.conftest import make_hostile_run, make_run

pytestmark = NEEDS_CHROMIUM
HOUR = 3600


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


def measure(reports: DriftReports, model: str, hours: int, *, dense: bool) -> None:
    """Measurements of the last hours, of a model that grows old; the newest exceeds two limits."""
    now = int(time.time()) // HOUR * HOUR
    for ago in range(hours, -1, -1):
        mean = -5.0 - 3.0 * (hours - ago) / max(hours, 1)
        fresh, old = (
            Likelihood(users=200, mean=one, low=one - 0.1, high=one + 0.1, popularity=-7.0, error=0.05)
            for one in (-5.0, mean)
        )
        found = Drift(
            since=now - HOUR * ago - 24 * HOUR,
            events=1000 - ago,
            users=200,
            new_users=0.25,
            unknown_items=0.02 if ago else 0.375,
            age=(hours - ago) / 24,
            likelihood=old if dense else None,
            first=fresh if dense else None,
        )
        slot, run = now - HOUR * ago, "first" if ago else "second"
        assert reports.claim(model, slot, run)
        reports.put(model, slot, {**found.as_dict(), "alarms": list(found.alarms(DriftLimits()))})


def test_drift_is_shown_with_its_alarms_and_fits_every_screen(page, served):
    address, reports = served
    page.goto(f"{address}/studio/index.html?model={LONG_NAME}#/drift")
    expect(page.get_by_text("Nothing was measured yet")).to_be_visible()
    check_widths(page, "drift without a measurement")
    measure(reports, LONG_NAME, 48, dense=True)
    measure(reports, "ease", 3, dense=False)
    page.reload()
    alarm = page.get_by_role("alert")
    expect(alarm).to_contain_text("37.5% of the latest events have items that the model does not know")
    expect(alarm).to_contain_text("the log-likelihood fell by 3.00 nats per item")
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="log-likelihood in nats per item"))
    expect(row).to_contain_text("-8.000 (-8.100 to -7.900)")
    expect(page.get_by_text("The model was deployed anew meanwhile: 2 runs.")).to_be_visible()
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    label = page.locator(".chart").first.get_attribute("aria-label")
    assert "the model: 49 from -5 to -8" in label
    check_widths(page, "drift")
    assert findings(page) == []
    page.get_by_label("Measurements of the last").select_option("24")
    expect(page.locator(".chart").first).to_have_attribute("aria-label", re.compile("the model: 24 from"))
    page.locator("#model").select_option("ease")
    expect(page.get_by_text("No log-likelihood: the model has no density")).to_be_visible()
    expect(page.get_by_role("rowheader", name="their users")).to_be_visible()
    check_widths(page, "drift of a model without a density")
