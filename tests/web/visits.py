"""One told plant for the tests that only read, a fresh one for those that act, and a real server for browsers."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

import web_world as worlds
from isthmus.web.config import WebSection
from isthmus.web.server import make_server
from web_world import Visitor


@pytest.fixture(name="told", scope="module")
def make_told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[worlds.World]:
    with worlds.world(tmp_path_factory.mktemp("told")) as made:
        yield made


@pytest.fixture(name="client", scope="module")
def make_client(told: worlds.World) -> Iterator[TestClient[Litestar]]:
    with TestClient(told.app) as made:
        yield made


@pytest.fixture(name="visit")
def make_visit(client: TestClient[Litestar]) -> Callable[[str], Visitor]:
    return lambda role: Visitor(client, role)


@pytest.fixture(name="fresh")
def make_fresh(tmp_path: Path) -> Iterator[worlds.World]:
    with worlds.world(tmp_path) as made:
        yield made


@pytest.fixture(name="silent")
def make_silent(tmp_path: Path) -> Iterator[worlds.World]:
    """A plant of which nothing was ever heard."""
    with worlds.world(tmp_path, told=False) as made:
        yield made


@contextmanager
def served(made: worlds.World, port: int) -> Iterator[str]:
    """Serve a world on loopback for a real browser; gives the address."""
    server = make_server(made.app, WebSection(listen=f"127.0.0.1:{port}"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(name="chromium", scope="session")
def make_chromium() -> str:
    found = shutil.which("chromium")
    assert found is not None
    return found
