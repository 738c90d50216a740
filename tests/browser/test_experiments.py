"""The page of experiments in a real browser: the arms and the sequence of an experiment, its address, and without one."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LONG_NAME, NEEDS_CHROMIUM, serving
from tests.browser.steps import check_widths, findings, is_whole, studio
from tests.browser.stored import make_experiment
from tests.serve.conftest import make_run

pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, str]]:
    """(address, URL of the database) of a serving process."""
    root = tmp_path_factory.mktemp("experiments")
    runs = [make_run(root / name, "ease" if name == LONG_NAME else name) for name in ("ease", "popularity", LONG_NAME)]
    url = f"sqlite:///{root}/events.db"
    with serving(runs, url, "--no-keys") as found:
        yield found, url


def test_an_experiment_is_shown_with_its_arms_and_its_sequence_and_a_link_shows_it_again(page, served, browser):
    address, url = served
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{address}/studio/index.html#/experiments")
    expect(page.get_by_text("There was no split of users yet")).to_be_visible()
    first = make_experiment(address, url, ("ease", "popularity"))
    page.reload()
    expect(page.get_by_role("columnheader", name="ease (control)")).to_be_visible()
    better = page.get_by_text("Better: the difference of the share of users with an event")
    expect(better).to_be_visible()
    assert better.bounding_box()["y"] < 600  # the verdict is on the first screen
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    assert is_whole(page, "Arms of the experiment")
    check_widths(page, "experiments")
    assert findings(page) == []

    choice, weights = page.get_by_label("Experiment", exact=True), page.get_by_label("Weights of events by kind")
    expect(choice).to_contain_text("UTC: ease, popularity")
    page.get_by_label("Outcome that is compared").select_option("events")
    expect(page.get_by_role("rowheader", name="weighted events of a user")).to_be_visible()
    page.get_by_label("Time after a user's first list").select_option("3600")
    weights.fill("buy:5, view:1")
    weights.press("Enter")
    weighted = re.compile(r"the weighted events of a user is \+(1\.[5-9]|2)")
    expect(page.get_by_text(weighted)).to_be_visible()
    link = page.url
    for part in (f"experiment={first}", "measure=events", "window=3600", "weight=buy%3A5", "weight=view%3A1"):
        assert part in link, part
    second = make_experiment(address, url, (LONG_NAME, "popularity"), users=40)
    with browser.new_context() as elsewhere:  # another browser, after a newer experiment began
        other = elsewhere.new_page()
        other.goto(link)
        expect(other.get_by_text(weighted)).to_be_visible()
        expect(other.get_by_label("Experiment", exact=True)).to_have_value(str(first))
        expect(other.get_by_label("Weights of events by kind")).to_have_value("buy:5, view:1")
        other.goto(f"{address}/studio/index.html#/experiments")
        expect(other.get_by_label("Experiment", exact=True)).to_have_value(str(first))  # this tab's
    page.go_back()
    expect(weights).to_have_value("")
    expect(page.get_by_label("Time after a user's first list")).to_have_value("3600")
    page.goto(studio(address, "experiments", ("experiment", str(second)), ("window", "7200")))
    expect(page.get_by_role("columnheader", name="a_model_with")).to_be_visible()
    expect(page.get_by_label("Time after a user's first list").get_by_role("option", selected=True)).to_have_text(
        "7200 seconds"
    )
    check_widths(page, "experiments with a long name")
    choice.select_option(str(first))
    expect(better).to_be_visible()
    weights.fill("view:1")
    weights.press("Enter")
    expect(better).to_be_hidden()
    weights.fill("nonsense")
    weights.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("KIND:WEIGHT was expected")
    page.goto(studio(address, "experiments", ("experiment", "999")))
    expect(page.get_by_role("alert")).to_contain_text("no experiment 999")
    page.complaints[:] = [one for one in page.complaints if "422" not in one and "404" not in one]  # refused requests
