"""One Modbus/TCP connection: questions go out, each answer finds its question or is thrown away.

A reply that comes after its question gave up carries an old transaction number and is dropped, so
it never passes for the answer to the next question.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from isthmus.edge.modbus_client import codec
from isthmus.model.errors import DeviceAway


class Silence(Exception):
    """One unit did not answer in time; the connection as such still stands."""


class Connection(asyncio.Protocol):
    """Made by `connect`. At most `in_flight` questions are open at a time; others wait their turn."""

    def __init__(self, where: str, *, timeout_s: float, in_flight: int, echoes: bool) -> None:
        self._where = where
        self._timeout_s = timeout_s
        self._echoes = echoes
        self.in_flight = in_flight
        self._turn = asyncio.Semaphore(in_flight)
        self._buffer = bytearray()
        self._waiting: dict[int, tuple[codec.Request, asyncio.Future[bytes]]] = {}
        self._transaction = 0
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._away: asyncio.Future[str] = self._loop.create_future()

    async def ask(self, request: codec.Request) -> bytes:
        """The data of the answer.

        Raises Silence after `timeout_s`, codec.Refusal for an exception code, DeviceAway when the
        connection is lost or what comes back is no Modbus/TCP.
        """
        async with self._turn:
            if self._away.done() or self._transport is None:
                raise DeviceAway(self._away.result() if self._away.done() else f"{self._where} is not connected")
            self._transaction = (self._transaction + 1) & 0xFFFF
            transaction = self._transaction
            answer: asyncio.Future[bytes] = self._loop.create_future()
            self._waiting[transaction] = request, answer
            self._transport.write(codec.telegram(transaction, request))
            timer = self._loop.call_later(self._timeout_s, self._too_late, request, answer)
            try:
                return await answer
            finally:
                timer.cancel()
                del self._waiting[transaction]

    async def lost(self) -> None:
        """Wait until the connection is gone, then raise DeviceAway with the reason."""
        raise DeviceAway(await asyncio.shield(self._away))

    async def close(self) -> None:
        """Close, and wait until the socket is gone."""
        if self._transport is not None:
            self._transport.abort()
            await asyncio.wait([self._away], timeout=self._timeout_s)
            await asyncio.sleep(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio hands over the socket."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_connection gives
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Asyncio hands over what came."""
        self._buffer += data
        try:
            while (reply := codec.take(self._buffer)) is not None:
                self._settle(reply)
        except codec.NotModbus as error:
            self._give_up(f"{self._where} does not speak Modbus/TCP: {error}; check host and port")

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio says that the socket is gone."""
        cause = f" ({exc})" if exc else ""
        when = "in the middle of a reply" if self._buffer else "the connection"
        self._give_up(f"{self._where} closed {when}{cause}")

    def _settle(self, reply: codec.Reply) -> None:
        transaction = reply.transaction if self._echoes else next(iter(self._waiting), None)
        request, answer = self._waiting.get(transaction, (None, None)) if transaction is not None else (None, None)
        if request is None or answer is None or answer.done():
            return
        if not self._echoes and (reply.unit, reply.pdu[0] & 0x7F) != (request.unit, request.pdu[0]):
            return
        try:
            answer.set_result(codec.data(request, reply))
        except codec.Refusal as refusal:
            answer.set_exception(refusal)

    def _too_late(self, request: codec.Request, answer: asyncio.Future[bytes]) -> None:
        if self._buffer:
            self._give_up(f"{self._where} stopped in the middle of a reply")
        elif not answer.done():
            why = f"unit {request.unit} at {self._where} does not answer within {self._timeout_s:g} s"
            answer.set_exception(Silence(why))

    def _give_up(self, why: str) -> None:
        if not self._away.done():
            self._away.set_result(why)
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(DeviceAway(self._away.result()))
        if self._transport is not None:
            self._transport.abort()


@asynccontextmanager
async def connect(
    host: str, port: int, *, timeout_s: float, in_flight: int = 1, echoes: bool = True
) -> AsyncIterator[Connection]:
    """A connection for as long as the block runs. Raises DeviceAway when it cannot be had in time."""
    where = f"{host}:{port}"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, connection = await loop.create_connection(
                lambda: Connection(where, timeout_s=timeout_s, in_flight=in_flight, echoes=echoes), host, port
            )
    except TimeoutError:
        msg = f"{where} does not accept a connection within {timeout_s:g} s; check cable, address and firewall"
        raise DeviceAway(msg) from None
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)
        reason = "nobody listens there" if refused else error.strerror or str(error)
        msg = f"{where} cannot be reached: {reason}; check that the device is on and that host and port are right"
        raise DeviceAway(msg) from error
    try:
        yield connection
    finally:
        await connection.close()
