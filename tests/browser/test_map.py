"""The map of items: moved and zoomed in every way, and an item that is selected and added."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import NEEDS_CHROMIUM
from tests.browser.steps import studio

pytestmark = NEEDS_CHROMIUM


@pytest.mark.long
def test_ten_thousand_items_are_zoomed_by_button_wheel_and_fingers(page, address):
    page.goto(f"{address}/studio/index.html#/map")
    page.locator("#model").select_option("large")
    expect(page.get_by_text("10,000 items; the plane shows")).to_be_visible()
    canvas = page.locator("canvas.map")
    seen = set()

    def drawn() -> None:
        page.wait_for_timeout(150)
        picture = canvas.evaluate("one => one.toDataURL()")
        assert picture not in seen
        seen.add(picture)

    drawn()
    page.get_by_role("button", name="Zoom in").click()
    drawn()
    canvas.hover()
    page.mouse.wheel(0, -200)
    drawn()
    canvas.evaluate(
        """one => {
          one.setPointerCapture = () => {};
          const fire = (type, id, x, y) => {
            const box = one.getBoundingClientRect();
            one.dispatchEvent(new PointerEvent(type, { pointerId: id, clientX: box.x + x, clientY: box.y + y, bubbles: true }));
          };
          fire("pointerdown", 1, 100, 100); fire("pointerdown", 2, 140, 100);
          fire("pointermove", 2, 260, 100); fire("pointerup", 2, 260, 100); fire("pointerup", 1, 100, 100);
        }"""
    )
    drawn()
    page.get_by_role("button", name="All").click()
    page.wait_for_timeout(150)
    assert canvas.evaluate("one => one.toDataURL()") in seen


@pytest.mark.long
@pytest.mark.parametrize("model", ["multvae", "ease"])
def test_an_item_of_the_map_is_selected_and_added(page, address, model):
    page.goto(studio(address, "map", ("model", model)))
    canvas = page.locator("canvas.map")
    expect(page.get_by_text("20 items; the plane shows")).to_be_visible()
    canvas.focus()
    page.keyboard.press("Enter")
    chosen = page.locator(".selection strong")
    expect(chosen).to_contain_text("Film")
    title = chosen.inner_text()
    page.get_by_role("button", name="Add to the history").click()
    expect(page.get_by_role("list", name="The history")).to_contain_text(title)
    page.get_by_role("button", name="Deselect").click()
    expect(chosen).to_have_count(0)
    item = page.request.get(f"{address}/v1/items?q={title}&model={model}").json()["items"][0]["item"]
    points = page.request.get(f"{address}/v1/models/{model}/map").json()["items"]
    there = next(one for one in points if one["item"] == item)
    span = 2.2 * max(abs(value) for one in points for value in (one["x"], one["y"]))
    box = canvas.bounding_box()
    scale = min(box["width"], box["height"]) / span
    canvas.click(position={"x": box["width"] / 2 + there["x"] * scale, "y": box["height"] / 2 - there["y"] * scale})
    expect(chosen).to_have_text(title)
    page.reload()
    expect(chosen).to_have_text(title)
