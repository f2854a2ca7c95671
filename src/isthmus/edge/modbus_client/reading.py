"""One poll over and over: which blocks the device really gives, which addresses it refuses, who is silent.

A refused block is halved until the bad address stands alone; its tag is named, left out, and tried
again rarely. A silent unit behind a gateway is asked ever more rarely and costs only its own tags.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.edge.modbus_client import blocks, codec
from isthmus.edge.modbus_client.blocks import Block, Poll
from isthmus.edge.modbus_client.connection import Connection, Silence
from isthmus.edge.modbus_client.image import Field, Image
from isthmus.edge.source import Sink
from isthmus.model import status as st
from isthmus.model.errors import DeviceAway

TRIALS_PER_POLL: Final = 32
"""At most so many questions of one poll go to blocks under suspicion; the rest wait for the next."""

_WRONG_ADDRESS: Final = frozenset({2, 3, 4})
_NOT_NOW: Final = frozenset({5, 6})
_UNIT_UNREACHED: Final = frozenset({10, 11})

# The exception codes of Modbus Application Protocol V1.1b3, section 7, as statuses and in words.
_EXCEPTIONS: Final = {
    1: (st.BAD_NOT_READABLE, "the device has no such table"),
    2: (st.BAD_NODE_ID_UNKNOWN, "the device has no such address"),
    3: (st.BAD_OUT_OF_RANGE, "the device does not give so many registers here"),
    4: (st.BAD_DEVICE_FAILURE, "the device failed while reading it"),
    5: (st.BAD_NO_DATA, "the device is still at work on it"),
    6: (st.BAD_NO_DATA, "the device is busy"),
    8: (st.BAD_DEVICE_FAILURE, "the device reports a memory error"),
    10: (st.BAD_NO_COMMUNICATION, "the gateway has no path to it"),
    11: (st.BAD_NO_COMMUNICATION, "the gateway gets no answer from it"),
}


class Units:
    """Which units of one connection answer. Shared by all polls of a source."""

    def __init__(self, units: Iterable[int], *, first_rest_s: float, most_rest_s: float) -> None:
        self._units = frozenset(units)
        self._first_rest_s = first_rest_s
        self._most_rest_s = most_rest_s
        self._strikes: dict[int, int] = {}
        self._rests: dict[int, tuple[float, int, str]] = {}

    def resting(self, unit: int) -> tuple[int, str] | None:
        """Status and cause while a silent unit is left alone; None when it may be asked."""
        if unit not in self._rests:
            return None
        until, status, why = self._rests[unit]
        return (status, why) if time.monotonic() < until else None

    def silent(self, unit: int, status: int, why: str) -> str:
        """Note a silence; what to tell of it. Raises DeviceAway when no unit is left that answers."""
        strikes = self._strikes[unit] = self._strikes.get(unit, 0) + 1
        if self._strikes.keys() >= self._units:
            raise DeviceAway(why)
        rest_s = min(self._first_rest_s * 2.0 ** min(strikes - 1, 16), self._most_rest_s)
        told = f"{why}; asked again every {self._most_rest_s:g} s at least, the other units go on"
        self._rests[unit] = time.monotonic() + rest_s, status, told
        return told

    def answered(self, unit: int) -> None:
        """The unit is there."""
        if self._strikes:
            self._strikes.pop(unit, None)
            self._rests.pop(unit, None)


class _Live(msgspec.Struct, frozen=True, eq=False):
    """A block with what each poll needs of it, made once."""

    block: Block
    request: codec.Request
    tags: NDArray[np.intp]


class Reading:
    """The state of one poll: made anew with each connection, advanced by `once`."""

    def __init__(self, poll: Poll, fields: Sequence[Field], connection: Connection, units: Units, sink: Sink) -> None:
        self._poll = poll
        self._blocks = [_live(block) for block in poll.blocks]
        self._suspects: deque[_Live] = deque()
        self._bad: dict[_Live, float] = {}
        self._connection = connection
        self._units = units
        self._sink = sink
        self._image = Image(poll.blocks, fields)
        self._time_ns = np.zeros(len(fields), np.int64)
        self._status = np.full(len(fields), st.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self._told: dict[int, int] = {}

    async def once(self) -> list[pa.RecordBatch]:
        """Read every block; one batch per value kind with every tag of the poll. Raises DeviceAway."""
        self._suspect_the_bad_again()
        await self._read_all(iter(list(self._blocks)))
        for _ in range(TRIALS_PER_POLL):
            if not self._suspects:
                break
            trial = self._suspects.popleft()
            if await self._read(trial):
                self._blocks.append(trial)
        now_ns = time.time_ns()
        for live in (*self._suspects, *self._bad):
            self._time_ns[live.tags] = now_ns
        return self._image.columns(self._time_ns, self._status)

    async def _read_all(self, waiting: Iterator[_Live]) -> None:
        async def worker() -> None:
            for live in waiting:
                if not await self._read(live):
                    self._blocks.remove(live)

        if self._connection.in_flight == 1:
            await worker()
            return
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._connection.in_flight):
                workers.create_task(worker())

    async def _read(self, live: _Live) -> bool:
        """Read one block into the image. False when it was refused: it is now under suspicion, or bad."""
        unit = live.block.unit
        if rest := self._units.resting(unit):
            self._mark(live, *rest)
            return True
        try:
            data = await self._connection.ask(live.request)
        except Silence as silence:
            self._mark(live, st.BAD_TIMEOUT, self._units.silent(unit, st.BAD_TIMEOUT, str(silence)))
            return True
        except codec.Refusal as refusal:
            return self._refused(live, refusal.code)
        self._units.answered(unit)
        self._image.put(live.block, data)
        self._mark(live, st.GOOD, "")
        return True

    def _refused(self, live: _Live, code: int) -> bool:
        block = live.block
        status, words = _EXCEPTIONS.get(code, (st.BAD_COMMUNICATION_ERROR, "the device answers with an unknown code"))
        why = f"{_place(block)}: {words} (Modbus exception {code})"
        if code in _UNIT_UNREACHED:
            self._mark(live, status, self._units.silent(block.unit, status, why))
            return True
        self._units.answered(block.unit)
        if code in _NOT_NOW:
            self._mark(live, status, why)
            return True
        if code in _WRONG_ADDRESS and len(block.points) > 1:
            self._suspects.extend(_live(half) for half in blocks.halves(block))
            self._mark(live, status, "")
            return False
        self._bad[live] = time.monotonic() + self._poll.retry_bad_s
        self._mark(live, status, f"{why}; tried again every {self._poll.retry_bad_s:g} s")
        return False

    def _suspect_the_bad_again(self) -> None:
        """What was refused long enough ago is tried again, merged, so that a passing failure leaves no splinters."""
        now = time.monotonic()
        if not any(when <= now for when in self._bad.values()):
            return
        due = [live for live, when in self._bad.items() if when <= now + self._poll.retry_bad_s / 2]
        for live in due:
            del self._bad[live]
        points = [point for live in due for point in live.block.points]
        again = blocks.merge(points, gap=self._poll.gap, per_request=self._poll.per_request)
        self._suspects.extend(_live(block) for block in again)

    def _mark(self, live: _Live, status: int, why: str) -> None:
        """Note what became of a block's tags; tell a fault where it is new, and its end. "" tells nothing yet."""
        self._status[live.tags] = status
        self._time_ns[live.tags] = time.time_ns()
        if status == st.GOOD and not self._told:
            return
        for tag in live.tags.tolist():
            if status == st.GOOD and self._told.pop(tag, None) is not None:
                self._sink.fault(tag, st.GOOD, "")
            elif why and self._told.get(tag) != status:
                self._told[tag] = status
                self._sink.fault(tag, status, why)


def _live(block: Block) -> _Live:
    request = codec.read(block.unit, block.table, block.start, block.size)
    return _Live(block, request, np.array([point.tag for point in block.points], np.intp))


def _place(block: Block) -> str:
    last = f"-{block.start + block.size - 1}" if block.size > 1 else ""
    return f"unit {block.unit}, {block.table} {block.start}{last}"
