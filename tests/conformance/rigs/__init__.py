"""A rig is a real server of one protocol, with known values and faults to order, for the conformance suite.

One file per protocol, found by itself: it holds a class that satisfies `Rig` and names it `RIG`, or
names several `RIGS`. The server runs in a process of its own (`ServerProcess`), so that it can be
killed and frozen. What happens on the line (dropped, muted, garbage, half a frame) is the suite's.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import queue
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import pytest

from isthmus.edge.source import Source, Tag
from isthmus.model.samples import ValueKind
from isthmus.model.status import GOOD


class Known(NamedTuple):
    """A tag whose value the server is known to have when it has just started."""

    tag: Tag
    kind: ValueKind
    value: float | int | bool | str | None
    """None where the sample carries no value."""
    time_ns: int | None = None
    """The source time that the server gives it; None when the arrival at the edge is its time."""
    status: int = GOOD


class Rig(Protocol):
    """A server of one protocol. Made once per session of tests; everything is bounded in time."""

    name: str
    """Shown in the names of the tests: opcua."""
    marks: Sequence[pytest.MarkDecorator]
    """For example pytest.mark.peer("libmodbus")."""
    source_class: type
    tag_class: type[Tag]
    known: Sequence[Known]
    """At least one per value kind that the protocol has."""
    bad: Tag
    """A tag that the server does not have."""
    counting: str
    """The name of a known tag, of kind i64, whose value `change` sets."""
    harmless: frozenset[str]
    """The services that a source may ask for: reading, browsing, subscribing, sessions. All else is refused."""
    identity: Mapping[str, str]
    """Fields of Identity that the server gives, for example {"maker": "..."}."""
    found: Mapping[str, ValueKind | None]
    """Paths that browsing finds, and their kinds. Empty where the protocol has no browsing."""
    pattern: str
    """A glob that matches some of `found`, not all."""
    deadline_s: float
    """How long the sources of `source` may take to notice that the device is gone."""
    back_s: float
    """How soon after the server listens again a source that retries must deliver."""
    pace_s: float
    """How far apart changes must be for a source to see each of them."""

    def start(self) -> int:
        """Start the server, or do nothing when it runs; its known values are as at first. Gives its port.

        A later start listens on the same port. May call pytest.skip with a reason.
        """
        ...

    def kill(self) -> None:
        """End the server as a power cut does."""
        ...

    def freeze(self) -> None:
        """Stop the server's process, its connections left open."""
        ...

    def thaw(self) -> None:
        """Let a frozen server go on."""
        ...

    def start_elsewhere(self) -> None:
        """Start the killed server so that addresses that may change have changed.

        Other numbers behind the same names, another order of namespaces, another instance id. For a
        protocol whose addresses are fixed, a plain start.
        """
        ...

    def change(self, name: str, value: Any) -> None:  # noqa: ANN401  the tag's kind
        """Set a known tag's value at the server; returns when it is set."""
        ...

    def source(self, port: int) -> Source:
        """A source of this server, reached at this port of loopback, with deadlines as short as they may be."""
        ...

    def asked(self, said: bytes) -> list[str]:
        """The services that a connection asked for, in order, by name, out of what it sent.

        An unreadable byte is an AssertionError, a service without a name its number.
        """
        ...

    def sessions(self) -> int:
        """How many sessions the server holds, or connections where the protocol has no sessions."""
        ...


class ServerProcess:
    """A server in a process of its own that speaks in lines: it says `READY <port>`, then answers each order."""

    def __init__(self, command: Sequence[str], *, start_s: float = 20.0, answer_s: float = 5.0) -> None:
        self._answer_s = answer_s
        self._lines: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        threading.Thread(target=self._listen, daemon=True).start()
        first = self._line(start_s)
        if not first.startswith("READY "):
            self.kill()
            pytest.fail(f"{command[0]} began with {first!r}")
        self.port = int(first.split()[1])

    def order(self, line: str) -> str:
        """Tell the server something and wait for the one line that answers it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self._line(self._answer_s)

    @property
    def runs(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.wait(5)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        try:
            for line in self.process.stdout:
                self._lines.put(line.strip())
        except ValueError:
            return  # closed while reading: it was killed
        self._lines.put("(it ended)")

    def _line(self, within_s: float) -> str:
        try:
            return self._lines.get(timeout=within_s)
        except queue.Empty:
            return f"(nothing within {within_s:g} s)"


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def rigs() -> list[type[Rig]]:
    """Every rig of this folder."""
    found: list[type[Rig]] = []
    for module in pkgutil.iter_modules(__path__):
        names = vars(importlib.import_module(f"{__name__}.{module.name}"))
        found += [names["RIG"]] if "RIG" in names else names.get("RIGS", [])
    return found
