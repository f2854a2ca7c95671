"""The site's one door towards OT: takes runs of frames over mutual TLS and answers what is on disk.

    GET  /v1/enrol     who vouches for this plant (its authority's certificate)
    POST /v1/enrol     a first contact, with a one-time code
    POST /v1/frames    a run of frames from an enrolled edge; the answer is an `Answer`

Every body, every wait and the number of connections is bounded, by `places.py`: who shows no certificate
can hold nothing that an edge needs. A body is read whole before it takes its turn; bodies are handed to
`take` one after the other in one worker thread, in the order in which they arrived.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Protocol, Self

import h11
import msgspec

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.site.intake.places import Places, Room
from isthmus.wire import tls
from isthmus.wire.frame import HEADER, MAX_PAYLOAD
from isthmus.wire.link import (
    ENROL,
    FRAMES,
    MAX_BODY,
    VERSION,
    VERSION_HEADER,
    Answer,
    Authority,
    Enrolled,
    EnrolRequest,
)
from isthmus.wire.tls import Peer

IDLE_S: Final = 60.0
STRANGER_S: Final = 5.0
"""Who showed no certificate has so long to ask for something."""
HEAD_S: Final = 15.0
BODY_S: Final = 60.0
WRITE_S: Final = 15.0
HANDSHAKE_S: Final = 5.0
MOST_ENROL: Final = 16 * 1024
LONE_FRAME: Final = HEADER.size + MAX_PAYLOAD
LOOK_S: Final = 3600.0
_READ: Final = 256 * 1024
_BACKLOG: Final = 256
_log: Final = logging.getLogger(__name__)

Take = Callable[[str, bytes], Answer]


class Doorkeeper(Protocol):
    """Who may come in: a site's `Certificates`, or the keeper of a relay."""

    folder: Path

    def prepare(self, hosts: Sequence[str] = ()) -> None: ...  # noqa: D102  Certificates says what each promises
    def look_after(self) -> None: ...  # noqa: D102
    def enrol(self, secret: str, request: str) -> Enrolled: ...  # noqa: D102
    def refusal(self, peer: Peer | None) -> str: ...  # noqa: D102
    def renewal(self, peer: Peer) -> str: ...  # noqa: D102


class _Refused(Exception):
    def __init__(self, status: int, words: str) -> None:
        self.status, self.words = status, words
        super().__init__(words)


