"""A relay between edge and site: what it acknowledged it keeps, and it passes each row on once."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from counting import PLANT, until
from cryptography.hazmat.primitives.asymmetric import ec
from sites import Edge, Place, make_place, make_run, make_soon  # noqa: F401  fixtures
from test_link import Run, feed

from isthmus.model.records.edge import LinkChanged
from isthmus.run.relay import run_relay
from isthmus.wire import tls

Relay = Callable[[], "asyncio.Task[None]"]


@pytest.fixture
def relay_port(free_port: Callable[[], int]) -> int:
    return free_port()


@pytest.fixture
def relay(place: Place, relay_port: int) -> Relay:
    """Starts an enrolled relay for the edge line-1."""
    folder = place.folder / "relay"
    place.certificates.prepare(["127.0.0.1"])
    key = ec.generate_private_key(ec.SECP256R1())
    enrolled = place.certificates.admit("dmz", "relay", key.public_key(), edges=["line-1"])
    tls.write_key(folder / "tls" / "own.key", key)
    tls.save_enrolled(folder / "tls", enrolled.certificate, enrolled.ca)

    def start() -> asyncio.Task[None]:
        return asyncio.create_task(
            run_relay(
                PLANT,
                folder,
                listen=f"127.0.0.1:{relay_port}",
                site=place.url,
                edges={"line-1": ()},
                conduit="dmz",
                most_bytes=2**27,
            )
        )

    return start


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


def test_rows_pass_through_a_relay_once_and_outlive_its_restart(
    place: Place, relay: Relay, relay_port: int, run: Run
) -> None:
    async def story() -> None:
        first = relay()
        async with Edge(place.enrolled(), f"https://127.0.0.1:{relay_port}") as edge:
            await feed(edge, 20)
            await until(lambda: edge.uplink.now.up and not edge.buffer.waiting)
            await end(first)  # the relay has it all and the site has nothing yet
            assert place.taker.bodies == 0
            await feed(edge, 20, 2000)
            async with place.listening():
                second = relay()
                await until(lambda: place.taker.values.get("line") == list(range(4000)))
                await until(lambda: any(told.path.endswith("conduit/dmz") for told in place.taker.told(LinkChanged)))
                await end(second)
        assert place.taker.edges == {"dmz"}

    run(story())


def test_a_relay_lets_in_nobody_that_it_was_not_started_for(
    place: Place, relay: Relay, relay_port: int, run: Run
) -> None:
    async def story() -> None:
        task = relay()
        async with Edge(place.enrolled("line-2"), f"https://127.0.0.1:{relay_port}") as edge:
            await until(lambda: "not started for line-2" in edge.uplink.now.cause)
        await end(task)

    run(story())


def _acknowledged(edge: Edge, size: int) -> bool:
    """Whether so many bytes in all were answered for."""
    return edge.uplink.now.sent_bytes > size


@asynccontextmanager
async def process_of(argv: list[str]) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(*argv, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.long
def test_a_relay_killed_again_and_again_loses_nothing_that_it_acknowledged(
    place: Place, relay_port: int, run: Run, relay: Relay, tmp_path: Path
) -> None:
    del relay  # it has enrolled the folder; here the relay is a process
    file = tmp_path / "relay.toml"
    file.write_text(
        f'[plant]\nname = "N"\npath = "{PLANT}"\n[edge]\nsite = "{place.url}"\ndata = "{place.folder}/relay"\n'
    )
    argv = [sys.executable, "-m", "isthmus", "relay", str(file), "--listen", f"127.0.0.1:{relay_port}"]
    argv += ["--edge", "line-1"]

    async def story() -> None:
        fed = 0
        async with Edge(place.enrolled(), f"https://127.0.0.1:{relay_port}") as edge:
            for life in range(4):
                # The site is away in every other life, so that what the relay acknowledged is on its disk alone.
                async with place.listening() if life % 2 else nullcontext(), process_of(argv) as process:
                    await until(lambda: edge.uplink.now.up, 40)
                    enough = edge.uplink.now.sent_bytes + 1500
                    feeding = asyncio.create_task(feed(edge, 400, fed))
                    await asyncio.sleep(0.07 * life)
                    await until(partial(_acknowledged, edge, enough), 20)
                    process.kill()
                    await process.wait()
                    await feeding
                    fed += 40_000
                    await until(lambda: not edge.uplink.now.up)
            async with place.listening(), process_of(argv) as process:
                await until(lambda: len(place.taker.values.get("line", [])) >= fed, 25)
                process.terminate()
                assert await asyncio.wait_for(process.wait(), 20) == 0
        assert sorted(place.taker.values["line"]) == list(range(fed))
        assert place.taker.edges == {"dmz"}

    run(story())


def test_a_relay_that_is_full_says_so_and_the_edge_keeps_everything(tmp_path: Path) -> None:
    from isthmus.edge.relay import RelayStore  # noqa: PLC0415  beside the claim

    store = RelayStore(tmp_path, PLANT, "dmz", most_bytes=100)
    with pytest.raises(OSError, match="buffer is full"):
        store.take("line-1", store._own_dictionary(1))
    store.close()
