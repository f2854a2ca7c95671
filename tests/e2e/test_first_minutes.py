"""The first five minutes of a newcomer, as far as this stands: from the command to a controller that comes back.

One demonstration for all steps, in the order in which a person takes them; the times are the bars.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

pytestmark = [pytest.mark.peer("chromium"), pytest.mark.timeout(280)]

MACHINES = 8
PASSWORD = "a-long-enough-password-7"  # noqa: S105  of a server that lives for a minute


class Demo:
    """A running `isthmus demo`, and what it has said so far."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "isthmus", "demo", "--headless", "--no-erp", "--port", "0"]
        command += ["--history", "1", "--folder", str(folder)]
        self.folder, self.began = folder, time.monotonic()
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.said: list[str] = []
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(iter(self.process.stderr.readline, ""))

    def wait_for(self, pattern: str, seconds: float) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in tuple(self.said):
                found = re.search(pattern, line)
                if found:
                    return found[1] if found.groups() else found[0]
            assert self.process.poll() is None, "".join(self.said)
            time.sleep(0.1)
        raise AssertionError(f"{pattern} was not said within {seconds} s:\n" + "".join(self.said))

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self._listener.join(5)
            assert self.process.stderr is not None
            self.process.stderr.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    demo.stop()
    left = subprocess.run(["pgrep", "-f", str(demo.folder)], capture_output=True, text=True, check=False).stdout
    assert left == "", "a stopped demonstration leaves no process behind"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(demo: Demo, browser: Browser) -> Iterator[Page]:
    """A person's tab, logged in by the one-time link; any request that leaves the machine fails the test."""
    pages = demo.wait_for(r"pages at (http://127\.0\.0\.1:\d+)", 90)
    context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=pages)
    outside: list[str] = []

    def only_here(route: Route) -> None:
        if not route.request.url.startswith(("http://127.0.0.1:", "data:")):
            outside.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    context.route("**/*", only_here)
    page = context.new_page()
    link = re.findall(r"http://\S+/enter/\S+", (demo.folder / "site.log").read_text())[-1]
    page.goto(link)
    page.fill("input[name=name]", "newcomer")
    for field in ("password", "again"):
        page.fill(f"input[name={field}]", PASSWORD)
    page.click("form button")
    yield page
    assert outside == []
    context.close()


def test_progress_names_what_is_done_and_the_link_lets_in_once(demo: Demo, page: Page) -> None:
    assert "8 machines on two lines" in "".join(demo.said)
    assert "/enter/" not in page.url
    link = re.findall(r"http://\S+/enter/\S+", (demo.folder / "site.log").read_text())[-1]
    again = page.context.new_page()
    assert again.goto(link).status == 410  # type: ignore[union-attr]
    again.close()


def test_every_machine_lives_and_the_shift_moves(demo: Demo, page: Page) -> None:
    page.goto("/plant")
    rows = page.locator("tbody tr", has=page.locator("a[href^='/machine/']"))
    assert rows.count() == MACHINES
    page.wait_for_function(
        "() => [...document.querySelectorAll('tbody tr')].filter(row => /running|set-up|idle/.test(row.innerText)).length >= 8",
        timeout=30_000,
    )
    before = page.locator("main").inner_text()
    page.wait_for_function("before => document.querySelector('main').innerText !== before", arg=before, timeout=5_000)
    demo.wait_for(r"samples sent late", 60)


def test_the_worst_machine_opens_to_minutes_events_and_samples(page: Page) -> None:
    page.goto("/machine/machining/line-a/cnc-03")
    page.wait_for_selector("a[id^='loss-']", timeout=60_000)
    rows = page.locator("tr", has=page.locator("a[id^='loss-']")).all()
    worst = max(rows, key=lambda row: float(row.locator("td").last.inner_text().replace(",", "") or 0))
    worst.locator("a").click()
    page.wait_for_selector("a[id^='ev-']")
    page.locator("a[id^='ev-']").first.click()
    page.wait_for_selector("text=Source time")
    assert page.locator("table.tag tbody tr").count() > 0


def test_the_minutes_add_up_to_the_shift(page: Page) -> None:
    page.goto("/machine/machining/line-a/cnc-03")
    page.wait_for_selector("a[id^='loss-']")
    rows = page.locator("section", has_text="Where").first.locator("tbody tr").all_inner_texts()
    minutes = {row.split("\t")[0].strip(): float(row.split("\t")[-1].replace(",", "")) for row in rows}
    total = next(value for name, value in minutes.items() if name.startswith("Shift"))
    parts = [value for name, value in minutes.items() if not _sum_row(name)]
    assert sum(parts) == pytest.approx(total, abs=0.01 * total + 1e-9)


def _sum_row(name: str) -> bool:
    return name.startswith(("Shift", "Planned busy time", "Producing"))


def test_a_killed_controller_is_named_and_comes_back_by_itself(demo: Demo, page: Page) -> None:
    panel = demo.wait_for(r"make something happen: (http://\S+)", 5)
    buttons = page.context.new_page()
    buttons.goto(panel)
    buttons.get_by_role("button", name="Kill CNC-02").click()
    page.goto("/connections")
    row = page.locator("tr", has=page.get_by_text("cnc-02", exact=True)).first
    row.get_by_text(re.compile("nobody listens there|refuses|away|silent", re.IGNORECASE)).first.wait_for(
        timeout=15_000
    )
    page.wait_for_function(
        "() => [...document.querySelectorAll('tr')].some(row => /cnc-02/.test(row.innerText) && /delivering|live|up/i.test(row.innerText))",
        timeout=60_000,
    )
    page.goto("/plant")
    row = page.locator("tr", has=page.get_by_role("link", name="CNC-02", exact=True))
    row.get_by_text(re.compile("^(running|set-up|idle|down)")).first.wait_for(timeout=10_000)
