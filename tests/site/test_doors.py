"""The pages' port taken by somebody else: a sentence, not a trace, and nobody else's pages for ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from isthmus.model.errors import UsageError
from isthmus.plantfile import load
from isthmus.run.show import stage as demo
from isthmus.run.site import run_site

PLANT_FILE = """
[plant]
name = "Northgate Works"
path = "acme/northgate"

[site]
listen = "127.0.0.1:{link}"
data = "{folder}/site"

[web]
listen = "127.0.0.1:{pages}"
data = "{folder}/web"
"""


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_site_says_which_port_of_its_pages_is_taken(tmp_path: Path, taken: int, free_port: Callable[[], int]) -> None:
    file = tmp_path / "plant.toml"
    file.write_text(PLANT_FILE.format(link=free_port(), pages=taken, folder=tmp_path.as_posix()))

    async def start() -> None:
        async with asyncio.timeout(20):
            await run_site(load(file))

    with pytest.raises(UsageError, match=rf"\[web\] listen = '127.0.0.1:{taken}': Address already in use"):
        asyncio.run(start())


def test_a_demonstration_never_takes_another_ones_pages_for_its_own(tmp_path: Path, taken: int) -> None:
    async def start() -> None:
        async with demo.stage(demo.Settings(folder=tmp_path, erp=False, web_port=taken), print):
            pass

    with pytest.raises(UsageError, match="--port 0 takes a free one"):
        asyncio.run(start())
