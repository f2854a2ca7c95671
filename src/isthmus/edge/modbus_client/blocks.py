"""Scattered addresses become few requests: sort, and merge while the gap between two is small.

One request costs a round trip, one needless register two bytes; so a gap of some registers is read
along and thrown away. Pure: nothing here knows a socket.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from isthmus.edge.modbus_client.codec import MOST_BITS, MOST_REGISTERS, Table

BITS_PER_REGISTER: Final = 16


class Point(NamedTuple):
    """Where one tag lies: `size` registers or bits from the 0-based address `start` on."""

    unit: int
    table: Table
    start: int
    size: int
    tag: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size


class Block(NamedTuple):
    """One read request and the tags that it serves, sorted by address."""

    unit: int
    table: Table
    start: int
    size: int
    points: tuple[Point, ...]


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What is read together, and how often."""

    period_s: float
    blocks: tuple[Block, ...]
    gap: int
    per_request: int
    retry_bad_s: float


def merge(points: Iterable[Point], *, gap: int, per_request: int = MOST_REGISTERS) -> tuple[Block, ...]:
    """The fewest requests that a forward sweep finds; both limits are in registers.

    In a table of bits both count 16 times as many addresses: the same bytes on the wire. A tag is
    never torn apart, so one that is wider than `per_request` stands alone.
    """
    out: list[Block] = []
    for (_, table), near in groupby(sorted(points), key=lambda p: (p.unit, p.table)):
        times = BITS_PER_REGISTER if table.of_bits else 1
        most = min(per_request * times, MOST_BITS if table.of_bits else MOST_REGISTERS)
        run: list[Point] = []
        end = 0
        for point in near:
            if run and (point.start - end > gap * times or max(end, point.end) - run[0].start > most):
                out.append(block(run))
                run, end = [], 0
            run.append(point)
            end = max(end, point.end)
        out.append(block(run))
    return tuple(out)


def block(points: Iterable[Point]) -> Block:
    """The one request that covers all of `points`, which lie in one table of one unit."""
    run = tuple(sorted(points))
    first = run[0]
    return Block(first.unit, first.table, first.start, max(point.end for point in run) - first.start, run)


def halves(whole: Block) -> tuple[Block, Block]:
    """A refused block in two, each shrunk to its own tags: what lay between them is no longer read."""
    middle = len(whole.points) // 2
    return block(whole.points[:middle]), block(whole.points[middle:])
