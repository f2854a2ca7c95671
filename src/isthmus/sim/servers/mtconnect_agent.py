"""An MTConnect agent: /probe, /current and /sample with streaming, over plain HTTP on one port.

    agent = Agent(Device(id="d1", name="CNC-01", items=(Item(id="exec", category="EVENT", type="EXECUTION"),)))
    agent.update("exec", "ACTIVE", time_ns)
    async with await agent.serve("127.0.0.1", 5000):
        ...

It keeps the last `buffer` observations by sequence number, answers OUT_OF_RANGE behind them, and has
an instance id that changes with `restart`. It keeps no assets, takes nothing in over HTTP, and does
not filter by path. Everything is called from the event loop's own thread.

Source: MTConnect 1.4, parts 1 to 3; shapes compared with documents of the official agent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from isthmus.model.time import NS_PER_MS
from isthmus.sim.servers import mtconnect_documents as documents
from isthmus.sim.servers.mtconnect_documents import Component, Device, Item, Level, Observation, Place, element, walk

__all__ = ["Agent", "Component", "Device", "Item", "Level"]

_REQUEST_S, _MOST_REQUEST = 10.0, 16_384
_MOST_COUNT: Final = 10_000
_BOUNDARY: Final = "isthmus-part"


class Agent:
    """The observations of some devices, and the HTTP door to them."""

    def __init__(self, *devices: Device, sender: str = "isthmus", buffer: int = 131_072) -> None:
        self._devices = devices
        self._sender = sender
        self._size = buffer
        self._places = {item.id: (item, place) for device in devices for place, item in walk(device)}
        self._instance = 0
        self._streams: dict[asyncio.Event, asyncio.StreamWriter] = {}
        self._sessions = 0
        self.restart()

    @property
    def sessions(self) -> int:
        """How many HTTP connections are open."""
        return self._sessions

    def restart(self) -> None:
        """Forget every observation, as an agent does that starts anew: another instance id, all unavailable."""
        self._instance = max(self._instance + 1, time.time_ns() // NS_PER_MS)
        self._next = 1
        self._buffer: dict[int, Observation] = {}
        self._now: dict[str, dict[str, Observation]] = {}
        now_ns = time.time_ns()
        for item, _ in self._places.values():
            self.update(item.id, None, now_ns)

    def update(self, item_id: str, value: float | str | None, time_ns: int) -> None:
        """A new value of a sample or event; None when it is unavailable. Raises KeyError for an unknown item."""
        item, _ = self._places[item_id]
        if item.category == "CONDITION":
            self.condition(item_id, "Unavailable" if value is None else "Normal", time_ns)
            return
        text = "UNAVAILABLE" if value is None else str(value)
        self._now[item_id] = {"": self._keep(item, time_ns, element(item.type), "", text)}

    def condition(self, item_id: str, level: Level, time_ns: int, *, code: str = "", text: str = "") -> None:
        """A condition began or ended. Several codes may be active at once; Normal without a code ends all."""
        item, _ = self._places[item_id]
        kept = self._keep(item, time_ns, level, code, text)
        active = self._now.setdefault(item_id, {})
        if level == "Unavailable" or not code:
            active.clear()
        elif level == "Normal":
            active.pop(code, None)
        if level in ("Warning", "Fault") or not active:
            active.pop("", None)
            active[code if level in ("Warning", "Fault") else ""] = kept

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen; the server is an async context manager. Port 0 takes any free one."""
        return await asyncio.start_server(self._answer, host, port, limit=_MOST_REQUEST)

    def drop(self) -> None:
        """Close every stream, as when the agent's machine loses power."""
        for wake, writer in self._streams.items():
            writer.transport.abort()
            wake.set()

    @property
    def _first(self) -> int:
        return next(iter(self._buffer), self._next)

    def _keep(self, item: Item, time_ns: int, element: str, code: str, text: str) -> Observation:
        kept = self._buffer[self._next] = Observation(self._next, item, time_ns, element, code, text)
        self._next += 1
        if len(self._buffer) > self._size:
            del self._buffer[self._first]
        for wake in self._streams:
            wake.set()
        return kept

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions += 1
        try:
            while True:
                async with asyncio.timeout(_REQUEST_S):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                await self._serve_one(head.split("\r\n", 1)[0], writer)
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # the loop ends; asyncio would tell a cancelled handler as an error
        finally:
            self._sessions -= 1
            writer.transport.abort()

    async def _serve_one(self, line: str, writer: asyncio.StreamWriter) -> None:
        try:
            verb, devices, query = self._asked(line)
            if verb == "sample" and "interval" in query:
                await self._stream(devices, query, writer)
                return
            body, status = self._document(verb, devices, query), 200
        except _Refused as refused:
            body, status = documents.error(self._told, refused.code, refused.text), refused.http
        writer.write(_head(status, f"Content-Length: {len(body)}", "text/xml") + body)
        await writer.drain()

    def _asked(self, line: str) -> tuple[str, tuple[Device, ...], dict[str, str]]:
        method, _, rest = line.partition(" ")
        if method != "GET":
            raise _Refused(405, "INVALID_REQUEST", "this agent is read with GET and takes nothing in")
        url = urlsplit(rest.rpartition(" ")[0])
        *names, verb = [unquote(part) for part in url.path.split("/") if part] or ["probe"]
        devices = tuple(device for device in self._devices if not names or names[0] in _called(device))
        if not devices or len(names) > 1:
            raise _Refused(404, "NO_DEVICE", f"Could not find the device '{'/'.join(names)}'")
        return verb, devices, dict(parse_qsl(url.query))

    def _document(self, verb: str, devices: tuple[Device, ...], query: Mapping[str, str]) -> bytes:
        if verb == "probe":
            return documents.probe(self._told, devices)
        if verb == "current":
            now = (observation for active in self._now.values() for observation in active.values())
            return documents.streams(self._told, devices, self._placed(now), self._next)
        if verb == "sample":
            start, count = self._range(query)
            return self._part(devices, start, count)[0]
        raise _Refused(404, "UNSUPPORTED", f"there is no request {verb}; ask for probe, current or sample")

    async def _stream(
        self, devices: tuple[Device, ...], query: Mapping[str, str], writer: asyncio.StreamWriter
    ) -> None:
        interval_s = _number(query, "interval", 0, least=0) / 1000
        heartbeat_s = _number(query, "heartbeat", 10_000, least=1) / 1000
        start, count = self._range(query)
        writer.write(_head(200, "Transfer-Encoding: chunked", f"multipart/x-mixed-replace;boundary={_BOUNDARY}"))
        wake = asyncio.Event()
        self._streams[wake] = writer
        sent = -interval_s
        try:
            while True:
                body, start = self._part(devices, start, count)
                writer.write(_chunk(body))
                await writer.drain()
                sent = time.monotonic()
                if start < self._next:
                    continue
                wake.clear()
                try:
                    async with asyncio.timeout(heartbeat_s):
                        await wake.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(max(0.0, sent + interval_s - time.monotonic()))
        except _Refused as refused:
            writer.write(_chunk(documents.error(self._told, refused.code, refused.text)) + b"0\r\n\r\n")
            await writer.drain()
        finally:
            del self._streams[wake]

    def _range(self, query: Mapping[str, str]) -> tuple[int, int]:
        count = _number(query, "count", 100, least=1)
        if count > _MOST_COUNT:
            raise _Refused(400, "OUT_OF_RANGE", f"'count' must be at most {_MOST_COUNT}")
        return _number(query, "from", self._first, least=0) or self._first, count

    def _part(self, devices: tuple[Device, ...], start: int, count: int) -> tuple[bytes, int]:
        """The document with at most `count` observations from `start` on, and the next sequence number."""
        if not self._first <= start <= self._next:
            raise _Refused(400, "OUT_OF_RANGE", f"'from' must be between {self._first} and {self._next}")
        end = min(start + count, self._next)
        found = (self._buffer[number] for number in range(start, end))
        return documents.streams(self._told, devices, self._placed(found), end), end

    def _placed(self, observations: Iterable[Observation]) -> Iterator[tuple[Place, Observation]]:
        return ((self._places[observation.item.id][1], observation) for observation in observations)

    @property
    def _told(self) -> documents.Buffer:
        return documents.Buffer(self._sender, self._instance, self._size, self._first, self._next)


class _Refused(Exception):
    def __init__(self, http: int, code: str, text: str) -> None:
        self.http, self.code, self.text = http, code, text
        super().__init__(text)


def _called(device: Device) -> tuple[str, str, str]:
    return device.name, device.uuid, device.id


def _number(query: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise _Refused(400, "OUT_OF_RANGE", f"'{name}' must be a whole number of at least {least}")
    return int(text)


def _head(status: int, length: str, content: str) -> bytes:
    words = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}[status]
    return (
        f"HTTP/1.1 {status} {words}\r\nServer: Isthmus simulated plant\r\nCache-Control: no-store\r\n"
        f"Content-Type: {content}\r\n{length}\r\n\r\n"
    ).encode()


def _chunk(body: bytes) -> bytes:
    part = f"--{_BOUNDARY}\r\nContent-type: text/xml\r\nContent-length: {len(body)}\r\n\r\n".encode() + body + b"\r\n"
    return f"{len(part):x}\r\n".encode() + part + b"\r\n"
