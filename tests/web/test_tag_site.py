"""The whole way: a real site process, a past handed to it by the command line, a sample put right in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from browsers import ARGS
from playwright.sync_api import expect, sync_playwright
from visits import make_chromium  # noqa: F401  fixtures

import plants
from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S
from isthmus.plantfile import load
from isthmus.web.accounts import Accounts, Person

pytestmark = pytest.mark.peer("chromium")
PASSWORD = "three words do well"  # noqa: S105  of a plant that exists for a test


@pytest.fixture
def pages(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """The address of a site at work in a process of its own, in which one person of quality may log in."""
    (tmp_path / "plant.toml").write_text(plants.one_machine(tmp_path, free_port(), free_port()))
    file = load(tmp_path / "plant.toml")
    (tmp_path / "web").mkdir(mode=0o700)
    people = Accounts(tmp_path / "web", time.time_ns)
    people.add(Person(name="q.marsh", full_name="Q. Marsh", role="quality"), PASSWORD)
    people.close()
    with (tmp_path / "site.out").open("w") as out:
        site = subprocess.Popen(
            [sys.executable, "-m", "isthmus", "site", "plant.toml"],
            cwd=tmp_path,
            stdout=out,
            stderr=out,
            env={**os.environ},
        )
        try:
            until(lambda: "pages at" in (tmp_path / "site.out").read_text(), 30)
            yield f"http://{file.web.listen}"
        finally:
            site.terminate()
            site.wait(30)


def until(what: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def good(client: httpx.Client) -> float:
    return sum(row["good"] for row in client.get("/api/counts/machining/line-a/cnc-01").json()["rows"])


@pytest.mark.long
@pytest.mark.timeout(150)
def test_a_past_is_brought_and_a_sample_put_right_while_the_site_runs_and_the_shift_follows(
    pages: str, tmp_path: Path, chromium: str
) -> None:
    now = time.time_ns()
    start = max(now - 30 * NS_PER_MINUTE, now // NS_PER_DAY * NS_PER_DAY) // NS_PER_S
    rows = [f"running,{start},1", *(f"parts,{start + at},{at}" for at in range(61))]
    (tmp_path / "past.csv").write_text("tag,time,value\n" + "\n".join(rows) + "\n")
    bring = [sys.executable, "-m", "isthmus", "history", "--data", "site", "import", "past.csv", "--source", "plc"]
    with httpx.Client(base_url=pages) as client, sync_playwright() as playwright:
        assert client.post("/log-in", data={"name": "q.marsh", "password": PASSWORD}).status_code == 303
        done = subprocess.run(bring, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
        assert "62 samples" in done.stdout
        until(lambda: good(client) == 60, 40)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        page = browser.new_page(base_url=pages)
        page.goto("/tags?find=parts")
        page.get_by_label("Name").fill("q.marsh")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("link", name="plc/parts").click()
        page.locator("input[name=which]").last.check()
        page.locator("#right").get_by_role("textbox", name="Value").fill("80")
        page.locator("#right").get_by_label("Why").fill("counted by hand")
        page.get_by_role("button", name="Put right").click()
        expect(page.locator("#acts")).to_contain_text("60 → 80")
        until(lambda: good(client) == 80, 40)
        page.get_by_text("Take it back").click()
        page.locator("#acts").get_by_label("Why").fill("counted again")
        page.get_by_role("button", name="Take back").click()
        expect(page.locator("#acts")).to_contain_text("80 → 60")
        until(lambda: good(client) == 60, 40)
        browser.close()
    assert "Traceback" not in (tmp_path / "site.out").read_text()
