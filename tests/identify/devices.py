"""Devices of the tests' own, in a thread each: a careful one with four slots, and several that misbehave."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from isthmus.edge.identify import round as round_
from isthmus.edge.identify.approved import Target, targets
from isthmus.edge.identify.config import Approval
from isthmus.edge.identify.evidence import Evidence
from isthmus.edge.identify.round import Rules, Visit, ask_all
from isthmus.model.zones import Zone, ZoneKind

LOOPBACK = Zone(name="control", kind=ZoneKind.CONTROL, networks=("127.0.0.0/24",))
NOW = datetime.now(UTC)
# Rounds of one test run do not wait for those of another on the same machine.
round_._LOCK = f"\0isthmus audit identify, test {os.getpid()}"  # type: ignore[misc]  # Final in the product


def approved(port: int, protocol: str = "modbus", address: str = "127.0.0.1", **more: object) -> Approval:
    """An approval whose window is open."""
    said = {"begins": NOW - timedelta(hours=1), "ends": NOW + timedelta(hours=1), "approved_by": "Anna Weber"}
    return Approval(address=address, protocol=protocol, port=port, **{**said, **more})  # type: ignore[arg-type]


def aimed(*approvals: Approval) -> list[Target]:
    """Targets, judged as a round would."""
    return targets(approvals, [LOOPBACK], datetime.now(UTC))


def asked(folder: Path, *approvals: Approval, rules: Rules | None = None) -> list[Visit]:
    """One round, with its evidence in `folder`."""
    number = len(list(folder.glob("*.pcapng")))
    with Evidence(folder / f"{number}.pcapng") as evidence:
        return list(ask_all(aimed(*approvals), evidence, rules or Rules((folder / "edge",), rest_s=0.0)))


def modbus_answer(request: bytes) -> bytes:
    """Read Device Identification, as MODBUS Application Protocol V1.1b3 6.21 draws it."""
    objects = b"".join(bytes((n, len(text))) + text for n, text in enumerate((b"Northgate", b"NI-4", b"1.2")))
    body = b"\x2b\x0e" + request[9:10] + b"\x01\x00\x00\x03" + objects
    return request[:4] + (len(body) + 1).to_bytes(2, "big") + request[6:7] + body


def plant_file(folder: Path, *tables: str) -> Path:
    """A plant with loopback as its control zone."""
    path = folder / "plant.toml"
    path.write_text(
        f'[plant]\nname = "Leeds Works"\npath = "acme/leeds"\ntime_zone = "Europe/London"\n'
        f'[edge]\ndata = "{folder}/edge"\n'
        '[[zone]]\nname = "control"\nkind = "control"\nnetworks = ["127.0.0.0/24"]\n'
        '[[zone]]\nname = "supervisory"\nkind = "supervisory"\n[[zone]]\nname = "enterprise"\nkind = "enterprise"\n'
        + "\n".join(tables)
    )
    return path


def table(port: int, protocol: str, *lines: str, address: str = "127.0.0.1") -> str:
    """An approval as it stands in a plant file."""
    one = approved(port)
    begun, ends = one.begins.isoformat(), one.ends.isoformat()
    said = [f'address = "{address}"', f'protocol = "{protocol}"', 'approved_by = "Anna Weber"', f"port = {port}"]
    return "\n".join(["[[identify]]", *said, f"begins = {begun}", f"ends = {ends}", *lines])


class FourSlots:
    """A controller with four connections. It keeps its half of a closed one for a while, or for ever.

    A connection that is broken off costs its slot until the power is cut, and a fifth is refused.
    """

    def __init__(self, keeps_s: float | None, host: str = "127.0.0.1") -> None:
        self.keeps_s = keeps_s
        self.taken = self.most = self.broken = self.refused = self.served = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = self._listener.getsockname()[1]
        self._kept: list[socket.socket] = []
        self._halves: list[tuple[float, socket.socket]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(10)
        for sock in (self._listener, *self._kept, *(one for _, one in self._halves)):
            sock.close()

    def _run(self) -> None:
        live: list[socket.socket] = []
        while not self._done.is_set():
            for sock in select.select([self._listener, *live], [], [], 0.005)[0]:
                if sock is self._listener:
                    self._take(live)
                elif not self._hear(sock):
                    live.remove(sock)
            for due, sock in [pair for pair in self._halves if pair[0] < time.monotonic()]:
                sock.close()
                self._halves.remove((due, sock))
                self.taken -= 1
        for sock in live:
            sock.close()

    def _take(self, live: list[socket.socket]) -> None:
        sock, _ = self._listener.accept()
        if self.taken >= 4:
            self.refused += 1
            sock.close()
            return
        self.taken += 1
        self.most = max(self.most, self.taken)
        live.append(sock)

    def _hear(self, sock: socket.socket) -> bool:
        """Answer; False when the other side has ended."""
        try:
            data = sock.recv(4096)
        except ConnectionError:
            self.broken += 1
            self._kept.append(sock)
            return False
        if data:
            sock.sendall(modbus_answer(data))
            self.served += 1
            return True
        if self.keeps_s is None:
            self._kept.append(sock)
        else:
            self._halves.append((time.monotonic() + self.keeps_s, sock))
        return False


@contextmanager
def device(answer: Callable[[socket.socket, bytes], None]) -> Iterator[int]:
    """A device that does with each connection what `answer` does with the first request; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)
    done = threading.Event()

    def run() -> None:
        while not done.is_set():
            with suppress(TimeoutError):
                sock, _ = listener.accept()
                with sock, suppress(OSError):
                    sock.settimeout(10)
                    answer(sock, sock.recv(4096))
                    while sock.recv(4096):
                        pass

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        thread.join(15)
        listener.close()
