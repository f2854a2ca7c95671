"""The tag pages in a real browser: drag to a stretch, put it right, see old and new, take it back; step through bursts."""

from __future__ import annotations

import re
import time

import pytest
from browsers import Open, make_browser, make_opened, make_playwright  # noqa: F401  fixtures
from playwright.sync_api import Locator, Page, expect
from test_tag_pages import ADDRESS, TAG, make_times, make_waves, values  # noqa: F401  fixtures
from visits import make_chromium, make_fresh  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model.samples import TagInfo, ValueKind

pytestmark = pytest.mark.peer("chromium")


def drawn(place: Locator) -> Locator:
    """The area of a plot within its axes, once it is drawn."""
    expect(place).to_have_attribute("data-drawn", re.compile(r"\d+"))
    return place.locator(".u-over")


def drag(page: Page, place: Locator, first: float, last: float) -> None:
    box = place.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + first * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + last * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()


def test_a_stretch_is_chosen_by_dragging_put_right_seen_beside_what_came_and_taken_back(
    opened: Open, fresh: worlds.World, times: list[int]
) -> None:
    page = opened(f"{ADDRESS}?from={times[0]}&to={times[-1] + 1}", role="quality")
    # Ten samples a minute apart are few for so wide a line: nine of them are drawn as holding until the next.
    expect(page.locator("#trend")).to_have_attribute("data-drawn", "19")
    # From between the second and third sample to between the seventh and eighth.
    with page.expect_navigation():
        drag(page, drawn(page.locator("#trend")), 1.5 / 9, 6.5 / 9)
    expect(page.get_by_role("heading", name="Samples: 5")).to_be_visible()
    page.get_by_label("all 5 of this stretch").check()
    page.get_by_label("Value, °C").fill("150")
    page.locator("#right").get_by_label("Why").fill("door was open")
    page.get_by_role("button", name="Put right").click()
    expect(page.get_by_role("status").filter(has_text="Put right")).to_be_visible()
    assert values(fresh) == [200, 201, 150, 150, 150, 150, 150, 207, 208, 209]
    drawn(page.locator("#trend"))
    expect(page.locator("#trend .u-legend")).to_contain_text("as it came")
    expect(page.locator("#samples")).to_contain_text("put right 202 °C")
    expect(page.locator("#acts")).to_contain_text("5 samples, the first 202 °C → 150 °C")
    expect(page.locator("#acts")).to_contain_text("door was open")
    page.get_by_role("link", name="As known before").click()
    expect(page.locator("#samples")).to_contain_text("202 °C")
    expect(page.locator("#samples")).not_to_contain_text("150 °C")
    page.go_back()
    page.get_by_text("Take it back").click()
    page.locator("#acts").get_by_label("Why").fill("it was shut")
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_role("status").filter(has_text="Taken back")).to_be_visible()
    assert values(fresh) == [200.0 + at for at in range(10)]


@pytest.mark.long
def test_a_fast_signal_is_drawn_over_its_own_time_and_a_click_on_its_strength_leads_to_the_burst(
    opened: Open, waves: list[int]
) -> None:
    del waves
    page = opened("/tag/press/vibration", role="maintenance")
    drawn(page.locator("#wave"))
    expect(page.locator("#wave .u-axis").first).to_be_attached()
    expect(page.locator("#wave-of")).to_contain_text("peak 5 g")
    page.get_by_role("link", name="Before").click()
    expect(page.locator("#wave-of")).to_contain_text("peak 4 g")
    strength = drawn(page.locator("#strength"))
    box = strength.bounding_box()
    assert box is not None
    with page.expect_navigation():
        strength.click(position={"x": 2, "y": box["height"] / 2})
    expect(page.locator("#wave-of")).to_contain_text("peak 1 g")


@pytest.mark.long
def test_the_tag_pages_fit_every_screen(opened: Open, times: list[int], waves: list[int]) -> None:
    del waves
    page = opened("/tags", role="ot-engineer")
    for address in ("/tags", f"{ADDRESS}?from={times[0]}&to={times[-1] + 1}", "/tag/press/vibration"):
        page.goto(address)
        for width in (1280, 820, 390):
            page.set_viewport_size({"width": width, "height": 900})
            deadline = time.monotonic() + 5
            while page.evaluate("document.documentElement.scrollWidth - innerWidth") > 0:  # plots shrink a moment later
                assert time.monotonic() < deadline, (address, width)
                page.wait_for_timeout(50)


def test_tag_pages_move_by_themselves_and_leave_a_person_alone(
    opened: Open, fresh: worlds.World, times: list[int]
) -> None:
    del times
    page = opened("/tags?find=temp", role="quality")
    link = page.get_by_role("link", name=TAG, exact=True)
    link.focus()
    fresh.samples("oven", "temperature", [time.time_ns()], [321.0], 2)
    expect(page.locator("#found")).to_contain_text("321 °C")
    expect(link).to_be_focused()
    fresh.site.tags.intern_all([TagInfo(name="oven/temperature-2", kind=ValueKind.F64)])
    expect(page.get_by_role("link", name="oven/temperature-2")).to_be_visible(timeout=12_000)
    expect(link).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#newest")).to_contain_text("321 °C")
    drawn(page.locator("#trend"))
    page.get_by_label("all 11 of this stretch").check()
    value = page.get_by_label("Value, °C")
    value.press_sequentially("15")
    points = int(page.locator("#trend").get_attribute("data-drawn") or 0)
    fresh.samples("oven", "temperature", [time.time_ns()], [333.0], 3)
    expect(page.locator("#newest")).to_contain_text("333 °C")
    expect(page.locator("#trend")).to_have_attribute("data-drawn", str(points + 1))
    expect(value).to_have_value("15")
    expect(value).to_be_focused()
    expect(page.get_by_label("all 11 of this stretch")).to_be_checked()
    page.get_by_role("link", name="Newer ones have come").click()
    expect(page.get_by_role("heading", name="Samples: 12")).to_be_visible()


def test_a_tag_that_was_never_heard_gets_its_line_with_its_first_sample(opened: Open, fresh: worlds.World) -> None:
    fresh.site.tags.intern_all([TagInfo(name="oven/door", kind=ValueKind.BOOL)])
    page = opened("/tag/oven/door", role="operator")
    expect(page.locator("#newest")).to_have_text("never heard")
    fresh.samples("oven", "door", [time.time_ns()], [True], 1)
    expect(page.locator("#newest")).to_contain_text("true")
    drawn(page.locator("#trend"))


@pytest.mark.long
def test_a_line_that_somebody_looks_into_stays_while_samples_come_in(opened: Open, fresh: worlds.World) -> None:
    page = opened(f"/machine/{worlds.below('CNC-01')}?tag=cnc-01/good", role="operator")
    place = page.locator("#trend")
    over = drawn(place)
    over.scroll_into_view_if_needed()
    drag(page, over, 0.2, 0.6)
    expect(place).to_have_attribute("data-held", "")
    cursor = page.evaluate("document.querySelector('#trend .u-over').getBoundingClientRect().width")
    before = int(place.get_attribute("data-drawn") or 0)
    fresh.samples("cnc-01", "good", [time.time_ns()], [999_999], 9)
    expect(place).to_have_attribute("data-drawn", str(before + 1))
    expect(place).to_have_attribute("data-held", "")
    assert cursor == page.evaluate("document.querySelector('#trend .u-over').getBoundingClientRect().width"), (
        "no wider axis"
    )
    over.dblclick()
    expect(place).not_to_have_attribute("data-held", "")
