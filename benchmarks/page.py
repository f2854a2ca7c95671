"""From opening the plant page to its first live value, and from a change on the site to the page.

A real site on disk, the real server, a real browser on loopback. The control in the same run is a page
that asks the API once a second, as most dashboards do.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import web_world as worlds
from isthmus.model.records.production import StateChanged
from isthmus.model.states import State
from isthmus.web.config import WebSection
from isthmus.web.server import make_server

PORT, OPENINGS, CHANGES = 8697, 10, 40
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
AT = f"#{worlds.below('Paint').replace('/', '_')}-state"
POLL = """(path) => { window.polled = ""; setInterval(async () => {
  const told = await (await fetch("/api/machines")).json();
  window.polled = told.rows.find((row) => row.path === path).state; }, 1000); }"""


def p95(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.95) - 1]


def change(made: worlds.World, turn: int) -> State:
    state = State.DOWN if turn % 2 == 0 else State.RUN
    made.site.append([StateChanged(path=worlds.path("Paint"), time_ns=time.time_ns(), state=state)])
    return state


def opening(page: Page, base: str) -> tuple[float, float]:
    """Seconds until the first value that the stream brought, and until the first paint."""
    page.add_init_script("document.addEventListener('told', () => { window.first ??= performance.now(); })")
    page.goto(f"{base}/plant")
    while not page.evaluate("window.first ?? 0"):
        time.sleep(0.005)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
    return page.evaluate("window.first") / 1000, paint / 1000


def measure(made: worlds.World, page: Page, base: str) -> dict[str, dict[str, float]]:
    openings = [opening(page, base) for _ in range(OPENINGS)]
    changes, polled = [], []
    for turn in range(CHANGES):
        begun = time.monotonic()
        state = change(made, turn)
        page.wait_for_selector(f"{AT} .st-{state}", timeout=10_000)
        changes.append(time.monotonic() - begun)
        time.sleep(0.013 * (turn % 17))
    page.evaluate(POLL, worlds.path("Paint"))
    for turn in range(CHANGES // 4):
        begun = time.monotonic()
        state = change(made, turn)
        while page.evaluate("window.polled") != state:
            time.sleep(0.005)
        polled.append(time.monotonic() - begun)
        time.sleep(0.37)
    first = [seconds for seconds, _ in openings]
    return {
        "figures": {
            "first_live_value_s": round(p95(first), 3),
            "first_paint_s": round(sorted(paint for _, paint in openings)[OPENINGS // 2], 3),
            "change_p50_s": round(sorted(changes)[CHANGES // 2], 3),
            "change_p95_s": round(p95(changes), 3),
            "page_kb": round(len(gzip.compress(page.content().encode())) / 1000, 1),
        },
        "control": {"polling_p95_s": round(p95(polled), 3)},
        "ratio": {"change_p95": round(p95(polled) / p95(changes), 2)},
    }


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("this benchmark needs chromium; run `make peers`")
    base = f"http://127.0.0.1:{PORT}"
    with tempfile.TemporaryDirectory() as folder, worlds.world(Path(folder)) as made, sync_playwright() as playwright:
        server = make_server(made.app, WebSection(listen=f"127.0.0.1:{PORT}"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        token = made.app.state.house.accounts.log_in("supervisor", worlds.PASSWORD, "bench")
        context.add_cookies([{"name": "isthmus", "value": token, "url": base}])
        found = measure(made, context.new_page(), base)
        browser.close()
        server.should_exit = True
        thread.join(10)
    print(json.dumps({"bench": "page", **found}))


if __name__ == "__main__":
    main()
