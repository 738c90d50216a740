"""The state of the studio in its address, the theme, keys, and the way through by keys alone."""

import pytest
from playwright.sync_api import expect

from foldin.serve import Event, EventStore, KeyRing, connect
from tests.browser.conftest import LONG_NAME, NEEDS_CHROMIUM, serving
from tests.browser.steps import add, studio
from tests.serve.conftest import make_run

pytestmark = NEEDS_CHROMIUM


def titles(page) -> list[str]:
    page.wait_for_load_state("networkidle")
    return page.locator(".hits > li .line bdi").all_inner_texts()


@pytest.mark.long
def test_an_address_shows_the_same_in_another_browser_and_goes_back(page, address, browser):
    page.goto(address)
    add(page, "Film 2,")
    add(page, "Film 4,")
    expect(page.get_by_text("From 2 events.")).to_be_visible()
    page.get_by_role("combobox", name="List").select_option("temperature")
    expect(page.locator(".hits > li").first).to_contain_text("propensity")
    page.get_by_label("Number of items").fill("5")
    page.get_by_label("Number of items").press("Enter")
    page.get_by_role("combobox", name="Feature").select_option("year")
    page.get_by_role("textbox", name="Value").fill("1985")
    page.get_by_role("button", name="Add filter").click()
    expect(page.locator(".hits > li")).to_have_count(5)
    expect(page.get_by_role("list", name="Filters")).to_contain_text("year at least 1985")
    seen, link = titles(page), page.url
    assert not {"Film 1, the odd one", "Film 3, the odd one"} & set(seen)
    page.reload()
    assert titles(page) == seen
    with browser.new_context() as elsewhere:
        other = elsewhere.new_page()
        other.goto(link)
        assert titles(other) == seen
        expect(other.get_by_role("list", name="The history")).to_contain_text("Film 4, the even one")
    page.go_back()  # without the filter
    expect(page.get_by_role("list", name="Filters").get_by_role("listitem")).to_have_count(0)
    page.get_by_role("link", name="Compare").click()
    expect(page.get_by_role("heading", name="Compare")).to_be_visible()
    expect(page.get_by_role("list", name="The history")).to_contain_text("Film 4, the even one")
    page.go_back()
    expect(page.get_by_role("heading", name="A user")).to_be_visible()
    for _ in range(4):  # the length, the exploration, and both events
        page.go_back()
    expect(page.get_by_text("prior prediction")).to_be_visible()
    page.go_forward()
    expect(page.get_by_text("From 1 event.")).to_be_visible()


@pytest.mark.long
def test_the_theme_is_that_of_the_system_until_one_is_chosen_which_stays(page, address):
    theme = lambda: page.evaluate("() => document.documentElement.dataset.theme")
    page.emulate_media(color_scheme="dark")
    page.goto(address)
    assert theme() == "dark"
    page.emulate_media(color_scheme="light")
    page.wait_for_function("() => document.documentElement.dataset.theme === 'light'")
    page.get_by_role("button", name="Dark", exact=True).click()
    page.reload()
    assert theme() == "dark"
    expect(page.get_by_role("button", name="Light", exact=True)).to_be_visible()


@pytest.mark.long
def test_a_list_is_made_by_keys_alone(page, address):
    page.goto(address)
    search = page.get_by_label("Search titles")
    search.focus()
    page.keyboard.type("Film 12")
    page.keyboard.press("Enter")  # before anything was found
    expect(page.get_by_text("From 1 event.")).to_be_visible()
    expect(search).to_be_focused()
    page.keyboard.type("Film 14")
    page.keyboard.press("Enter")
    expect(page.get_by_text("From 2 events.")).to_be_visible()
    page.get_by_role("button", name="Remove Film 12, the even one").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove Film 14, the even one")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("prior prediction")).to_be_visible()
    expect(search).to_be_focused()


@pytest.mark.long
def test_topics_are_cards_with_shares(page, address):
    page.goto(studio(address, "model", ("model", LONG_NAME)))
    cards = page.get_by_role("region", name="Components").locator(".card")
    expect(cards).to_have_count(2)
    expect(cards.first.locator(".chip").first).to_contain_text("%")


@pytest.mark.long
def test_a_history_too_long_for_a_link_is_kept_in_the_tab(page, address):
    page.goto(studio(address, "user", ("model", "large"), *(("item", f"i{at}") for at in range(700))))
    expect(page.get_by_text("From 700 events.")).to_be_visible()
    page.get_by_role("button", name="Remove Thing 5", exact=True).click()
    expect(page.get_by_text("From 699 events.")).to_be_visible()
    assert "kept=1" in page.url
    page.reload()
    expect(page.get_by_text("From 699 events.")).to_be_visible()
    expect(page.get_by_text("kept in this tab alone")).to_be_visible()


@pytest.mark.long
def test_a_key_that_may_read_is_enough_and_each_refusal_has_its_reason(page, tmp_path):
    url = f"sqlite:///{tmp_path}/events.db"
    store = EventStore(connect(url))
    store.append([Event("anna", f"i{at}", at) for at in (1, 3)])
    keys = {scope: KeyRing(store.engine).create(scope, [scope]) for scope in ("read", "write")}
    store.engine.dispose()
    with serving([make_run(tmp_path / "multvae", "multvae")], url) as address:
        page.goto(address)
        reason = page.locator("#access-reason")
        for key, text in (
            (None, "This service needs a key."),
            ("foldin_none", "is wrong: it was mistyped, or revoked"),
            (keys["write"], "lacks the scope 'read'; it has 'write'"),
        ):
            if key is not None:
                page.get_by_label("Key", exact=True).fill(key)
                page.get_by_role("button", name="Use it").click()
            expect(reason).to_contain_text(text)
            expect(reason).to_be_visible()
        page.get_by_label("Key", exact=True).fill(keys["read"])
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("heading", name="A user")).to_be_visible()
        expect(reason).not_to_be_visible()
        page.get_by_label("Or a stored user, by id").fill("anna")
        page.get_by_role("button", name="Load").click()
        expect(page.get_by_text("From 2 events.")).to_be_visible()
        assert "user=anna" in page.url
        page.reload()
        expect(page.get_by_text("From 2 events.")).to_be_visible()
        expect(page.get_by_label("Or a stored user, by id")).to_have_value("anna")
        page.complaints.clear()  # the refused requests are in the console
