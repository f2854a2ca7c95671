"""What joins the simulated machines to their protocol servers: a socket of this machine, no part of any network.

A server says which machine it stands for, is given all its present values, then every change. A server
that was killed or frozen finds the machine where it really is when it comes back, as a PLC would.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

import msgspec

from isthmus.sim.world import Change, Value

DROP = "!drop"
"""An order to a server, in place of a signal: close every connection at once."""
MUTE = "!mute"
"""An order too: with true, values stand still though the server goes on answering; with false it catches up."""
_ENCODER = msgspec.json.Encoder()
_MOST_WAITING = 16 * 1024 * 1024
"""Bytes kept for a server that does not read; beyond, it is cut off and begins anew when it comes back."""


class Bus:
    """The machines' side: hands each change to the servers that stand for that machine."""

    def __init__(self, path: Path, values: Callable[[str], Mapping[str, Value]], now_ns: Callable[[], int]) -> None:
        self._path, self._values, self._now_ns = path, values, now_ns
        self._listeners: dict[str, set[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._welcome, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for writers in self._listeners.values():
            for writer in writers:
                writer.close()

    def publish(self, changes: Iterable[Change]) -> None:
        """Hand changes on; never waits."""
        for change in changes:
            line = _ENCODER.encode(change[1:]) + b"\n"
            for writer in tuple(self._listeners.get(change.machine, ())):
                self._send(change.machine, writer, line)

    def _send(self, machine: str, writer: asyncio.StreamWriter, line: bytes) -> None:
        if writer.is_closing() or writer.transport.get_write_buffer_size() > _MOST_WAITING:
            self._listeners[machine].discard(writer)
            writer.close()
        else:
            writer.write(line)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        machine = (await reader.readline()).decode().strip()
        now_ns = self._now_ns()
        for signal, value in self._values(machine).items():
            writer.write(_ENCODER.encode((signal, now_ns, value)) + b"\n")
        self._listeners.setdefault(machine, set()).add(writer)


async def changes(path: Path, machine: str) -> AsyncIterator[tuple[str, int, Value]]:
    """The servers' side: (signal, time_ns, value), first what is, then what changes. Ends with the plant.

    Of the orders only DROP comes through. While muted nothing does; afterwards the newest of each signal.
    """
    held: dict[str, tuple[str, int, Value]] | None = None
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    writer.write(f"{machine}\n".encode())
    try:
        while line := await reader.readline():
            signal, time_ns, value = msgspec.json.decode(line)
            if signal == MUTE:
                caught_up, held = (held or {}) if not value else {}, ({} if value else None)
                for change in caught_up.values():
                    yield change
            elif held is None or signal == DROP:
                yield signal, time_ns, value
            else:
                held[signal] = signal, time_ns, value
    finally:
        writer.close()
