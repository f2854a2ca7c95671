"""The site's door under people who hold connections: an edge still gets in, and within a second."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Self

import pytest
from counting import until
from sites import Edge, Place, make_place, make_run, make_soon  # noqa: F401  fixtures
from test_link import Run, counts

from isthmus.site.intake import link, places
from isthmus.wire import tls
from isthmus.wire.link import FRAMES, VERSION, VERSION_HEADER

HEAD = f"POST {FRAMES} HTTP/1.1\r\nhost: x\r\n{VERSION_HEADER}: {VERSION}\r\ncontent-length: {{}}\r\n\r\n"


class Crowd:
    """Connections held open, and closed at the end."""

    def __init__(self, place: Place) -> None:
        self._port, self.held = place.port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *how: object) -> None:
        for _, writer in self.held:
            writer.transport.abort()
        await asyncio.sleep(0.05)

    async def hold(self, context: ssl.SSLContext | None, count: int) -> None:
        for _ in range(count):
            self.held.append(await asyncio.open_connection("127.0.0.1", self._port, ssl=context))


def stranger(place: Place) -> ssl.SSLContext:
    return tls.trusting((place.certificates.folder / "ca.pem").read_text())


async def delivered_within_s(place: Place, edge: Edge, first: int) -> float:
    began = time.monotonic()
    edge.buffer.put("line", counts(first))
    await until(lambda: first + 99 in place.taker.values.get("line", []))
    return time.monotonic() - began


@pytest.mark.parametrize("shaken", [True, False], ids=["without a certificate", "without a handshake"])
def test_two_hundred_idle_strangers_keep_no_edge_out(place: Place, run: Run, *, shaken: bool) -> None:
    folder = place.enrolled()

    async def story() -> None:
        async with place.listening() as server, Crowd(place) as crowd:
            await crowd.hold(stranger(place) if shaken else None, 200)
            async with Edge(folder, place.url) as edge:
                assert await delivered_within_s(place, edge, 0) < 1.0
                await crowd.hold(stranger(place) if shaken else None, 100)
                assert await delivered_within_s(place, edge, 100) < 1.0
                assert server.places.of("") <= places.MOST_STRANGERS

    run(story())


def test_a_stranger_that_asks_nothing_is_let_go(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "STRANGER_S", 0.3)
    monkeypatch.setattr(link, "HANDSHAKE_S", 0.3)
    place.enrolled()

    async def story() -> None:
        async with place.listening() as server, Crowd(place) as crowd:
            await crowd.hold(stranger(place), 5)
            await crowd.hold(None, 5)
            assert server.places.of("") == 10
            await until(lambda: not len(server.places), 3)

    run(story())


def test_a_slow_body_holds_up_nobody_else(place: Place, run: Run) -> None:
    folder, slow = place.enrolled(), place.enrolled("line-2")

    async def dribble(crowd: Crowd) -> None:
        while True:
            for _, writer in crowd.held:
                if not writer.is_closing():
                    writer.write(b"x" * 100)
            await asyncio.sleep(0.05)

    async def story() -> None:
        async with place.listening() as server, Crowd(place) as crowd:
            await crowd.hold(tls.client_context(slow / "tls"), 40)
            for _, writer in crowd.held:
                writer.write(HEAD.format(4_000_000).encode())
            dribbling = asyncio.create_task(dribble(crowd))
            async with Edge(folder, place.url) as edge:
                for number in range(5):
                    assert await delivered_within_s(place, edge, number * 100) < 1.0
            await until(lambda: server.places.of("line-2") == places.MOST_OF_ONE)
            dribbling.cancel()
            await asyncio.wait([dribbling])

    run(story())


def test_a_body_that_does_not_come_ends(place: Place, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "BODY_S", 0.5)
    slow = place.enrolled("line-2")

    async def story() -> None:
        async with place.listening() as server, Crowd(place) as crowd:
            await crowd.hold(tls.client_context(slow / "tls"), 1)
            reader, writer = crowd.held[0]
            writer.write(HEAD.format(1000).encode() + b"half")
            assert await asyncio.wait_for(reader.read(), 3) == b""
            await until(lambda: not len(server.places), 3)

    run(story())


def test_what_one_peer_may_have_in_memory_is_bounded_and_nothing_is_lost(
    place: Place, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MOST_BYTES_OF_ONE", 5000)
    folder, other = place.enrolled(), place.enrolled("line-2")

    async def story() -> None:
        async with place.listening() as server, Crowd(place) as crowd:
            await crowd.hold(tls.client_context(other / "tls"), 1)
            reader, writer = crowd.held[0]
            writer.write(HEAD.format(8000).encode() + b"x" * 6000)
            assert (await reader.readline()).split()[1] == b"503"
            writer.transport.abort()
            async with Edge(folder, place.url) as edge:
                assert await delivered_within_s(place, edge, 0) < 1.0
            assert not server.room._held

    run(story())


def test_the_oldest_of_a_kind_makes_room(run: Run) -> None:
    async def story() -> None:
        open_ = places.Places()
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(places.MOST_OF_ONE + 2)]
        for task in tasks:
            open_.enter(task)
            open_.name(task, "line-1")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [task.cancelled() for task in tasks[:3]] == [True, True, False]
        assert open_.of("line-1") == places.MOST_OF_ONE
        await open_.clear()

    run(story())
