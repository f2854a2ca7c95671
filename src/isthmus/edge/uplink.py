"""Carries the buffer to the site: dials out, sends runs of frames, forgets what the site has on disk.

Frames of one epoch go strictly in order, one body at a time, since the site knows a repeat by its
number alone. After a long outage a new epoch is begun, and the two epochs travel side by side: what
is new arrives at once, what waited follows. A short backlog goes first, so that the site sees time in
its order. Bodies grow with what waits, up to 8 MB, so the pace does not hang on the round trip.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import ssl
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, Protocol

import httpx
import msgspec

from isthmus.edge.gate import Gate
from isthmus.edge.lane import Lane
from isthmus.model.errors import UsageError
from isthmus.model.records import Record
from isthmus.model.records.edge import LinkChanged
from isthmus.model.time import NS_PER_S, iso
from isthmus.wire import tls
from isthmus.wire.link import CONTENT_TYPE, FRAMES, MAX_BODY, VERSION, VERSION_HEADER, Answer
from isthmus.wire.segment import Chunk

IN_ORDER_BYTES: Final = 4 * MAX_BODY
"""A backlog up to this size goes before what is new; a larger one beside it."""
LEAST_BODY: Final = 32 * 1024
HELLO_S: Final = 5.0
"""With nothing to send, an empty body asks this often whether the site is there."""
DEADLINE: Final = httpx.Timeout(connect=5.0, read=20.0, write=20.0, pool=10.0)
RETRY_S: Final = 0.5
RETRY_MOST_S: Final = 5.0
REFUSED_S: Final = 15.0
ASK_S: Final = 600.0
"""A source that the site refuses from this edge is asked for again so often, with one frame."""
ANSWER_BYTES: Final = 1024 * 1024
REFUSALS: Final = 3
"""A single frame that the site refuses so often is set aside."""
_log: Final = logging.getLogger(__name__)

_WORDS: Final[Mapping[int, str]] = {
    401: "the site does not accept this machine's certificate",
    403: "the site does not accept this machine",
    404: "something answers there, but it is no site of isthmus",
    413: "the site takes only smaller bodies",
    426: "the site speaks another version of the link; update the older of the two",
    503: "the site is busy or stopping",
    507: "the site's disk is full; what is read stays here meanwhile",
}


_KINDS: Final[Sequence[tuple[type[Exception], str]]] = (
    (httpx.ConnectTimeout, "{site} does not answer; is the machine on, does a firewall drop the connection?"),
    (httpx.ConnectError, "{site} cannot be reached ({text}); is the site running?"),
    (httpx.TimeoutException, "{site} took the connection and then was silent"),
    (TimeoutError, "{site} took the connection and then was silent"),
    # A site that does not know our authority closes within the handshake, and TLS 1.3 lets us see only that.
    (httpx.NetworkError, "the connection to {site} broke ({text}); if this goes on, enrol this machine again"),
)


class LinkNow(msgspec.Struct, kw_only=True):
    """How the link fares at this moment, for the status page."""

    up: bool = False
    cause: str = "not tried yet"
    since_ns: int = 0
    next_try_ns: int | None = None
    sent_bytes: int = 0
    certificate_ends_ns: int = 0
    alarm: str = ""
    refused: dict[int, str] = {}
    """By source that the site does not take from this edge, why; its frames are kept here."""


class _Failed(Exception):
    def __init__(self, cause: str, status: int = 0, *, broke: bool = False) -> None:
        self.cause, self.status, self.broke = cause, status, broke
        super().__init__(cause)


class Waiting(Protocol):
    """What is carried: the edge's `Buffer`, or the `RelayStore` of a relay."""

    lanes: list[Lane]
    unread: int
    fresh: asyncio.Event

    @property
    def waiting_frames(self) -> int: ...  # noqa: D102  Buffer says what each of these promises
    def tell(self, record: Record) -> None: ...  # noqa: D102
    def let_overtake(self) -> None: ...  # noqa: D102
    def refused(self, lane: Lane) -> None: ...  # noqa: D102


class _Part:
    """One of the two streams of bodies, and how it deals with a frame that the site refuses."""

    def __init__(self, name: Literal["live", "backlog"]) -> None:
        self.name = name
        self.most = MAX_BODY
        """Bytes of the next body: less after one that did not get through, for lines that are slow."""
        self.alone = 0
        """Frames that are sent one by one, since a body with them was refused."""
        self.refusals = 0
        self.frames = 0
        """Frames in the body that was sent last."""


