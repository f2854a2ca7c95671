"""A TCP proxy that stands between a source and its server: it writes down what is said, and breaks the line to order."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from enum import StrEnum
from typing import Self

GARBAGE = bytes((i * 167 + 13) & 0xFF for i in range(256))


class Fault(StrEnum):
    """How a line can be broken. Each holds for standing connections and for new ones."""

    NONE = "none"
    DROPPED = "dropped"
    """closed at once"""
    MUTED = "muted"
    """open, and not a byte comes back"""
    GARBAGE = "garbage"
    """bytes come back that are no protocol's"""
    HALF_A_FRAME = "half a frame"
    """the next reply is cut in its middle, then the line is closed"""


class Wiretap:
    """Listens on a port of its own and forwards to `upstream`, another port of loopback."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.fault = Fault.NONE
        self.port = 0
        self._said: list[bytearray] = []
        self._open: dict[int, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="wiretap", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)

    @property
    def open(self) -> int:
        """How many connections the source holds."""
        return len(self._open)

    @property
    def said(self) -> list[bytes]:
        """What the source has sent, one stream of bytes for each connection it made."""
        return [bytes(stream) for stream in self._said]

    def break_line(self, fault: Fault) -> None:
        """From now on the line is broken in this way."""
        self.fault = fault
        if fault is Fault.DROPPED:
            self._loop.call_soon_threadsafe(self._drop)

    def _drop(self) -> None:
        for writer in list(self._open.values()):
            writer.transport.abort()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        await asyncio.sleep(0.01)  # a line that was just taken still comes in
        self._drop()
        while self._tasks:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._connection(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never reaches its own end.
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = bytearray()
        self._said.append(stream)
        self._open[id(writer)] = writer
        server_writer: asyncio.StreamWriter | None = None
        back: asyncio.Task[None] | None = None
        try:
            if self.fault is Fault.DROPPED:
                return
            with contextlib.suppress(OSError):
                server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
                back = self._loop.create_task(self._answers(server_reader, writer))
            while chunk := await reader.read(65536):
                stream += chunk
                await self._question(chunk, writer, server_writer)
        except OSError:
            pass
        finally:
            del self._open[id(writer)]
            if back is not None:
                back.cancel()
                await asyncio.gather(back, return_exceptions=True)
            for one in (writer, server_writer):
                if one is not None:
                    one.transport.abort()

    async def _question(self, chunk: bytes, writer: asyncio.StreamWriter, server: asyncio.StreamWriter | None) -> None:
        if self.fault is Fault.GARBAGE:
            writer.write(GARBAGE)
            await writer.drain()
        elif server is not None and self.fault is not Fault.MUTED:
            server.write(chunk)
            await server.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if self.fault is Fault.MUTED:
                    continue
                if self.fault is Fault.HALF_A_FRAME:
                    writer.write(chunk[: max(len(chunk) // 2, 1)])
                    await writer.drain()
                    break
                writer.write(GARBAGE if self.fault is Fault.GARBAGE else chunk)
                await writer.drain()
            # What was written goes out before the end is told.
            if writer.can_write_eof():
                writer.write_eof()
            await asyncio.sleep(0.05)
            writer.transport.abort()


@contextlib.contextmanager
def tapped(upstream: int) -> Iterator[Wiretap]:
    """A wiretap in front of a port, taken away at the end."""
    with Wiretap(upstream) as tap:
        yield tap
