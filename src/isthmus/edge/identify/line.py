"""One connection to one device: opened once, counted frame by frame, and closed from both sides. Sends nothing else.

Frames are counted as the kernel counts segments, in both directions, acknowledgements and closing
included. A device that never ends its answer, or sends it byte by byte, costs a bounded time and memory.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from isthmus.edge.identify.approved import Target
from isthmus.edge.identify.evidence import Ends, Evidence
from isthmus.edge.identify.talk import Ask, Asking
from isthmus.model.errors import DeviceAway

MOST_FRAMES: Final = 25
CONNECT_S: Final = 5.0
ANSWER_S: Final = 3.0
CLOSE_S: Final = 5.0
MOST_ANSWER: Final = 65_536
MOST_DRAINED: Final = 1 << 20
"""Read, and thrown away, from a device that goes on sending after we ended our side; in even parts over `CLOSE_S`."""
_WINDOW: Final = 32_768
"""The receive buffer that is asked for: so little can a device send ahead of what we read."""
_CLOSING: Final = 4
"""Frames of a close: FIN and acknowledgement, twice."""
_FIRST_GUESS, _LEAST = 3, 2
"""Frames of a request with its answer, before one was seen; and the fewest that there can be."""
_STRAYS: Final = 4
_NOWHERE: Final = ("0.0.0.0", 0)  # noqa: S104  our end before there is a connection; nothing is bound
_SEGMENTS_AT: Final = 136
"""Where segs_out and segs_in stand in Linux's struct tcp_info (linux/tcp.h)."""


