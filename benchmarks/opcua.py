"""Client CPU per value change over an encrypted subscription, beside asyncua's own handler in the same run.

The server, asyncua's, runs in a process of its own; how fast it can go does not enter the figures.
"""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from isthmus.edge.opcua_client.security import fingerprint, own_certificate
from isthmus.edge.source import Limits
from isthmus.edge.sources.opcua import Opcua, OpcuaTag

SECONDS, PER_FOLDER = 6.0, 100
EVERY_MS = {1000: 100, 10_000: 500}
"""How often each item changes, by the number of items: what the server's own process can do."""


async def serve(items: int, folder: Path) -> None:
    from asyncua import Server, ua  # noqa: PLC0415  only the server's process

    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/bench")
    own = own_certificate(folder)
    await server.set_application_uri(own.application_uri)
    await server.load_certificate(str(own.certificate))
    await server.load_private_key(str(own.key))
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    space = await server.register_namespace("urn:bench")
    nodes = []
    for i in range(items):
        if i % PER_FOLDER == 0:
            parent = await server.nodes.objects.add_object(space, f"Cell{i // PER_FOLDER}")
        nodes.append((await parent.add_variable(ua.NodeId(f"v{i}", space), f"v{i}", 0.0)).nodeid)
    async with server:
        port = server.bserver._server.sockets[0].getsockname()[1]  # noqa: SLF001  asked for any free port
        print(f"READY {port}", flush=True)
        turn = 0
        while True:
            start, turn = time.perf_counter(), turn + 1
            for node in nodes:
                await server.write_attribute_value(node, ua.DataValue(ua.Variant(turn + 0.5, ua.VariantType.Double)))
            await asyncio.sleep(max(0.001, EVERY_MS[items] / 1000 - (time.perf_counter() - start)))


class Counting:
    """A sink, and a handler of asyncua, that counts."""

    def __init__(self) -> None:
        self.values = 0

    def emit(self, batch: pa.RecordBatch) -> None:
        """Columns of ours."""
        self.values += batch.num_rows

    def up(self, *, address: str, security: str) -> None:
        """Say how it is connected."""
        print(f"   connected to {address} with {security}")

    def fault(self, tag: int, status: int, why: str) -> None:
        """No tag may fail here."""
        raise AssertionError(f"tag {tag}: {why} ({status:#x})")  # noqa: EM102, TRY003

    def datachange_notification(self, _node: object, _value: object, _data: object) -> None:
        """One value of asyncua's."""
        self.values += 1


@asynccontextmanager
async def ours(url: str, pin: str, items: int, folder: Path, count: Counting) -> AsyncIterator[None]:
    source = Opcua(
        name="bench",
        url=url,
        server_certificate=pin,
        certificates=folder / "client",
        timeout_s=60,
        publishing_ms=EVERY_MS[items],
        sampling_ms=0,
    )
    tags = [OpcuaTag(name=f"v{i}", node=f"nsu=urn:bench;s=v{i}") for i in range(items)]
    task = asyncio.create_task(source.run(source.plan(tags, Limits()), count))
    yield
    if task.done():
        task.result()
    task.cancel()
    await asyncio.wait([task])


@asynccontextmanager
async def handler(url: str, pin: str, items: int, folder: Path, count: Counting) -> AsyncIterator[None]:
    from asyncua import Client, ua  # noqa: PLC0415  beside the source, which loads it by itself
    from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256  # noqa: PLC0415

    own = own_certificate(folder / "client")
    client = Client(url, timeout=60, watchdog_intervall=600)  # a busy machine is not a lost server
    client.application_uri = own.application_uri
    await client.set_security(SecurityPolicyBasic256Sha256, own.certificate, own.key)
    async with client:
        shown = client.security_policy.peer_certificate
        assert fingerprint(shown) == pin
        space = await client.get_namespace_index("urn:bench")
        subscription = await client.create_subscription(EVERY_MS[items], count)
        for first in range(0, items, 500):
            nodes = [client.get_node(ua.NodeId(f"v{i}", space)) for i in range(first, min(first + 500, items))]
            await subscription.subscribe_data_change(nodes, sampling_interval=0, queuesize=10)
        yield


async def measure(way: Callable[..., Any], items: int, *where: Any) -> tuple[float, float]:  # noqa: ANN401
    """CPU of this process in µs per value change, and changes per second."""
    count = Counting()
    async with way(*where, count):
        while count.values < 2 * items:  # noqa: ASYNC110  the first values have come, and one round of changes
            await asyncio.sleep(0.2)
        values, cpu, clock = count.values, time.process_time(), time.perf_counter()
        await asyncio.sleep(SECONDS)
        values = count.values - values
        return (time.process_time() - cpu) / values * 1e6, values / (time.perf_counter() - clock)


def both(items: int, folder: Path) -> dict[str, tuple[float, float]]:
    command = [sys.executable, __file__, "serve", str(items), str(folder / "server")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        port = server.stdout.readline().split()[1]
        url, pin = f"opc.tcp://127.0.0.1:{port}/bench", fingerprint((folder / "server" / "opcua.der").read_bytes())
        out = {}
        for name, way in (("ours", ours), ("handler", handler)):
            out[name] = asyncio.run(asyncio.wait_for(measure(way, items, url, pin, items, folder), 90))
            print(f"   {items} items, {name}: {out[name][0]:.2f} µs a change at {out[name][1]:.0f} changes/s")
        return out
    finally:
        server.kill()
        server.wait()


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    figures, control, ratio = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for items in EVERY_MS:
            found = both(items, Path(folder))
            figures[f"us_per_change_{items}"] = round(found["ours"][0], 2)
            figures[f"changes_per_s_{items}"] = round(found["ours"][1])
            control[f"handler_us_per_change_{items}"] = round(found["handler"][0], 2)
            ratio[f"handler_to_ours_{items}"] = round(found["handler"][0] / found["ours"][0], 1)
    print(json.dumps({"bench": "opcua", "figures": figures, "control": control, "ratio": ratio}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(int(sys.argv[2]), Path(sys.argv[3])))
    else:
        main()
