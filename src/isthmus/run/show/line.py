"""A stretch of wire between edge and site that can be cut and mended, for the demonstration's link fault."""

from __future__ import annotations

import asyncio
import contextlib


class Line:
    """Passes bytes from a port of loopback on to another. While cut it passes nothing and takes nobody."""

    def __init__(self, listen: int, onward: int) -> None:
        self._listen, self._onward = listen, onward
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        """Pass bytes from now on."""
        if self._server is None:
            self._server = await asyncio.start_server(self._pass, "127.0.0.1", self._listen)

    async def cut(self) -> None:
        """Break every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._onward)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            for end in (writer, far_writer):
                self._writers.discard(end)
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