class LinkServer:
    """`async with LinkServer(...)` listens; `cut` says whether an edge's conduit shall be closed.

    Raises UsageError when the address is taken or no address of this machine.
    """

    def __init__(
        self,
        listen: str,
        certificates: Doorkeeper,
        take: Take,
        cut: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.seen: dict[str, int] = {}
        """When each edge was last heard, ns."""
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self._certificates, self._take, self._cut = certificates, take, cut
        self.places, self.room = Places(), Room()
        self._enrolling = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "ingest")

    @property
    def port(self) -> int:
        """The port that it listens on; of use when 0 was asked for."""
        return int(self._listeners[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._certificates.prepare([self._host.strip("[]")])
        self._context = tls.server_context(self._certificates.folder)
        try:
            self._listeners = await _listening(self._host.strip("[]"), self._port)
        except OSError as error:
            msg = (
                f"[site] listen = {self._host}:{self._port} cannot be listened on ({error.strerror}); "
                "another site may run here, or choose another address"
            )
            raise UsageError(msg) from error
        self._work = [asyncio.create_task(self._look_after())]
        self._work += [asyncio.create_task(self._accept(listener)) for listener in self._listeners]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._work:
            task.cancel()
        await asyncio.wait(self._work)
        for listener in self._listeners:
            listener.close()
        await self.places.clear()
        await asyncio.to_thread(self._thread.shutdown)

    async def _look_after(self) -> None:
        """Once an hour: the site's own certificate, also for connections yet to come."""
        while True:
            await asyncio.to_thread(self._certificates.look_after)
            folder = self._certificates.folder
            self._context.load_cert_chain(folder / "own.pem", folder / "own.key")
            await asyncio.sleep(LOOK_S)

    async def _accept(self, listener: socket.socket) -> None:
        """Take connections as they come; each has a place before it has shaken hands."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                taken, _ = await loop.sock_accept(listener)
            except OSError as error:  # the process has no file handle left, or the other end went at once
                _log.warning("link: a connection cannot be taken: %s", error.strerror)
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._connected(taken))
            task.add_done_callback(partial(_let_go, taken))  # a task cancelled at once has closed nothing
            self.places.enter(task)

    async def _connected(self, taken: socket.socket) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        reader = asyncio.StreamReader(limit=_READ)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport: asyncio.Transport | None = None
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                taken,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=2.0,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            der = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            peer = tls.peer_of(der) if der else None
            if peer is not None and task is not None:
                self.places.name(task, peer.name)
            await _Connection(self, reader, writer, peer).serve()
        except (OSError, TimeoutError, h11.RemoteProtocolError, EOFError, asyncio.CancelledError) as error:
            _log.debug("link: a connection ended: %r", error)
        finally:
            if transport is not None:
                transport.abort()

    async def frames(self, peer: Peer, body: bytes) -> Answer:
        """Hand a body on and add what the site itself has to say. Raises _Refused.

        While the link is cut nothing is taken in and nothing acknowledged, so that all of it comes later.
        """
        if self._cut(peer.name):
            self.seen[peer.name] = time.time_ns()
            return Answer(cut=True)
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._thread, self._take, peer.name, body)
        except StoreDamaged as error:
            raise _Refused(400, str(error)) from error
        except UsageError as error:
            raise _Refused(503, str(error)) from error
        except OSError as error:
            raise _Refused(507, error.strerror or str(error)) from error
        self.seen[peer.name] = time.time_ns()
        return answer

    async def enrol(self, body: bytes) -> bytes:
        """Answer a first contact. Raises _Refused; wrong codes cost a second each, one at a time."""
        try:
            asked = msgspec.json.decode(body, type=EnrolRequest)
            async with self._enrolling:
                try:
                    enrolled = await asyncio.to_thread(self._certificates.enrol, asked.secret, asked.request)
                except UsageError:
                    await asyncio.sleep(1.0)
                    raise
        except UsageError as error:
            raise _Refused(403, str(error)) from error
        except ValueError as error:
            raise _Refused(400, f"no enrolment request: {error}") from error
        _log.warning("link: %s enrolled", enrolled.name)
        return msgspec.json.encode(enrolled)

    def authority(self) -> bytes:
        """The plant's authority, for a first contact to compare with its code."""
        return msgspec.json.encode(Authority((self._certificates.folder / "ca.pem").read_text()))

    def welcome(self, peer: Peer | None) -> Peer:
        """The peer, when it may send frames. Raises _Refused."""
        try:
            why = self._certificates.refusal(peer)
        except UsageError as error:
            raise _Refused(503, str(error)) from error
        if why or peer is None:
            raise _Refused(403, why)
        return peer

    def renewal(self, peer: Peer) -> str:
        """A renewed certificate where one is due."""
        return self._certificates.renewal(peer)


async def _listening(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of `host`. Raises OSError when one is taken."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    out: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            listener = socket.socket(family, socket.SOCK_STREAM)
            out.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            listener.settimeout(0)
    except OSError:
        for listener in out:
            listener.close()
        raise
    return out


def _let_go(taken: socket.socket, _: asyncio.Task[None]) -> None:
    taken.close()


class _Connection:
    """One TLS connection and the requests on it, one after the other."""

    def __init__(
        self, server: LinkServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer | None
    ) -> None:
        self._server, self._reader, self._writer, self._peer = server, reader, writer, peer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=16 * 1024)
        self._renewed = False
        self._holds = 0
        """Bytes of a body that are in memory, as the server's room counts them."""

    async def serve(self) -> None:
        """Answer requests until the other end is done, silent too long, or wrong."""
        while True:
            request = await self._event(STRANGER_S if self._peer is None else IDLE_S)
            if not isinstance(request, h11.Request):
                return
            try:
                status, said = 200, await self._answer(request)
            except _Refused as refused:
                status, said = refused.status, refused.words.encode()
            await self._reply(status, said)
            if self._http.their_state is h11.SEND_BODY:
                await self._drain()
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _answer(self, request: h11.Request) -> bytes:
        headers = {bytes(name).lower(): bytes(value) for name, value in request.headers}
        what = (request.method, request.target.partition(b"?")[0].decode("latin-1"))
        if what == (b"GET", ENROL):
            await self._body(0)
            return self._server.authority()
        if what == (b"POST", ENROL):
            return await self._server.enrol(await self._body(MOST_ENROL))
        if what != (b"POST", FRAMES):
            raise _Refused(404, f"there is {FRAMES} and {ENROL} here, and nothing else")
        if headers.get(VERSION_HEADER.encode(), b"").decode("latin-1") != VERSION:
            raise _Refused(426, f"this site speaks version {VERSION} of the link")
        peer = self._server.welcome(self._peer)
        try:
            answer = await self._server.frames(peer, await self._body(MAX_BODY, LONE_FRAME, peer.name))
        finally:
            self._server.room.give(peer.name, self._holds)
            self._holds = 0
        if not self._renewed:
            self._renewed = True
            answer = msgspec.structs.replace(answer, certificate=self._server.renewal(peer))
        return msgspec.json.encode(answer)

    async def _body(self, most: int, lone: int = 0, peer: str = "") -> bytes:
        """The body. Raises _Refused when it is longer than `most`, or than a lone frame may make it.

        With a `peer` its bytes are counted as they come: who sends slowly holds no more than what came.
        """
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(BODY_S):
            while True:
                event = await self._event(BODY_S)
                if isinstance(event, h11.EndOfMessage):
                    return b"".join(parts)
                if not isinstance(event, h11.Data):
                    raise EOFError  # noqa: TRY004  the other end went away
                parts.append(bytes(event.data))
                size += len(event.data)
                if size > max(most, lone):
                    raise _Refused(413, f"at most {most} bytes in one body")
                if peer and not self._server.room.take(peer, len(event.data)):
                    raise _Refused(503, "too much waits to be taken in; try again")
                self._holds += len(event.data) if peer else 0

    async def _drain(self) -> None:
        """Let the rest of a refused body pass, so that the refusal is read and not lost in a reset."""
        size = 0
        async with asyncio.timeout(HEAD_S):
            while isinstance(event := await self._event(HEAD_S), h11.Data) and size < LONE_FRAME:
                size += len(event.data)

    async def _event(self, wait_s: float) -> h11.Event:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event):
                return event
            if event is h11.PAUSED:
                raise EOFError
            wait = HEAD_S if self._http.trailing_data[0] else wait_s
            async with asyncio.timeout(wait):
                self._http.receive_data(await self._reader.read(_READ))

    async def _reply(self, status: int, said: bytes) -> None:
        headers = [("content-length", str(len(said))), (VERSION_HEADER, VERSION)]
        headers.append(("content-type", "application/json" if status == 200 else "text/plain; charset=utf-8"))  # noqa: PLR2004
        if status == 413:  # noqa: PLR2004  the rest of the body is not waited for
            headers.append(("connection", "close"))
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=said), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        async with asyncio.timeout(WRITE_S):
            with suppress(ConnectionError):
                await self._writer.drain()
