"""A relay's store: frames of many edges, on disk before they are acknowledged, and sent on as they are.

A relay opens no frame but dictionaries. It drops nothing: when it is full it takes nothing more, and
the edges, who then hear that, keep what they have.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from isthmus.edge import lane as lanes
from isthmus.edge.buffer import hold
from isthmus.edge.lane import Lane
from isthmus.model.errors import StoreDamaged
from isthmus.model.records import Record
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary, FrameKind
from isthmus.wire.link import EDGE_OWN, RELAY_OWN, Acknowledged, Answer, Refused

_MOST_SAID: Final = 1024
"""Runs of numbers whose dictionaries are kept in mind; an edge says its own anew with each connection."""


class RelayStore:
    """What waits in a relay. `take` runs in a worker thread, the rest belongs to the event loop.

    `sources` gives, by edge, the sources that it may speak for; an edge that is not in it may for any.
    """

    def __init__(
        self, folder: Path, plant: str, name: str, *, most_bytes: int, sources: Mapping[str, Sequence[str]] = {}
    ) -> None:
        self.fresh = asyncio.Event()
        self.unread = 0
        self._folder, self._plant, self._most_bytes = folder, plant, most_bytes
        self._own = RELAY_OWN + name
        self._sources = {
            edge: frozenset(frames.source_id(source) for source in (*named, EDGE_OWN))
            for edge, named in sources.items()
        }
        self._id, self._seq = frames.source_id(self._own), 0
        self._said: dict[tuple[int, int], dict[bytes, None]] = {}
        self._lock = Lock()
        self._held = hold(folder)
        self.lanes = [lanes.on_disk(folder, epoch) for epoch in lanes.epochs(folder)]
        for lane in self.lanes:
            lane.finished = True
            for _, frame in lane.log.read(lane.log.first):
                self._learn(frame.source, frame.epoch, frames.pack(frame), frame.kind)
        epoch = max([time.time_ns(), *(lane.epoch + 1 for lane in self.lanes)])
        self.lanes.append(lanes.on_disk(folder, epoch, self._preamble))
        self._learn(self._id, epoch, self._own_dictionary(epoch), FrameKind.DICTIONARY)
        for lane in self.lanes:
            lane.opening = self._preamble
        self.lanes[-1].log.append([])
        self.lanes[-1].log.sync()

    @property
    def waiting_frames(self) -> int:
        """Frames that the site does not have."""
        return sum(lane.frames for lane in self.lanes if lane.waiting)

    def take(self, edge: str, body: bytes) -> Answer:
        """Keep a run of frames. Raises StoreDamaged when it is none, OSError when the relay is full."""
        upto: dict[tuple[int, int], int] = {}
        offset, count = 0, 0
        said = []
        kept: list[bytes] = []
        refused: dict[int, str] = {}
        may = self._sources.get(edge)
        while offset < len(body):
            try:
                head, end = frames.head_at(body, offset)
            except EOFError:
                msg = f"the run of frames ends within the frame at offset {offset}"
                raise StoreDamaged(msg) from None
            if may is not None and head.source not in may:
                refused[head.source] = (
                    f"source {head.source:08x} is not one that this relay was started with for {edge}; "
                    f"name it behind --edge {edge}="
                )
            else:
                if head.kind is FrameKind.DICTIONARY:
                    said.append((head.source, head.epoch, body[offset:end], head.kind))
                else:
                    upto[head.source, head.epoch] = head.seq
                kept.append(body[offset:end])
                count += 1
            offset = end
        with self._lock:
            if kept:
                self._make_room(sum(map(len, kept)))
                self.lanes[-1].log.append(kept)
                self.lanes[-1].log.sync()
                self.lanes[-1].frames += count
            for one in said:
                self._learn(*one)
        return Answer(
            acknowledged=tuple(Acknowledged(*name, seq) for name, seq in upto.items()),
            refused=tuple(Refused(source, why) for source, why in refused.items()),
        )

    def tell(self, record: Record) -> None:
        """A record of the relay itself, under its own name."""
        lane = self.lanes[-1]
        with self._lock:
            self._seq += 1
            packed = frames.pack(frames.of_records(self._id, lane.epoch, self._seq, [record]))
            lane.log.append([packed])
            lane.log.sync()
            lane.frames += 1

    def let_overtake(self) -> None:
        """A relay sends in the order in which it took."""

    def refused(self, lane: Lane) -> None:
        """Set the oldest frame of a lane aside: the site cannot read it."""
        chunk = lane.body(1)
        if chunk.heads:
            lane.skip(chunk, self._folder / "refused")

    async def run(self) -> None:
        """Say a few times a second that there may be something to send, and let go of what the site has."""
        while True:
            said, self.fresh = self.fresh, asyncio.Event()
            said.set()
            for lane in self.lanes[:-1]:
                if lane.settled:
                    self.lanes.remove(lane)
                    lane.remove()
            await asyncio.sleep(0.05)

    def close(self) -> None:
        """Close the files; the lock goes with the process."""
        for lane in self.lanes:
            lane.log.close()
        os.close(self._held)

    def _make_room(self, size: int) -> None:
        if sum(lane.size for lane in self.lanes) + size > self._most_bytes:
            raise OSError(errno.ENOSPC, "the relay's buffer is full")

    def _learn(self, source: int, epoch: int, packed: bytes, kind: FrameKind) -> None:
        if kind is FrameKind.DICTIONARY:
            self._said.setdefault((source, epoch), {})[packed] = None
            if len(self._said) > _MOST_SAID:
                self._said.pop(next(iter(self._said)))

    def _preamble(self) -> list[bytes]:
        return [packed for said in self._said.values() for packed in said]

    def _own_dictionary(self, epoch: int) -> bytes:
        return frames.pack(frames.of_dictionary(self._id, epoch, 1, Dictionary(self._own, self._plant, ())))
