"""The packets near a capture's beginning and end, so that captures which follow one another can be joined.

A message, a datagram or a question and its answer may lie on both sides of the place where a capture
was cut. Of each direction the packets next to the cut are kept, and those that open connections; heard together with those of the
capture that follows, they say what neither says alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np

from isthmus.assets.decode.capture import MARGIN, Window
from isthmus.assets.decode.ear import Ear
from isthmus.assets.decode.flows import Directions
from isthmus.assets.decode.headers import headers
from isthmus.assets.decode.heard import Heard
from isthmus.assets.decode.said import Exposure, Identity, Use
from isthmus.model.time import NS_PER_S

NEAR_NS: Final = 10 * NS_PER_S
"""How far from a cut packets matter, and how far apart captures follow one another."""
_LOOKED_AT: Final = 10_000
_OF_EACH: Final = 16
_MOST_BYTES: Final = 2 << 20
_SYN: Final = 0x02
S = TypeVar("S", Identity, Use, Exposure)


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """A packet, whole, and its number in its capture."""

    frame: int
    time_ns: int
    link: int
    length: int
    data: bytes


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """A capture's two ends."""

    source: str = ""
    first_ns: int
    last_ns: int
    head: tuple[Kept, ...]
    tail: tuple[Kept, ...]
    whole: bool
    """Nothing of use lies between: the head has every packet that matters."""


class EndsHeard:
    """Gathers the ends while windows go by; keeps a few thousand packets, never a window."""

    def __init__(self) -> None:
        self._head: list[Window] = []
        self._tail: list[Window] = []
        self._packets = 0
        self._first_ns, self._last_ns = 2**63 - 1, 0

    def take(self, window: Window) -> None:
        """Look at the next window."""
        count = len(window.at)
        if self._packets < _LOOKED_AT:
            self._head.append(_cut(window, 0, min(count, _LOOKED_AT - self._packets)))
        self._tail.append(_cut(window, max(count - _LOOKED_AT, 0), count))
        while len(self._tail) > 1 and sum(len(one.at) for one in self._tail[1:]) >= _LOOKED_AT:
            del self._tail[0]
        self._packets += count
        self._first_ns = min(self._first_ns, int(window.time_ns.min()))
        self._last_ns = max(self._last_ns, int(window.time_ns.max()))

    def ends(self, source: str) -> Ends:
        """What is kept of the capture with this digest."""
        head, everything = _next_to(self._head, self._first_ns, backwards=False)
        tail, _ = _next_to(self._tail, self._last_ns, backwards=True)
        whole = everything and self._packets <= _LOOKED_AT
        return Ends(
            source=source, first_ns=self._first_ns, last_ns=self._last_ns, head=tuple(head), tail=tuple(tail), whole=whole
        )  # fmt: skip


def _cut(window: Window, begin: int, end: int) -> Window:
    """Some packets of a window, with bytes of their own."""
    start = int(window.at[begin])
    stop = int((window.at[begin:end] + window.caught[begin:end]).max())
    data = np.zeros(stop - start + MARGIN, np.uint8)
    data[: stop - start] = window.data[start:stop]
    part = slice(begin, end)
    return Window(
        data, window.at[part] - start, window.caught[part], window.length[part], window.time_ns[part],
        window.link[part], window.first_frame + begin,
    )  # fmt: skip


def _next_to(windows: Sequence[Window], edge_ns: int, *, backwards: bool) -> tuple[list[Kept], bool]:
    """Of each direction the packets with a payload that are next to the edge, in their order; and whether these are all."""
    directions, out, size, everything = Directions(), list[Kept](), 0, True
    for window in reversed(windows) if backwards else windows:
        seen = _reversed(window) if backwards else window
        found = headers(seen)
        carries, opens = found.payload_length > 0, (found.tcp_flags & _SYN) != 0
        near = np.abs(seen.time_ns - edge_ns) <= NEAR_NS
        mine = np.flatnonzero(near & (opens | (carries & (directions.add(seen, found).rank < _OF_EACH))))
        everything = everything and len(mine) == int((carries | opens).sum())
        for index in mine.tolist():
            start, caught = int(seen.at[index]), int(seen.caught[index])
            size += caught
            if size > _MOST_BYTES:
                return _ordered(out), False
            number = len(seen.at) - 1 - index if backwards else index
            data = seen.data[start : start + caught].tobytes()
            out.append(
                Kept(window.first_frame + number, int(seen.time_ns[index]), int(seen.link[index]),
                     int(seen.length[index]), data)
            )  # fmt: skip
    return _ordered(out), everything


def _ordered(kept: list[Kept]) -> list[Kept]:
    return sorted(kept, key=lambda one: one.frame)


def _reversed(window: Window) -> Window:
    return window._replace(
        at=window.at[::-1], caught=window.caught[::-1], length=window.length[::-1], time_ns=window.time_ns[::-1],
        link=window.link[::-1],
    )  # fmt: skip


def chains(pieces: Sequence[Ends], of: str) -> Iterator[tuple[Ends, ...]]:
    """Runs of captures that follow one another and touch the one with digest `of`: a tail, and the heads behind it."""
    row = sorted(pieces, key=lambda one: (one.first_ns, one.last_ns, one.source))
    for begin in range(len(row) - 1):
        end = begin + 1
        while end < len(row) and 0 <= row[end].first_ns - row[end - 1].last_ns <= NEAR_NS:
            end += 1
            if not row[end - 1].whole:
                break
        run = tuple(row[begin:end])
        if len(run) > 1 and any(one.source == of for one in run):
            yield run


def hear_across(run: Sequence[Ends]) -> Iterator[tuple[str, Heard]]:
    """What devices say across the cuts, by the capture in which each message ends."""
    kept = [(one.source, packet) for index, one in enumerate(run) for packet in (one.head if index else one.tail)]
    if not kept:
        return
    ear = Ear()
    ear.take(_window([packet for _, packet in kept]))
    found = ear.heard([])
    for source in dict.fromkeys(name for name, _ in kept):
        yield (
            source,
            Heard(
                identities=_mine(found.identities, source, kept),
                uses=_mine(found.uses, source, kept),
                exposures=_mine(found.exposures, source, kept),
                conversations=[],
                neighbours=[],
                told=[],
                packets=0,
                first_ns=0,
                last_ns=0,
            ),
        )


def _mine(said: Sequence[S], source: str, kept: Sequence[tuple[str, Kept]]) -> list[S]:
    """What was said in one capture, by its own frames."""
    return [
        msgspec.structs.replace(one, packet_frame=kept[one.packet_frame - 1][1].frame)
        for one in said
        if kept[one.packet_frame - 1][0] == source
    ]


def _window(packets: Sequence[Kept]) -> Window:
    sizes = np.array([len(one.data) for one in packets], np.int64)
    return Window(
        np.frombuffer(b"".join(one.data for one in packets) + bytes(MARGIN), np.uint8),
        np.cumsum(sizes) - sizes,
        sizes,
        np.array([one.length for one in packets], np.int64),
        np.array([one.time_ns for one in packets], np.int64),
        np.array([one.link for one in packets], np.int32),
        1,
    )
