"""Why a machine stood still: what people said of a stretch, else what its stop code means.

A stop code explains no time that nobody saw; a person may.
A saying holds from its moment to its end. People speak in minutes: an end is taken to the next whole
minute, or to the end of the stop if that comes first; an open end is the end of the stop. Where sayings
overlap, the one said last holds, so two overlapping reasons never count a minute twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from isthmus.model.plant import Machine, Plant, Reason
from isthmus.model.records.people import ReasonGiven
from isthmus.model.states import State
from isthmus.model.time import NS_PER_MINUTE
from isthmus.production.spans import Span


class Saying(msgspec.Struct, frozen=True):
    """What a person said of a stretch of standing still. `end_ns` None means until the stop ends."""

    start_ns: int
    end_ns: int | None
    reason: str
    note: str
    by: str
    said_ns: int


class Piece(NamedTuple):
    """A part of a stop in one state, under one order, with one reason ("" for none)."""

    start_ns: int
    end_ns: int
    state: State
    order: str
    reason: str
    note: str
    by: str


def saying(record: ReasonGiven) -> Saying:
    """A person's record as what it says, its end on a whole minute."""
    end_ns = None if record.end_ns is None else -(-record.end_ns // NS_PER_MINUTE) * NS_PER_MINUTE
    return Saying(record.time_ns, end_ns, record.reason, record.note, record.by, record.said_ns)


def still_holding(sayings: Iterable[Saying], time_ns: int) -> list[Saying]:
    """The sayings that may yet hold in a stop that begins at `time_ns` or later."""
    return [one for one in sayings if (one.start_ns >= time_ns if one.end_ns is None else one.end_ns > time_ns)]


def codes(plant: Plant, machine: Machine) -> dict[str, str]:
    """The reason behind each stop code of a machine; the first reason that names a code has it."""
    below = machine.path.removeprefix(f"{plant.path}/")
    out: dict[str, str] = {}
    for reason in plant.reasons.values():
        if not reason.machines or {machine.path, below} & set(reason.machines):
            for code in reason.match:
                out.setdefault(code, reason.code)
    return out


def explain(stop: Sequence[Span], sayings: Sequence[Saying], by_code: Mapping[str, str]) -> list[Piece]:
    """A stretch of standing still in pieces, each with its reason. Pieces cover the stop and never overlap."""
    begin_ns, end_ns = stop[0].start_ns, stop[-1].end_ns
    holding = [
        (one, end_ns if one.end_ns is None else min(one.end_ns, end_ns))
        for one in sorted(sayings, key=lambda one: (one.said_ns, one.start_ns))
        if one.end_ns is not None or one.start_ns >= begin_ns
    ]
    edges = {edge for one, until in holding for edge in (one.start_ns, until)}
    out = []
    for span in stop:
        marks = sorted({span.start_ns, span.end_ns, *(edge for edge in edges if span.start_ns < edge < span.end_ns)})
        for start, end in pairwise(marks):
            said = [one for one, until in holding if one.start_ns <= start < until]
            code = "" if span.state is State.UNKNOWN else by_code.get(span.stop_code, "")
            why = (said[-1].reason, said[-1].note, said[-1].by) if said else (code, "", "machine" if code else "")
            out.append(Piece(start, end, span.state, span.order, *why))
    return out


def reason_of(piece: Piece, reasons: Mapping[str, Reason]) -> Reason | None:
    """The plant file's reason of a piece, None where nobody has said or the code is no longer known."""
    return reasons.get(piece.reason)