class Uplink:
    """One edge's way to its site. `run` ends only when it is cancelled."""

    def __init__(  # noqa: PLR0913  each is one thing that it joins
        self, site: str, folder: Path, path: str, buffer: Waiting, gate: Gate, *, overtake: bool = True
    ) -> None:
        """With `overtake=False` the oldest always goes first: a relay keeps the order in which it took."""
        self._overtake = overtake
        self.now = LinkNow(since_ns=time.time_ns())
        self._site, self._tls, self._path, self._buffer, self._gate = site.rstrip("/"), folder, path, buffer, gate
        self._client: httpx.AsyncClient | None = None
        self._introduced: set[int] = set()
        self._tries = 0
        self._spoken = 0.0
        self._told: bool | None = None
        self._stale: list[httpx.AsyncClient] = []
        self._ask = asyncio.Event()
        self._judging = asyncio.Lock()
        """What is refused and what the lanes hold of it change together."""

    async def run(self) -> None:
        """Carry frames whenever the gate is open; prove it whenever it closes."""
        while True:
            if self._gate.closed:
                self._gate.proved(await self._prove())
                self._say(f"the gate is closed by {self._gate.latch.by}: {self._gate.latch.reason}")
                await self._gate.until(closed=False)
            try:
                await self._carry_until_shut()
            finally:
                await self._hang_up()
                _close_what_was_cancelled()

    async def _carry_until_shut(self) -> None:
        shut = asyncio.create_task(self._gate.until(closed=True))
        carry = asyncio.create_task(self._carry())
        try:
            await asyncio.wait({shut, carry}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (shut, carry):
                task.cancel()
            await asyncio.wait({shut, carry})
            failed = None if carry.cancelled() else carry.exception()
            del task, shut, carry
        if failed is not None:
            raise failed

    async def _carry(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sender(_Part("live")))
            group.create_task(self._sender(_Part("backlog")))
            group.create_task(self._ask_again())

    async def _sender(self, part: _Part) -> None:
        """Send one part of the buffer, body after body, for ever."""
        while True:
            fresh = self._buffer.fresh
            lane = self._lane(part.name)
            if lane is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await fresh.wait()
                continue
            try:
                await self._send(lane, part)
            except _Failed as failed:
                await self._wait_after(failed, lane, part)

    def _lane(self, part: Literal["live", "backlog"]) -> Lane | None:
        """What this part has to send now. A greeting is due when nothing was sent for a while."""
        *older, newest = self._buffer.lanes
        behind = [lane for lane in older if lane.waiting]
        if part == "backlog":
            return behind[0] if behind else None
        waits = sum(lane.waiting for lane in behind) + self._buffer.unread
        if waits and (waits <= IN_ORDER_BYTES or not self._overtake):
            return None
        return newest if newest.waiting or time.monotonic() - self._spoken > HELLO_S else None

    async def _send(self, lane: Lane, part: _Part) -> None:
        """One body and its answer. Raises _Failed."""
        opening = b"" if lane.epoch in self._introduced else await asyncio.to_thread(lane.dictionaries)
        most = 1 if part.alone else max(min(part.most, MAX_BODY - len(opening)), 1)
        chunk = await asyncio.to_thread(lane.body, most)
        part.frames = len(chunk.heads)
        data = lane.outgoing(chunk, self.now.refused)
        if chunk.heads and not data:
            async with self._judging:
                await asyncio.to_thread(lane.acknowledge, chunk, {}, frozenset(self.now.refused))
            return
        answer = await self._post(opening + data)
        self._introduced.add(lane.epoch)
        part.alone, part.refusals = max(part.alone - 1, 0), 0
        part.most = min(part.most * 2, MAX_BODY)
        await self._obey(lane, chunk, answer)

    async def _post(self, body: bytes) -> Answer:
        """Raises _Failed, with the cause in words."""
        headers = {"content-type": CONTENT_TYPE, VERSION_HEADER: VERSION}
        try:
            client = self._client or self._dial()
            async with (
                asyncio.timeout(3 * (DEADLINE.read or 0)),
                client.stream("POST", self._site + FRAMES, content=body, headers=headers) as reply,
            ):
                said = await _read(reply)
            if reply.status_code != httpx.codes.OK:
                raise _Failed(_refusal(reply.status_code, said), reply.status_code)
            answer = msgspec.json.decode(said, type=Answer)
        except (httpx.HTTPError, OSError, TimeoutError, UsageError, httpx.InvalidURL) as error:
            broke = not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            raise _Failed(_words(error, self._site), broke=broke) from error
        except msgspec.MsgspecError as error:
            msg = f"what answers at {self._site} is no site of isthmus"
            raise _Failed(msg) from error
        self.now.sent_bytes += len(body)
        self._spoken = time.monotonic()
        return answer

    async def _obey(self, lane: Lane, chunk: Chunk, answer: Answer) -> None:
        """Take in what the site says: what it has, whether to close, a renewed certificate."""
        upto = {(item.source, item.epoch): item.seq for item in answer.acknowledged}
        if answer.cut:
            self._gate.cut(level=2, by="the site", reason="the site asked for the conduit to be cut")
        async with self._judging:
            self._note_refused(answer)
            refused = frozenset(self.now.refused)
            went_on = await asyncio.to_thread(lane.acknowledge, chunk, upto, refused)
        if chunk.heads and not went_on and not lane.stale(chunk):
            msg = "the site took the frames and acknowledged none of them"
            raise _Failed("the site refuses the link" if answer.cut else msg)
        if not self.now.up and lane.waiting > IN_ORDER_BYTES:
            self._buffer.let_overtake()
        self._say("")
        if answer.certificate:
            await self._renew(answer.certificate)

    def _note_refused(self, answer: Answer) -> None:
        for item in answer.refused:
            if item.source not in self.now.refused:
                _log.warning("%s: %s. What is read of it waits here", self._path, item.why)
            self.now.refused[item.source] = item.why

    async def _ask_again(self) -> None:
        """For each refused source now and then, and when the site is reached anew: one frame, until it is taken."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_S):
                    await self._ask.wait()
            self._ask.clear()
            for source in list(self.now.refused):
                async with self._judging:
                    with suppress(_Failed):  # the senders see the same, and say it
                        if await self._taken(source):
                            self._release(source)

    def _release(self, source: int) -> None:
        for lane in self._buffer.lanes:
            lane.release(source)
        why = self.now.refused.pop(source)
        _log.warning("%s: the site takes what it refused before (%s)", self._path, why)

    async def _taken(self, source: int) -> bool:
        """Whether the site takes the oldest frame that waits of a refused source, or none waits. Raises _Failed."""
        for lane in list(self._buffer.lanes):
            frame = await asyncio.to_thread(lane.held, source)
            if frame is not None:
                answer = await self._post(await asyncio.to_thread(lane.dictionaries) + frame)
                self._note_refused(answer)
                return not answer.cut and any(item.source == source for item in answer.acknowledged)
        return True

    async def _renew(self, pem: str) -> None:
        if await asyncio.to_thread(tls.take_renewed, self._tls, pem):
            _log.info("uplink: the certificate was renewed until %s", tls.own(self._tls).ends.isoformat())
            if self._client is not None:  # the next request dials with the new one
                self._stale.append(self._client)
                self._client = None
        else:
            _log.warning("uplink: the site sent a certificate that is not for this machine's key; it is not used")

    async def _wait_after(self, failed: _Failed, lane: Lane, part: _Part) -> None:
        self._introduced.clear()
        if failed.broke or failed.status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            part.most = max(part.most // 4, LEAST_BODY)
        if failed.status == httpx.codes.BAD_REQUEST:
            # Again with every dictionary and frame by frame, so that one bad frame stops nobody.
            part.alone = part.alone or part.frames
            part.refusals += 1
            if part.refusals > REFUSALS:
                await asyncio.to_thread(self._buffer.refused, lane)
                part.alone, part.refusals = max(part.alone - 1, 0), 0
        self._tries += 1
        slow = failed.status in {401, 403, 404, 426}
        wait = REFUSED_S if slow else min(RETRY_S * 2.0 ** min(self._tries - 1, 16), RETRY_MOST_S)
        wait *= random.uniform(0.5, 1.0)  # noqa: S311  a wait, not a secret
        self._say(failed.cause, wait)
        await asyncio.sleep(wait)

    def _dial(self) -> httpx.AsyncClient:
        """A client with the certificates as they are now, through the gate."""
        transport = httpx.AsyncHTTPTransport(verify=tls.client_context(self._tls), trust_env=False)
        ends = tls.own(self._tls).ends
        self.now.certificate_ends_ns = int(ends.timestamp()) * NS_PER_S
        ended = self.now.certificate_ends_ns < time.time_ns()
        self.now.alarm = f"this machine's certificate ended {iso(self.now.certificate_ends_ns)}" if ended else ""
        self._client = httpx.AsyncClient(
            transport=_Gated(transport, self._gate), timeout=DEADLINE, trust_env=False, follow_redirects=False
        )
        return self._client

    async def _hang_up(self) -> None:
        held = [*self._stale, *([self._client] if self._client else [])]
        self._client, self._stale = None, []
        self._introduced.clear()
        for client in held:
            with suppress(httpx.HTTPError, OSError, TimeoutError):
                async with asyncio.timeout(2.0):
                    await client.aclose()

    async def _prove(self) -> str:
        """Try to get through the closed gate; how it failed. What gets through is said in capitals."""
        start = time.monotonic()
        try:
            await self._post(b"")
        except _Failed as failed:
            return (
                f"every connection closed; a new one failed after {(time.monotonic() - start) * 1e3:.1f} ms: {failed}"
            )
        finally:
            await self._hang_up()
        return "NOT CUT: the site still answered; pull the cable and call the OT engineer on duty"

    def _say(self, cause: str, wait_s: float | None = None) -> None:
        """Note how it goes; a change is told once."""
        up = not cause
        if up:
            self._tries = 0
        self.now.next_try_ns = None if wait_s is None else time.time_ns() + int(wait_s * NS_PER_S)
        self.now.cause = cause
        if self._told == up:
            return
        self._told = self.now.up = up
        if up:
            self._ask.set()
        self.now.since_ns = time.time_ns()
        _log.warning("%s: %s", self._path, cause or "the site is reached")
        self._buffer.tell(
            LinkChanged(
                path=self._path,
                time_ns=self.now.since_ns,
                up=up,
                cause=cause,
                waiting_frames=self._buffer.waiting_frames,
            )
        )


class _Gated(httpx.AsyncBaseTransport):
    """Every request of the uplink passes here, and none while the gate is closed."""

    def __init__(self, inner: httpx.AsyncHTTPTransport, gate: Gate) -> None:
        self._inner, self._gate = inner, gate

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._gate.closed:
            msg = "the gate is closed"
            raise httpx.ConnectError(msg)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _close_what_was_cancelled() -> None:
    """Close sockets at once that a request left to the collector when it was cancelled within its handshake."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def _read(reply: httpx.Response) -> bytes:
    """The answer, bounded: a site says little."""
    said = bytearray()
    async for part in reply.aiter_raw():
        said += part
        if len(said) > ANSWER_BYTES:
            msg = "the answer is longer than any answer of a site"
            raise _Failed(msg)
    return bytes(said)


def _refusal(status: int, said: bytes) -> str:
    words = _WORDS.get(status, f"the site answered with HTTP status {status}")
    more = said[:300].decode(errors="replace").strip()
    return f"{words}: {more}" if more and more.isprintable() else words


def _words(error: Exception, site: str) -> str:
    """Why nothing got through, as a plant engineer would say it."""
    if isinstance(error, UsageError):
        return str(error)
    text = str(error) or type(error).__name__
    cause = None if isinstance(error, (httpx.TimeoutException, TimeoutError)) else _tls_cause(error)
    if cause is not None:
        if "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return f"{site} shows a certificate that is not of this plant's authority; is it the right address?"
        reason = getattr(cause, "reason", "") or text
        if "ALERT" in reason or "CERTIFICATE" in reason:
            return f"{site} refuses this machine's certificate ({reason}); enrol it again"
        return f"{site} does not shake hands as a site does ({reason}); is the site running, is it the right address?"
    for kind, words in _KINDS:
        if isinstance(error, kind):
            return words.format(site=site, text=text)
    return f"the connection to {site} broke ({text})"


def _tls_cause(error: BaseException | None) -> ssl.SSLError | None:
    """The TLS failure behind an error of the HTTP client, if one is."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
