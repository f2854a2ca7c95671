"""One told plant for the tests that only read, a fresh one for those that act, and a real server for browsers."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient

sys.path.insert(0, str(Path(__file__).parent))

import world as worlds

from isthmus.web.config import WebSection
from isthmus.web.server import make_server


class Visitor:
    """Somebody with a browser that runs no script."""

    def __init__(self, client: TestClient[Litestar], role: str) -> None:
        self.client = client
        client.cookies.clear()
        form = {"name": role, "password": worlds.PASSWORD, "after": "/"}
        answer = client.post("/log-in", data=form, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        self.token = answer.cookies["isthmus"]

    def get(self, address: str) -> httpx.Response:
        self._be()
        return self.client.get(address, follow_redirects=False)

    def post(self, address: str, **fields: str) -> httpx.Response:
        """Send a form with the token that this session's pages carry."""
        self._be()
        session = self.client.app.state.house.accounts.session(self.token)
        assert session is not None
        return self.client.post(address, data={"form": session.form, **fields}, follow_redirects=False)

    def _be(self) -> None:
        self.client.cookies.clear()
        self.client.cookies.set("isthmus", self.token)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[worlds.World]:
    with worlds.world(tmp_path_factory.mktemp("told")) as made:
        yield made


@pytest.fixture(scope="module")
def client(told: worlds.World) -> Iterator[TestClient[Litestar]]:
    with TestClient(told.app) as made:
        yield made


@pytest.fixture
def visit(client: TestClient[Litestar]) -> Callable[[str], Visitor]:
    return lambda role: Visitor(client, role)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[worlds.World]:
    with worlds.world(tmp_path) as made:
        yield made


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[worlds.World]:
    """A plant of which nothing was ever heard."""
    with worlds.world(tmp_path, told=False) as made:
        yield made


@pytest.fixture
def serve(free_port: Callable[[], int]) -> Iterator[Callable[[worlds.World], str]]:
    """Serves worlds on loopback for real browsers; gives the address."""
    running = []

    def start(made: worlds.World) -> str:
        port = free_port()
        server = make_server(made.app, WebSection(listen=f"127.0.0.1:{port}"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        deadline = time.monotonic() + 10
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        assert server.started
        return f"http://127.0.0.1:{port}"

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    assert found is not None
    return found