class Line:
    """A connection. `may` is called before anything is sent and raises where it may not be."""

    def __init__(self, target: Target, asking: Asking, evidence: Evidence, may: Callable[[], None]) -> None:
        self._target, self._asking, self._evidence, self._may = target, asking, evidence, may
        self._sock: socket.socket | None = None
        self._ends = Ends(asking.OVER, _NOWHERE, (target.address, target.port))
        self._datagrams = self._last = 0
        self._dearest = self._latest = _FIRST_GUESS if asking.OVER == "tcp" else _LEAST
        self._ended = False
        self.left = ""
        """How the connection was left, where the device did not close its side."""
        self.requests = 0

    @property
    def near(self) -> str:
        """Our own address."""
        return self._ends.near[0]

    @property
    def frames(self) -> int:
        """Frames on the wire so far, both directions."""
        if self._sock is not None and self._asking.OVER == "tcp":
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SEGMENTS_AT + 8)
            if len(info) >= _SEGMENTS_AT + 8:
                self._last = sum(struct.unpack_from("=II", info, _SEGMENTS_AT))
        return self._datagrams + self._last

    def room(self, needs: int) -> bool:
        """Whether so many requests with their answers fit, and the goodbye and the close behind them.

        One is reckoned as dear as the dearest so far, several as dear as the latest.
        """
        closing = _CLOSING + self._asking.FAREWELL if self._asking.OVER == "tcp" else 0
        dear = self._dearest if needs == 1 else needs * self._latest
        return self.frames + dear + closing <= MOST_FRAMES

    def open(self) -> None:
        """Connect, once. Raises DeviceAway."""
        self._may()
        far = (self._target.address, self._target.port)
        family = socket.AF_INET6 if ":" in self._target.address else socket.AF_INET
        tcp = self._asking.OVER == "tcp"
        sock = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
        sock.settimeout(CONNECT_S)
        try:
            if tcp:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
            sock.connect(far)
        except OSError as error:
            sock.close()
            why = "it does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
            self._evidence.tried(self._ends, f"no connection: {why}")
            msg = f"{self._target.name} cannot be reached: {why}"
            raise DeviceAway(msg) from error
        self._sock = sock
        self._ends = Ends(self._asking.OVER, sock.getsockname()[:2], far)
        if tcp:
            self._evidence.opened(self._ends, f"connects; approved by {self._target.approval.approved_by}")

    def ask(self, ask: Ask) -> bytes:
        """Send one frame of the list and give its answer whole. Raises DeviceAway, ValueError for garbage."""
        assert self._sock is not None  # noqa: S101  open() comes first
        before = self.frames
        data = ask.frame.fill(ask.values)
        self._may()
        self._evidence.said(self._ends, data, f"{ask.frame.name}; {ask.frame.clause}", sent=True)
        self.requests += 1
        try:
            self._sock.settimeout(ANSWER_S)
            self._sock.sendall(data)
            if self._asking.OVER == "udp":
                self._datagrams += 1
                return self._datagram(self._sock) if ask.answered else b""
            answer = self._stream(self._sock) if ask.answered else b""
        except TimeoutError as error:
            msg = f"{self._target.name} does not answer to {ask.frame.name} within {ANSWER_S:g} s"
            raise DeviceAway(msg) from error
        except OSError as error:
            msg = f"{self._target.name} broke off at {ask.frame.name}: {error.strerror or error}"
            raise DeviceAway(msg) from error
        self._latest = max(_LEAST, self.frames - before)
        self._dearest = max(self._dearest, self._latest)
        return answer

    def close(self) -> None:
        """End our side, wait for the device to end its own, then let go. Never breaks off."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        if self._asking.OVER == "udp":
            sock.close()
            return
        self._sock = sock
        try:
            self._evidence.closing(self._ends, "we send nothing more", sent=True)
        finally:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            if not self._ended:
                self._until_closed(sock)
            _ = self.frames
            self._sock = None
            sock.close()

    def _until_closed(self, sock: socket.socket) -> None:
        """Read on until the device ends its side, for so long and so much.

        A device that streams is not cut off at the most that is read: it is slowed down to that, by TCP's
        own means, and has the whole time to see that we ended and to end too.
        """
        begin, drained = time.monotonic(), 0
        end = begin + CLOSE_S
        try:
            while (wait := end - time.monotonic()) > 0:
                due = begin + drained / MOST_DRAINED * CLOSE_S
                if drained > MOST_ANSWER and (early := min(due, end) - time.monotonic()) > 0:
                    time.sleep(early)
                    continue
                sock.settimeout(wait)
                data = sock.recv(65_536)
                if not data:
                    self._evidence.closing(self._ends, "the device sends nothing more", sent=False)
                    return
                drained += len(data)
                if drained <= MOST_ANSWER:
                    self._evidence.said(self._ends, data, "sent after we had closed our side", sent=False)
        except TimeoutError:
            pass
        except OSError as error:
            self.left = f"it broke the connection off: {error.strerror or error}"
            return
        what = "it went on sending" if drained > MOST_ANSWER else "it did not close its side"
        self.left = f"{what} for {CLOSE_S:g} s after we had ended ours, and may hold the connection half closed"

    def _stream(self, sock: socket.socket) -> bytes:
        out, size, end = b"", 0, time.monotonic() + ANSWER_S
        while not size or len(out) < size:
            wait = end - time.monotonic()
            if wait <= 0:
                raise TimeoutError
            sock.settimeout(wait)
            # Without this the kernel acknowledges each answer by a frame of its own.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            data = sock.recv(65_536)
            if not data:
                self._ended = True
                self._evidence.closing(self._ends, "the device closes", sent=False)
                msg = "closed by the device"
                raise ConnectionAbortedError(msg)
            self._evidence.said(self._ends, data, "", sent=False)
            out += data
            if len(out) > MOST_ANSWER:
                msg = f"its answer is longer than {MOST_ANSWER:,} bytes"
                raise ValueError(msg)
            size = self._asking.whole(out)
        if len(out) > size:
            msg = f"it sends {len(out) - size:,} bytes more than was asked for"
            raise ValueError(msg)
        return out

    def _datagram(self, sock: socket.socket) -> bytes:
        end, wrong = time.monotonic() + ANSWER_S, "nothing"
        for _ in range(_STRAYS):
            wait = end - time.monotonic()
            if wait <= 0:
                raise TimeoutError
            sock.settimeout(wait)
            data = sock.recv(65_536)
            self._datagrams += 1
            self._evidence.said(self._ends, data, "", sent=False)
            try:
                self._asking.whole(data)
            except ValueError as error:
                wrong = str(error)
                continue
            return data
        raise ValueError(wrong)
