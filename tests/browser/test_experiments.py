"""The page of experiments in a real browser: the arms and the sequence of an experiment, on a phone, and without one."""

import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

from foldin.serve import Event, EventStore, Impression, ImpressionStore, connect
from tests.browser.conftest import NEEDS_CHROMIUM, serving
from tests.browser.steps import findings
from tests.serve.conftest import make_run

pytestmark = NEEDS_CHROMIUM
USERS = 600


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """(address, URL of the database) of a serving process."""
    root = tmp_path_factory.mktemp("experiments")
    runs, url = [make_run(root / name, name) for name in ("ease", "popularity")], f"sqlite:///{root}/events.db"
    with serving(runs, url, "--no-keys") as found:
        yield found, url


def fill(address: str, url: str) -> None:
    """Begin a split, and store what came of it within the last two days: the second model is better."""
    answer = httpx.put(f"{address}/v1/split", json={"shares": {"ease": 0.5, "popularity": 0.5}})
    assert answer.status_code == 200, answer.text
    engine, begin, rng = connect(url), int(time.time()) - 2 * 86_400, np.random.default_rng(0)
    lists, events = [], []
    for at in range(USERS):
        arm = ("ease", "popularity")[at % 2]
        about = {"model": arm, "arm": arm, "share": 0.5, "split": answer.json()["revision"]}
        moment = begin + 60 * at
        lists.append(
            Impression(list_id=f"l{at}", time=moment, user=f"u{at}", run="r", ranker="exact", items=["i1"], **about)
        )
        if rng.uniform() < {"ease": 0.2, "popularity": 0.6}[arm]:
            events.append(Event(f"u{at}", "i1", moment + 60, "buy"))
    EventStore(engine).append(events)
    ImpressionStore(engine).write(lists)
    engine.dispose()


def test_an_experiment_is_shown_with_its_arms_and_its_sequence_and_fits_a_phone(page, served):
    address, url = served
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{address}/studio/index.html#/experiments")
    expect(page.get_by_text("There was no split of users yet")).to_be_visible()
    fill(address, url)
    page.reload()
    expect(page.get_by_role("rowheader", name="ease (control)")).to_be_visible()
    expect(page.get_by_text("Better: the difference of the share of users with an event")).to_be_visible()
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 391
    assert findings(page) == []
    page.get_by_label("Weights of events by kind").fill("view:1")
    page.get_by_label("Weights of events by kind").press("Enter")
    expect(page.get_by_text("Better: the difference")).to_be_hidden()
    page.get_by_label("Weights of events by kind").fill("nonsense")
    page.get_by_label("Weights of events by kind").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("KIND:WEIGHT was expected")
    page.complaints[:] = [one for one in page.complaints if "422" not in one]  # the browser logs the refused request
