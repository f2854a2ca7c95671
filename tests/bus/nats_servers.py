"""Real NATS servers on loopback, one or three, that can be killed and started again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from conftest import peers

SERVER = peers.HOME / "nats" / "bin" / "nats-server"
OLD = Path("/usr/sbin/nats-server")


class Server:
    """One server with JetStream; its data outlives its process."""

    def __init__(self, folder: Path, name: str, port: Callable[[], int], program: Path = SERVER) -> None:
        self.folder, self.name, self.program = folder, name, program
        self.port, self.monitor, self.route = port(), port(), port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def watched(self) -> str:
        return f"http://127.0.0.1:{self.monitor}"

    def write(self, routes: Sequence[int] = (), *, sync: str = "sync_interval: always", more: str = "") -> None:
        lines = [
            f"server_name: {self.name}",
            f"listen: 127.0.0.1:{self.port}",
            f"http: 127.0.0.1:{self.monitor}",
            f'jetstream {{ store_dir: "{self.folder / "js"}", max_file_store: 2G, max_memory_store: 64M, {sync} }}',
            more,
        ]
        if routes:
            others = ", ".join(f'"nats://127.0.0.1:{one}"' for one in routes)
            lines.append(f"cluster {{ name: test, listen: 127.0.0.1:{self.route}, routes: [{others}] }}")
        (self.folder / "server.conf").write_text("\n".join(lines))

    def start(self, wait_s: float = 20) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.program, "-c", self.folder / "server.conf"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            with suppress(OSError):
                self.ask("varz")
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text())

    def ask(self, what: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.watched}/{what}", timeout=2) as answer:  # noqa: S310  loopback
            return json.load(answer)

    def kill(self) -> None:
        """SIGKILL; what it had not written is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextmanager
def one(
    folder: Path,
    port: Callable[[], int],
    program: Path = SERVER,
    *,
    sync: str = "sync_interval: always",
    more: str = "",
) -> Iterator[Server]:
    server = Server(folder, "alone", port, program)
    server.write(sync=sync, more=more)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def three(folder: Path, port: Callable[[], int]) -> Iterator[list[Server]]:
    servers = [Server(folder / name, name, port) for name in ("n1", "n2", "n3")]
    for server in servers:
        server.write([other.route for other in servers if other is not server])
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.kill()


def kept(server: Server, subject: str) -> list[tuple[str, str, bytes]]:
    """Everything a stream holds on a subject: subject, id and body, in the stream's order."""
    return asyncio.run(_kept(server, subject))


async def _kept(server: Server, subject: str) -> list[tuple[str, str, bytes]]:
    import nats  # noqa: PLC0415  an extra
    from nats.js import api  # noqa: PLC0415  as above

    client = await nats.connect(server.address)
    stream = client.jetstream(timeout=10)
    name = await stream.find_stream_name_by_subject(subject)
    config = api.ConsumerConfig(filter_subject=subject, ack_policy=api.AckPolicy.NONE, inactive_threshold=30)
    made = await stream.add_consumer(name, config)
    reading = await stream.pull_subscribe_bind(consumer=made.name, stream=name)
    waiting, out = made.num_pending or 0, []
    while waiting > 0:
        for message in await reading.fetch(min(waiting, 500), timeout=10):
            waiting -= 1
            out.append((message.subject, (message.headers or {}).get("Nats-Msg-Id", ""), message.data))
    await client.close()
    return out
