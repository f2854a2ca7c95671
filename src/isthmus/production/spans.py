"""A machine's time as spans: contiguous stretches of one state under one order, from records in time order."""

from __future__ import annotations

import msgspec

from isthmus.model.records import Record
from isthmus.model.records.production import RunEnded, RunStarted, StateChanged
from isthmus.model.states import State


class Span(msgspec.Struct, frozen=True):
    """A machine was in one state, with one order or none, over [start_ns, end_ns)."""

    start_ns: int
    end_ns: int
    state: State
    order: str = ""
    stop_code: str = ""
    """The first stop code that the machine gave in this state, "" for none."""


class Timeline(msgspec.Struct):
    """The spans since some moment; the last is open. Before the first record a machine is UNKNOWN."""

    since_ns: int | None = None
    """Start of the open span; None before the first record."""
    state: State = State.UNKNOWN
    order: str = ""
    stop_code: str = ""
    closed: list[Span] = []

    def take(self, record: Record) -> None:
        """Follow a change of state or of order; other records change nothing."""
        match record:
            case StateChanged() if record.state != self.state:
                self._close(record.time_ns)
                self.state, self.stop_code = record.state, record.stop_code
            case StateChanged() if record.stop_code and not self.stop_code:
                self._explain(record.stop_code)
            case RunStarted() if record.order != self.order:
                self._close(record.time_ns)
                self.order = record.order
            case RunEnded() if record.order == self.order:
                self._close(record.time_ns)
                self.order = ""
            case _:
                pass

    def begin(self, time_ns: int) -> None:
        """Let time begin no later than at a moment; before the first record a machine is UNKNOWN."""
        if self.since_ns is None:
            self.since_ns = time_ns
        elif not self.closed and time_ns < self.since_ns:
            self.closed.append(Span(time_ns, self.since_ns, State.UNKNOWN))

    def until(self, end_ns: int) -> list[Span]:
        """All spans, the open one cut at `end_ns`."""
        if self.since_ns is None or self.since_ns >= end_ns:
            return list(self.closed)
        return [*self.closed, Span(self.since_ns, end_ns, self.state, self.order, self.stop_code)]

    def _close(self, time_ns: int) -> None:
        if self.since_ns is not None and self.since_ns < time_ns:
            self.closed.append(Span(self.since_ns, time_ns, self.state, self.order, self.stop_code))
        self.since_ns = time_ns

    def _explain(self, stop_code: str) -> None:
        """A code that came after its stop is the code of the whole stretch in that state."""
        self.stop_code = stop_code
        for index in range(len(self.closed) - 1, -1, -1):
            span = self.closed[index]
            if span.state != self.state or span.stop_code:
                break
            self.closed[index] = msgspec.structs.replace(span, stop_code=stop_code)


def stretches(spans: list[Span]) -> list[list[Span]]:
    """Contiguous spans, parted into single RUN spans and whole stretches of standing still."""
    out: list[list[Span]] = []
    standing = False
    for span in spans:
        if standing and span.state != State.RUN:
            out[-1].append(span)
        else:
            out.append([span])
        standing = span.state != State.RUN
    return out
