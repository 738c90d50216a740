"""The studio in a real browser: every page, without an error, a violation of the content policy or a serious finding of axe."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LONG_KIND, NEEDS_CHROMIUM
from tests.browser.steps import HISTORY, PAGES, add, check_widths, findings, is_whole, studio

pytestmark = NEEDS_CHROMIUM


def test_a_history_is_built_and_the_list_reacts(page, address):
    page.goto(address)
    expect(page.get_by_role("heading", name="A user")).to_be_visible()
    expect(page.get_by_text("prior prediction")).to_be_visible()
    add(page, "Film 2,")
    add(page, "Film 4,")
    expect(page.get_by_text("From 2 events.")).to_be_visible()
    hits = page.get_by_role("list", name="What the model expects next").get_by_role("listitem")
    expect(hits).to_have_count(10)
    expect(hits.first).to_contain_text("even one")
    expect(hits.first).to_contain_text("because of")
    expect(hits.first).to_contain_text("±")
    page.get_by_role("button", name="Remove Film 4, the even one").click()
    expect(page.get_by_text("From 1 event.")).to_be_visible()
    page.get_by_role("combobox", name="List").select_option("temperature")
    expect(hits.first).to_contain_text("propensity")
    page.locator("#model").select_option("ease")
    expect(page.get_by_role("combobox", name="List")).to_have_value("none")  # EASE refuses the exploration
    expect(page.get_by_text("one draw from the posterior: a draw from the posterior needs a model")).to_be_visible()
    for value in ("thompson", "temperature"):
        expect(page.locator(f"#explore option[value={value}]")).to_be_disabled()
    expect(page.locator("#temperature")).to_be_disabled()


@pytest.mark.long
def test_events_that_lower_an_item_are_no_reason_for_it_and_effects_have_their_unit(page, address):
    for name, unit in (("multvae", "in nats of log-probability"), ("ease", "in the model's score")):
        page.goto(studio(address, "user", ("model", name)))
        expect(page.get_by_text("prior prediction")).to_be_visible()
        expect(page.get_by_text("In brackets")).to_have_count(0)  # nothing has an effect yet
        for title in ("Film 2,", "Film 4,", "Film 7,"):
            add(page, title)
        expect(page.get_by_text("From 3 events.")).to_be_visible()
        expect(page.get_by_text(unit)).to_be_visible()
        reasons = page.locator(".hits .why")
        expect(reasons.filter(has_text=re.compile("^despite")).first).to_be_visible()
        for text in reasons.all_text_contents():
            assert re.match(r"because of ([^−]+)$|despite ([^+]+)$", text), text


def test_the_slider_of_exploration_draws_at_once(page, address):
    page.goto(address)
    page.locator("#model").select_option("multvae")
    hits = page.get_by_role("list", name="What the model expects next").get_by_role("listitem")
    expect(hits.first).to_be_visible()
    page.locator("#temperature").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("combobox", name="List")).to_have_value("temperature")
    expect(hits.first).to_contain_text("propensity")


def test_a_known_user_is_loaded(page, address):
    page.goto(address)
    events = [{"user": "anna", "item": f"i{at}", "time": at} for at in (1, 3)]
    page.request.post(f"{address}/v1/events", data={"events": events})
    page.get_by_label("Or a stored user, by id").fill("anna")
    page.get_by_role("button", name="Load").click()
    expect(page.get_by_text("From 2 events.")).to_be_visible()
    expect(page.get_by_role("list", name="The history")).to_contain_text("Film 3, the odd one")
    events = [{"user": "bert", "item": f"i{at}", "time": time} for time, at in enumerate((1, 3, 1))]
    page.request.post(f"{address}/v1/events", data={"events": events})
    page.get_by_label("Or a stored user, by id").fill("bert")
    with page.expect_request("**/v1/recommendations") as asked:
        page.get_by_role("button", name="Load").click()
    # As the service reads them for this user, the times included.
    sent = asked.value.post_data_json
    assert (sent["history"], sent["times"]) == (["i1", "i3"], [0, 1])


def test_the_model_shows_its_training_and_says_what_it_cannot(page, address):
    page.goto(f"{address}/studio/index.html#/model")
    expect(page.get_by_role("heading", name="The model")).to_be_visible()
    page.get_by_role("button", name="Compute the bound report").click()
    expect(page.get_by_label("Bound report").locator(".state")).to_be_visible()


@pytest.mark.long
def test_the_bound_report_is_worked_out_live_and_drawn(page, address):
    page.goto(f"{address}/studio/index.html#/model")
    page.locator("#model").select_option("judged")
    expect(page.get_by_role("img", name=re.compile("^Terms of training by epoch. .*6 from"))).to_be_visible()
    page.get_by_role("button", name="Compute the bound report").click()
    report = page.get_by_role("region", name="Bound report")
    expect(report.get_by_role("heading", name="The bound", exact=True)).to_be_visible(timeout=60_000)
    for row in ("ELBO", "KL", "best bound on log p(x)", "gap: amortization, at least"):
        expect(report.get_by_role("rowheader", name=row, exact=True)).to_be_visible()
    for title, terms in (
        ("Evidence, bound and gap", 3),
        ("The two terms of the ELBO", 3),
        ("Decomposition of the KL term", 4),
    ):
        equation = report.locator(".equation").filter(has=page.get_by_role("heading", name=title))
        assert equation.locator(".term math").count() == terms
        assert all(re.search(r"\d\.\d\d", one) for one in equation.locator(".value").all_inner_texts())
    for chart in ("IWAE bound by number of draws", "KL per latent dimension", "Calibration"):
        found = report.get_by_role("img", name=re.compile(f"^{chart}.* from "))
        expect(found.locator("svg.main-svg").first).to_be_visible()
    assert findings(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    for name in ("Test metrics with intervals", "The bound and its gap", "Terms of the bound"):
        assert is_whole(page, name), name


def test_the_page_learn_has_the_figures_of_the_book(page, address):
    page.goto(f"{address}/studio/index.html#/learn")
    first = page.locator("[data-figure='gaussian-fit'] .moving-stage svg").first
    expect(first).to_be_visible()
    page.get_by_text("3. Latent variables and EM").click()
    played = page.locator("[data-figure='em']")  # computed by the library now
    expect(played.locator(".moving-stage svg").first).to_be_visible(timeout=60_000)
    before = played.locator(".moving-stage").inner_html()
    played.get_by_role("button", name="One step forward").click()
    assert played.locator(".moving-stage").inner_html() != before
    assert findings(page) == []


def test_the_code_tree_opens_down_to_an_item(page, address):
    page.goto(f"{address}/studio/index.html#/model")
    page.locator("#model").select_option("semantic")
    tree = page.get_by_role("region", name="Code tree")
    for _ in range(3):
        tree.locator("details:not([open]) > summary:visible").first.click()
        expect(tree.locator("[aria-busy]")).to_have_count(0)
        if tree.locator(".leaf:visible").count():
            break
    expect(tree.locator(".leaf:visible").first).to_contain_text("Film")
    assert findings(page) == []


def test_it_is_told_what_changes_without_an_event(page, address):
    page.goto(address)
    page.locator("#model").select_option("multvae")
    add(page, "Film 2,")
    add(page, "Film 3,")
    page.get_by_role("button", name="What changes without Film 3, the odd one").click()
    part = page.get_by_role("region", name="Without one event")
    expect(part.get_by_role("heading", name="Without Film 3, the odd one")).to_be_visible()
    ask = lambda *history: page.request.post(f"{address}/v1/recommendations", data={"history": history}).json()["items"]
    whole, less = ({one["title"] for one in ask(*history)} for history in (("i2", "i3"), ("i2",)))
    assert less - whole
    for title in less - whole:
        expect(part.get_by_role("row", name=re.compile(f"^{title}"))).to_contain_text(re.compile("enters|up"))
        expect(part.get_by_role("status")).to_contain_text(title)
    assert findings(page) == []
    part.get_by_role("button", name="Close").click()
    expect(part.get_by_role("heading")).to_have_count(0)


def test_models_stand_side_by_side(page, address):
    page.goto(f"{address}/studio/index.html#/compare")
    add(page, "Film 2,")
    for name in ("multvae", "ease", "popularity"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.get_by_role("table", name="Items that two lists have in common")).to_be_visible()


def test_the_map_moves_and_tells(page, address):
    page.goto(f"{address}/studio/index.html#/map")
    canvas = page.locator("canvas")
    expect(canvas).to_be_visible()
    expect(page.get_by_text("20 items; the plane shows")).to_be_visible()

    page.wait_for_function("() => document.querySelector('canvas').width > 400")
    seen = "() => document.querySelector('canvas').toDataURL()"
    before = page.evaluate(seen)
    assert len(before) > 5000
    canvas.focus()
    page.keyboard.press("+")
    zoomed = page.evaluate(seen)
    assert zoomed != before
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(seen) != zoomed
    add(page, "Film 2,")


@pytest.mark.long
def test_the_lab_runs_step_by_step(page, address):
    page.goto(f"{address}/studio/index.html#/lab")
    for name in ("EM", "Variational inference", "Diffusion"):
        section = page.get_by_role("region", name=name)
        expect(section.locator(".chart svg.main-svg").first).to_be_visible(timeout=20_000)
        frames = section.locator("input[id$='-frame']")
        before = section.locator(".gtitle").last.text_content()
        frames.focus()
        page.keyboard.press("Home")
        expect(section.locator(".gtitle").last).not_to_have_text(before or "")


@pytest.mark.parametrize(
    "name",
    [
        "user",
        "model",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("compare", "experiments", "drift", "map", "lab")),
    ],
)
def test_pages_have_no_serious_finding_of_accessibility(page, address, name):
    page.emulate_media(color_scheme="light")
    page.goto(f"{address}/studio/index.html#/{name}")
    page.wait_for_load_state("networkidle")
    assert findings(page) == []
    page.get_by_role("button", name="Dark", exact=True).click()
    page.wait_for_load_state("networkidle")
    assert findings(page, "color-contrast") == []  # what a theme changes is colors


def test_everything_is_reached_by_the_keyboard(page, address):
    page.goto(address)
    expect(page.get_by_role("heading", name="A user")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_role("heading", name="A user")).to_be_visible()
    page.goto(f"{address}/studio/index.html#/map")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The map")).to_be_visible()
    page.goto(address)
    expect(page.get_by_role("heading", name="A user")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="The model")).to_be_visible()
    expect(page.get_by_role("link", name="The model")).to_have_attribute("aria-current", "page")


def test_a_link_shows_its_list_enter_adds_and_back_takes_away(page, address):
    page.goto(studio(address, "user", ("item", "i2"), ("k", "3"), ("model", "multvae")))
    expect(page.get_by_text("From 1 event.")).to_be_visible()
    expect(page.locator(".hits > li")).to_have_count(3)
    expect(page.get_by_role("list", name="The history")).to_contain_text("Film 2, the even one")
    page.get_by_label("Search titles").focus()
    page.keyboard.type("Film 12")
    page.keyboard.press("Enter")  # before anything was found
    expect(page.get_by_text("From 2 events.")).to_be_visible()
    expect(page.get_by_label("Search titles")).to_be_focused()
    page.get_by_role("button", name="Dark", exact=True).click()
    page.reload()
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    expect(page.get_by_text("From 2 events.")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("From 1 event.")).to_be_visible()


def test_no_page_is_wider_than_the_screen_whatever_the_titles(page, address):
    page.set_viewport_size({"width": 390, "height": 844})
    for name in PAGES:
        weight = ("weight", f"{LONG_KIND}:2.5")
        page.goto(studio(address, name, *HISTORY, ("model", "hostile"), ("filter", "year:low:1900"), weight))
        page.wait_for_load_state("networkidle")
        if name in ("experiments", "drift"):
            expect(page.get_by_role("table").first).to_be_visible()
        if name == "user":
            first = page.locator(".hits > li").first
            expect(first).to_be_visible()
            assert first.bounding_box()["y"] < 600  # the list begins on the first screen
            page.get_by_role("button", name="What changes without").first.click()
            expect(page.get_by_role("region", name="Without one event").get_by_role("table")).to_be_visible()
        check_widths(page, name)
    assert page.evaluate("() => document.querySelectorAll('main img, main b').length") == 0
