"""Pages in a real browser: quick, live, quiet, reachable by keyboard, and never asking anybody else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

import pytest
from browsers import Open, free, make_browser, make_opened, make_playwright, opener  # noqa: F401  fixtures
from playwright.sync_api import Browser, Locator, expect
from visits import make_chromium, make_fresh, make_told, served  # noqa: F401  fixtures

import web_world as worlds
from isthmus.model import status as st
from isthmus.model.equipment import beside
from isthmus.model.records.assets import AssetFinding
from isthmus.model.records.edge import SourceChanged
from isthmus.model.records.production import StateChanged
from isthmus.model.states import State
from isthmus.model.time import NS_PER_S

pytestmark = pytest.mark.peer("chromium")
PAGES: Final = ("/plant", f"/machine/{worlds.below('CNC-02')}", "/orders", "/connections", "/settings")


@pytest.fixture(scope="module")
def base(told: worlds.World) -> Iterator[str]:
    with served(told, free()) as address:
        yield address


@pytest.fixture
def look(browser: Browser, told: worlds.World, base: str) -> Iterator[Open]:
    """For tests that only look: one plant for all of them."""
    with opener(browser, told, base) as open_page:
        yield open_page


def size_of(place: Locator) -> tuple[float, float]:
    place.wait_for()
    box = place.bounding_box()
    assert box is not None
    return box["width"], box["height"]


def slug(name: str) -> str:
    return worlds.below(name).replace("/", "_")


def test_every_page_stays_on_the_machine_and_says_nothing_on_the_console(look: Open) -> None:
    page = look(PAGES[0])
    for address in PAGES[1:]:
        page.goto(address)
        page.wait_for_timeout(300)
        assert page.locator("h1").count() == 1


def test_the_first_paint_comes_within_300_ms(look: Open) -> None:
    page = look("/plant")
    best = 1e9
    for _ in range(5):
        page.reload()
        page.wait_for_timeout(200)
        best = min(best, page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 1e9"))
    assert best < 300


def test_a_change_on_the_site_is_on_the_page_within_a_second(opened: Open, fresh: worlds.World) -> None:
    page = opened("/plant")
    took = []
    at = f"#{slug('Paint')}-state .st"
    for turn in range(20):
        state = State.DOWN if turn % 2 == 0 else State.RUN
        begun = time.monotonic()
        fresh.site.append([StateChanged(path=worlds.path("Paint"), time_ns=time.time_ns(), state=state)])
        page.wait_for_selector(f"{at}-{state}", timeout=5000)
        took.append(time.monotonic() - begun)
    assert sorted(took)[18] < 1, took


def test_a_killed_source_is_named_with_its_cause_and_its_next_try_and_is_back_at_once(
    opened: Open, fresh: worlds.World
) -> None:
    page = opened("/plant")

    path, now = f"{worlds.PATH}#source/paint", time.time_ns()
    away = SourceChanged(
        path=path,
        time_ns=now,
        state="away",
        tags=41,
        cause="10.4.1.26 answers ping, not port 4840",
        last_contact_ns=now - 2 * NS_PER_S,
        next_try_ns=now + 4 * NS_PER_S,
    )
    fresh.site.append([away])
    page.wait_for_selector("#needs >> text=/paint silent since \\d\\d:\\d\\d:\\d\\d/", timeout=2000)
    told = page.locator("#needs .act", has_text="paint silent").inner_text()
    assert "10.4.1.26 answers ping, not port 4840." in told
    assert "Next try in " in told
    assert "41 tags marked bad; nothing counted since." in told
    assert "Paint cannot be seen" in told
    fresh.site.append([SourceChanged(path=path, time_ns=time.time_ns(), state="up", tags=41)])
    page.wait_for_selector("#needs >> text=paint silent", state="detached", timeout=2000)


def test_two_taps_give_a_reason(opened: Open, fresh: worlds.World) -> None:
    page = opened(
        f"/machine/{worlds.below('CNC-02')}", "operator", has_touch=True, viewport={"width": 820, "height": 1180}
    )
    first = page.locator("#events >> text=Give reason")
    second = page.locator("#reason button", has_text="Waiting for material")
    assert min(size_of(first)) >= 48
    first.tap()
    assert min(size_of(second)) >= 48
    second.tap()
    page.wait_for_selector("#events >> text=Waiting for material")
    assert "The reason is in the log" in page.locator(".said").inner_text()
    said = fresh.site.views.query("SELECT reason, by FROM stops_said")
    assert [tuple(row) for row in said] == [("MAT", "operator")]


def test_the_worst_machine_opens_to_minutes_events_and_samples_by_keyboard_alone(look: Open) -> None:
    page = look("/plant?sort=oee")
    page.locator("table.machines tbody a").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("#minutes table.wf")
    page.locator("#minutes a", has_text="no reason yet").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#events .path")
    page.locator("#events table a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#samples")


def test_a_live_part_that_is_drawn_anew_keeps_the_focus(opened: Open, fresh: worlds.World) -> None:
    page = opened("/plant")
    page.locator("#needs a").first.focus()
    held = page.evaluate("document.activeElement.id")
    fresh.site.append([StateChanged(path=worlds.path("Paint"), time_ns=time.time_ns(), state=State.DOWN)])
    page.wait_for_selector("#needs >> text=Paint down")
    assert held
    assert page.evaluate("document.activeElement.id") == held


def test_a_note_half_typed_survives_what_changes_around_it(opened: Open, fresh: worlds.World) -> None:
    page = opened("/orders", "planner")
    page.locator("#parked input[name=note]").fill("ask the plan")
    shown = page.locator("#when").inner_text()
    expect(page.locator("#when")).not_to_have_text(shown)
    assert page.locator("#parked input[name=note]").input_value() == "ask the plan"
    page.locator("#parked >> text=Send again").click()
    page.wait_for_selector(".said")
    [decided] = fresh.site.views.query("SELECT decision, note FROM erp_decided")
    assert tuple(decided) == ("send again", "ask the plan")


def test_the_trend_is_drawn_and_grows_with_the_newest_sample(opened: Open, fresh: worlds.World) -> None:
    page = opened(f"/machine/{worlds.below('Paint')}?tag=paint/load")
    page.wait_for_selector("#trend canvas")
    before = int(page.get_attribute("#trend", "data-drawn") or 0)
    assert before > 20
    number = fresh.site.tags.find("paint/load")
    assert number is not None
    fresh.samples("paint", "load", [time.time_ns()], [51.0], 99)
    expect(page.locator("#trend")).to_have_attribute("data-drawn", str(before + 1), timeout=3000)
    page.wait_for_selector("table.tag >> text=51 %")
    assert st.words(st.GOOD) in page.locator("tr[id^=tag-]", has=page.locator("[title='paint/load']")).inner_text()


def test_a_page_that_lost_the_site_says_so(opened: Open, browser: Browser) -> None:
    del browser
    page = opened("/connections")
    page.clock.install()
    page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    page.clock.run_for(7000)
    page.wait_for_selector("#stale:not([hidden])")
    assert "No contact with the site since" in page.locator("#stale").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_keeps_its_contrast_in_light_and_dark(look: Open, scheme: str) -> None:
    page = look("/plant", color_scheme=scheme)
    for address in PAGES:
        page.goto(address)
        faint = page.evaluate(CONTRAST)
        assert faint == [], (address, faint)


def test_no_page_scrolls_sideways_on_a_tablet_or_at_200_per_cent(look: Open) -> None:
    for width in (820, 640):
        page = look("/plant", viewport={"width": width, "height": 1180})
        for address in PAGES:
            page.goto(address)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_every_field_and_button_has_a_name_and_every_id_is_there_once(look: Open) -> None:
    page = look("/plant", "supervisor")
    for address in (*PAGES, f"/machine/{worlds.below('CNC-02')}?open=setup"):
        page.goto(address)
        assert page.evaluate(NAMELESS) == [], address


CONTRAST: Final = """() => {
  const rgb = (text) => { const m = text.match(/[\\d.]+/g).map(Number); return { c: m.slice(0, 3), a: m[3] ?? 1 }; };
  const lum = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const b = rgb(getComputedStyle(e).backgroundColor); if (b.a === 1) return b.c; } return [255, 255, 255]; };
  const out = [];
  for (const e of document.querySelectorAll("main *, nav *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || e.closest("svg") || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), a = lum(rgb(style.color).c), b = lum(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) out.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.trim().slice(0, 30)}`);
  }
  return out;
}"""

NAMELESS: Final = """() => {
  const out = [];
  for (const e of document.querySelectorAll("input:not([type=hidden]), select, button, a[href]")) {
    const name = e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.[0]?.textContent.trim() || e.closest("svg a")?.querySelector("title")?.textContent;
    if (!name) out.push(e.outerHTML.slice(0, 80));
  }
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) out.push(`twice: ${id}`);
  for (const e of document.querySelectorAll("svg[role=img]")) if (!e.getAttribute("aria-label")) out.push("unnamed drawing");
  return out;
}"""


@pytest.mark.long
def test_a_proposed_conduit_is_copied_by_its_button(opened: Open, fresh: worlds.World) -> None:
    section = '[[conduit]]\nname = "plc-2"\n'
    fresh.site.append(
        [
            AssetFinding(
                path=beside(worlds.PATH, "finding", "f1"),
                time_ns=5,
                what="unexpected connectivity",
                title="plc-2 reaches the office",
                text="",
                next_step="Declare a [[conduit]].",
                severity="medium",
                last_ns=6,
                conduit=section,
            )
        ]
    )
    page = opened("/assets/findings", role="security", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("The conduit as a section").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == section
