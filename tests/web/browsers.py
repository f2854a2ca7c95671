"""A real browser for tests: pages opened for a role, held against leaving the machine and a console that speaks."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, sync_playwright
from visits import served

import web_world as worlds

Open = Callable[..., Page]
ARGS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(name="playwright", scope="module")
def make_playwright() -> Iterator[Playwright]:
    with sync_playwright() as made:
        yield made


@pytest.fixture(name="browser", scope="module")
def make_browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    made = playwright.chromium.launch(executable_path=chromium, args=ARGS)
    yield made
    made.close()


def free() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def opener(browser: Browser, made: worlds.World, base: str) -> Iterator[Open]:
    """Opens a page for a role; at the end no request has left the machine and the console is silent."""
    complaints: list[str] = []
    contexts = []

    def requested(request: Request) -> None:
        if not _inside(request.url, base):
            complaints.append(f"left the machine: {request.url}")

    def spoke(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def open_page(address: str, role: str = "supervisor", **more: Any) -> Page:  # noqa: ANN401  the browser has many settings
        settings: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, **more}
        context = browser.new_context(base_url=base, locale="en-GB", **settings)
        contexts.append(context)
        token = made.app.state.house.accounts.log_in(role, worlds.PASSWORD, "browser")
        context.add_cookies([{"name": "isthmus", "value": token, "url": base}])
        page = context.new_page()
        page.on("request", requested)
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("console", spoke)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(name="opened")
def make_opened(browser: Browser, fresh: worlds.World) -> Iterator[Open]:
    """For tests in which something happens: a plant of their own."""
    with served(fresh, free()) as base, opener(browser, fresh, base) as open_page:
        yield open_page


def _inside(url: str, base: str) -> bool:
    return url.startswith(base) or urlsplit(url).scheme in ("data", "blob")
