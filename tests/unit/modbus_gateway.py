"""A Modbus gateway on loopback that misbehaves to order. Speaks from the standard, not through our codec."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

Registers = Mapping[int, int]


class Asked(NamedTuple):
    unit: int
    function: int
    start: int
    size: int


class Gateway:
    """Units with sparse registers (the same in all tables); what is not there is exception 2."""

    def __init__(self, units: Mapping[int, Registers]) -> None:
        self.units = units
        self.silent: set[int] = set()
        self.deaf_to: set[int] = set()
        """Functions that it does not answer at all."""
        self.codes: dict[int, int] = {}
        """Unit to the exception code that it answers with, whatever is asked."""
        self.delay: Callable[[Asked], float] = lambda _: 0.0
        self.echoes = True
        self.asked: list[Asked] = []
        self.open_questions = 0
        self.most_open = 0
        self.raw: Callable[[bytes], bytes] = lambda telegram: telegram
        """What is done to each reply before it is sent."""

    def answer(self, asked: Asked) -> bytes | None:
        if asked.unit in self.silent or asked.unit not in self.units:
            return None
        if asked.function in self.deaf_to:
            return None
        if asked.unit in self.codes:
            return bytes((asked.function | 0x80, self.codes[asked.unit]))
        if asked.function not in (1, 2, 3, 4):
            return bytes((asked.function | 0x80, 1))
        memory = self.units[asked.unit]
        wanted = range(asked.start, asked.start + asked.size)
        if any(address not in memory for address in wanted):
            return bytes((asked.function | 0x80, 2))
        if asked.function in (1, 2):
            bits = sum((memory[address] & 1) << place for place, address in enumerate(wanted))
            body = bits.to_bytes((asked.size + 7) // 8, "little")
        else:
            body = b"".join(struct.pack(">H", memory[address]) for address in wanted)
        return bytes((asked.function, len(body))) + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers: set[asyncio.Task[None]] = set()
        try:
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(length - 1)
                start, size = struct.unpack(">HH", pdu[1:5]) if len(pdu) == 5 else (0, 0)
                asked = Asked(unit, pdu[0], start, size)
                self.asked.append(asked)
                self.open_questions += 1
                self.most_open = max(self.most_open, self.open_questions)
                answers.add(asyncio.ensure_future(self._reply(transaction, asked, writer)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in answers:
                task.cancel()
            writer.transport.abort()

    async def _reply(self, transaction: int, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.delay(asked))
        self.open_questions -= 1
        pdu = self.answer(asked)
        if pdu is not None:
            number = transaction if self.echoes else 0
            writer.write(self.raw(struct.pack(">HHHB", number, 0, len(pdu) + 1, asked.unit) + pdu))


@asynccontextmanager
async def listening(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """The port on which `serve` answers."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
