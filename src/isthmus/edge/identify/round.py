"""A round of asking: one device after another, with a rest between, ended for a segment by its second failure.

One round at a time on this machine, so that no segment ever has two devices in flight. Nothing is tried again.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

from isthmus.edge import gate
from isthmus.edge.identify.approved import Target
from isthmus.edge.identify.evidence import Evidence
from isthmus.edge.identify.line import Line
from isthmus.edge.identify.protocols import askings
from isthmus.edge.identify.talk import NoRoom
from isthmus.model.errors import DeviceAway, IsthmusError, UsageError

REST_S: Final = 1.0
"""Between two devices of one segment."""
VISIT_S: Final = 20.0
"""Longest that one device is asked; closing comes on top."""
MOST_FAILURES: Final = 2
_LOCK: Final = "\0isthmus audit identify"

Outcome = Literal["answered", "failed", "not asked"]


class Halt(IsthmusError):
    """Nothing more may be sent: the window ended, the conduit was cut."""


class Visit(NamedTuple):
    """How one device was asked."""

    target: Target
    outcome: Outcome
    why: str = ""
    frames: int = 0
    """On the wire, both directions."""
    requests: int = 0
    left: str = ""
    """How the connection was left where the device did not close its side."""
    began_ns: int = 0


class Rules(NamedTuple):
    """What holds for a round."""

    gates: tuple[Path, ...]
    """Folders of the edge's gate: one that is closed means that nothing is sent."""
    refused: Mapping[str, str] = {}
    """By address, why it is not asked for reasons that the asset record knows."""
    rest_s: float = REST_S
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Alone:
    """Held while a round goes on. Raises UsageError while another does on this machine."""

    def __enter__(self) -> None:
        self._held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._held.bind(_LOCK)
        except OSError as error:
            self._held.close()
            msg = "another isthmus audit identify asks devices from this machine now; wait until it ends"
            raise UsageError(msg) from error

    def __exit__(self, *_: object) -> None:
        self._held.close()


def ask_all(targets: Sequence[Target], evidence: Evidence, rules: Rules) -> Iterator[Visit]:
    """Ask each target that is not refused, one after another; every target gives one visit."""
    failures: Counter[str] = Counter()
    rested: dict[str, float] = {}
    halted = ""
    with Alone():
        for target in targets:
            why = target.refused or rules.refused.get(target.address, "") or halted
            if not why and failures[target.segment] >= MOST_FAILURES:
                why = f"stopped: {MOST_FAILURES} devices of {target.segment} failed in this round"
            if why:
                yield Visit(target, "not asked", why)
                continue
            time.sleep(max(0.0, rested.get(target.segment, 0.0) - time.monotonic()))
            visit = _visit(target, evidence, rules)
            rested[target.segment] = time.monotonic() + rules.rest_s
            failures[target.segment] += bool(visit.outcome == "failed" or visit.left)
            if visit.outcome == "not asked":
                halted = visit.why
            yield visit


def _visit(target: Target, evidence: Evidence, rules: Rules) -> Visit:
    """One device, from connecting to the end of closing."""
    asking = askings()[target.approval.protocol]
    end = time.monotonic() + VISIT_S
    began_ns = time.time_ns()

    def may() -> None:
        _may(target, rules)
        if time.monotonic() > end:
            msg = f"{target.name} takes longer than {VISIT_S:g} s"
            raise DeviceAway(msg)

    line = Line(target, asking, evidence, may)
    outcome: Outcome = "answered"
    why = ""
    try:
        line.open()
        why = _talk(target, line, asking.PAUSE_S)
    except DeviceAway as error:
        outcome, why = "failed", str(error)
    except (ValueError, IndexError, struct.error) as error:
        outcome, why = "failed", f"{target.name} answers what makes no sense: {error}"
    except Halt as error:
        outcome, why = "not asked", str(error)
    finally:
        line.close()
    return Visit(target, outcome, why, line.frames, line.requests, line.left, began_ns)


def _talk(target: Target, line: Line, pause_s: float) -> str:
    """The whole conversation; what was left out, in words."""
    talk = askings()[target.approval.protocol].talk(target.approval, line.near)
    left_out = ""
    try:
        ask = next(talk)
        while True:
            if line.requests:
                time.sleep(pause_s)
            if not ask.goodbye and not line.room(ask.needs):
                left_out = (
                    left_out or f"left out for want of frames: {_said(ask.frame.name, ask.values)} and what follows"
                )
                ask = talk.throw(NoRoom())
                continue
            ask = talk.send(line.ask(ask))
    except (StopIteration, NoRoom):
        return left_out
    finally:
        talk.close()


def _said(name: str, values: Mapping[str, int | bytes]) -> str:
    return f"{name}, slot {values['slot']!r}" if "slot" in values else name


def _may(target: Target, rules: Rules) -> None:
    for folder in rules.gates:
        latch = gate.read(folder)
        if latch.closed:
            msg = f"the conduit is cut by {latch.by}: {latch.reason}; nothing is sent"
            raise Halt(msg)
    now = rules.now()
    if not target.approval.begins <= now < target.approval.ends:
        msg = "the window has ended; nothing more is sent"
        raise Halt(msg)


def capture_name(now: datetime) -> str:
    """Name of a round's evidence, which no other round has."""
    return f"{now.astimezone(UTC).strftime('%Y-%m-%dT%H%M%SZ')}-{os.urandom(3).hex()}.pcapng"
