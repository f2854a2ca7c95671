"""Store and forward: what was read is on disk before it is sent, and sent until the site has it.

    <data>/buffer/
        lock                     held by the one process that writes here
        alive                    the moment at which the last process still lived, ns
        1795340000000000000/     one epoch: segments, and how far the site has them
        inbox/                   acknowledgements carried by hand
        refused/                 frames that the site cannot read, set aside

All sources of an edge share one buffer. Rows are grouped for 200 ms or 10,000 rows, become frames,
and are synced together. When it is full by size or age, or the disk is, the oldest segment goes and
`SamplesDropped` says exactly what went; a Bad sample of each tag marks where the gap begins. While no
disk takes anything, frames are held in memory.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Final, Literal, NamedTuple

import msgspec
import pyarrow as pa

from isthmus.edge import lane as lanes
from isthmus.edge.groups import FRAME_BYTES, GROUP_ROWS, grouped, joined
from isthmus.edge.lane import Dropped, Lane
from isthmus.edge.memory import MemoryLog
from isthmus.model.errors import UsageError
from isthmus.model.rarely import Rarely
from isthmus.model.records import Record
from isthmus.model.records.edge import ConduitCut, ConduitReopened, SamplesDropped
from isthmus.model.samples import TagInfo, no_value
from isthmus.model.status import BAD_DATA_LOST
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary
from isthmus.wire.link import EDGE_OWN, Acknowledged

OWN: Final = EDGE_OWN
GROUP_S: Final = 0.2
MOST_PENDING_ROWS: Final = 2_000_000
MEMORY_BYTES: Final = 64 * 1024 * 1024
_PROBE_NS: Final = 5 * NS_PER_S
_HOUSEKEEPING_NS: Final = NS_PER_S
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_log: Final = logging.getLogger(__name__)

Why = Literal["size", "age", "disk full", "damaged", "refused"]
_ROWS_A_MARK: Final = 20
"""Rows that are let go for each mark of their gap, so that marks never crowd out what was read."""
_ROOM: Final = 0.9
"""Below this share of what may be kept there is room again for the marks still owed."""


class _Gap(NamedTuple):
    """What was let go of a source and is not marked yet."""

    start_ns: int
    rows: int


class Buffer:
    """One writer per folder. `put` and `tell` belong to the event loop; `flush` runs in a worker thread."""

    def __init__(  # noqa: PLR0913  each is one bound or one name
        self,
        folder: Path,
        plant: str,
        sources: Mapping[str, Sequence[TagInfo]],
        *,
        most_bytes: int,
        most_days: float,
        clock: Callable[[], int] = time.time_ns,
        adopt: bool = True,
    ) -> None:
        """With `adopt=False` what earlier processes left is taken over by `run`, beside the reading of devices."""
        self.trouble = ""
        """What is wrong with the disk, in words; "" when nothing is."""
        self.dropped_rows = 0
        """Rows let go since the start."""
        self.fresh = asyncio.Event()
        """Set, and replaced by a new one, whenever there may be something new to send."""
        self._folder, self._plant, self._clock = folder, plant, clock
        self._most_bytes, self._most_age_ns = most_bytes, int(most_days * NS_PER_DAY)
        self._tags = {OWN: (), **{name: tuple(tags) for name, tags in sources.items()}}
        self._ids = {name: frames.source_id(name) for name in self._tags}
        self._pending: dict[str, list[pa.RecordBatch]] = {}
        self._records: list[Record] = []
        self._rows = 0
        self._overflow: dict[str, Dropped] = {}
        self._gaps: dict[str, _Gap] = {}
        self._full = asyncio.Event()
        self._rarely = Rarely()
        self._lock = Lock()
        self._flushing = Lock()
        self._held = hold(folder)
        self.stopped_ns = self._last_alive()
        """When an earlier process was last alive, if it did not end in an orderly way; else None."""
        self._started_ns, self._started = clock(), time.monotonic_ns()
        self._next_look = self._next_probe = 0
        self.lanes: list[Lane] = []
        """Oldest first; the last one is being written."""
        self._overtake = False
        self._left = lanes.epochs(folder)
        self._newest_epoch = max(self._left, default=0)
        self.unread = sum(path.stat().st_size for epoch in self._left for path in (folder / str(epoch)).glob("*.seg"))
        """Bytes of earlier processes that are not taken over yet."""
        if adopt:
            self._adopt()
        self._begin(self._disk_lane() or self._memory_lane())

    @property
    def waiting(self) -> int:
        """Bytes on their way that the site does not have."""
        return sum(lane.waiting for lane in self.lanes)

    @property
    def waiting_frames(self) -> int:
        """Frames that the site does not have, as far as this process wrote or counted them."""
        return sum(lane.frames for lane in self.lanes if lane.waiting)

    @property
    def size(self) -> int:
        """Bytes kept."""
        return sum(lane.size for lane in self.lanes)

    def put(self, source: str, batch: pa.RecordBatch) -> None:
        """Take samples of a source; `tag` is the position in the tags that it was opened with."""
        if not batch.num_rows:
            return
        with self._lock:
            self._pending.setdefault(source, []).append(batch)
            self._rows += batch.num_rows
            rows = self._rows
            if rows > MOST_PENDING_ROWS:
                self._overflowed(source)
        if rows >= GROUP_ROWS:
            self._full.set()

    def tell(self, record: Record) -> None:
        """Take a record of the edge itself."""
        with self._lock:
            self._records.append(record)

    def let_overtake(self) -> None:
        """Number frames anew from the next flush on, so that they may overtake what an outage left waiting."""
        self._overtake = True

    async def run(self) -> None:
        """Flush in groups until cancelled; `close` flushes what comes after."""
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(self._adopt))
            group.create_task(self._keep_flushing())

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.to_thread(self.flush)
            said, self.fresh = self.fresh, asyncio.Event()
            said.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(GROUP_S):
                    await self._full.wait()
            self._full.clear()

    def flush(self) -> None:
        """Put everything pending on disk. Never raises OSError: trouble is told and gone on with."""
        with self._flushing:
            self._flush()

    def close(self) -> None:
        """Flush and end in an orderly way: no gap will be told at the next start."""
        for source in list(self._gaps):
            self._mark(source)
        self.flush()
        for lane in self.lanes:
            with suppress(OSError):
                lane.log.close()
        (self._folder / "alive").unlink(missing_ok=True)
        os.close(self._held)

    def let_go(self, dropped: Sequence[Dropped], why: Why, detail: str = "") -> None:
        """Tell what will never reach the site."""
        for part in dropped:
            self.tell(self._record(part, why, detail))
            rows = self._rarely.due(f"{part.source} {why}", time.monotonic(), part.rows)
            if rows is not None:
                _log.warning("buffer: %d rows of %s are let go (%s)", rows, part.source, why)

    def take_acknowledgements(self, taken: Sequence[Acknowledged]) -> None:
        """Forget what the site says it has; used for acknowledgements that were carried by hand."""
        upto = {(item.source, item.epoch): item.seq for item in taken}
        for lane in self.lanes:
            while lane.acknowledge(lane.body(FRAME_BYTES), upto):
                pass

    def refused(self, lane: Lane) -> None:
        """Set the oldest frame of a lane aside: the site cannot read it."""
        chunk = lane.body(1)
        if chunk.heads:
            gone = lane.skip(chunk, self._folder / "refused")
            self.dropped_rows += sum(part.rows for part in gone)
            self.let_go(gone, "refused", "set aside in buffer/refused")

    def _flush(self) -> None:
        with self._lock:
            pending, records, overflow = self._pending, self._records, self._overflow
            self._pending, self._records, self._rows, self._overflow = {}, [], 0, {}
        records += [self._record(dropped, "size") for dropped in overflow.values()]
        if self._overtake and self.lanes[-1].on_disk:
            self._overtake = False
            self._begin(self._disk_lane() or self._memory_lane())
        whole = {source: self._group(source, batches) for source, batches in pending.items()}
        if whole or records:
            self._store(whole, records)
        now = time.monotonic_ns()
        if now >= self._next_look:
            self._next_look = now + _HOUSEKEEPING_NS
            self._look_after()

    def _adopt(self) -> None:
        """Take over what earlier processes left. A folder that cannot be read is told and left alone."""
        found = []
        for epoch in self._left:
            try:
                lane = lanes.on_disk(self._folder, epoch)
            except OSError as error:
                self._say(f"{self._folder / str(epoch)}: {error.strerror}. What it holds is not sent")
                continue
            lane.finished = True
            found.append(lane)
        self.lanes[:0] = found
        self._left, self.unread = [], 0

    def _store(self, pending: Mapping[str, Sequence[pa.RecordBatch]], records: Sequence[Record]) -> None:
        while True:
            lane = self.lanes[-1]
            packed, seq = self._pack(lane.epoch, pending, records)
            try:
                lane.log.append(packed)
                lane.log.sync()
            except OSError as error:
                self._say(
                    f"{self._folder}: {error.strerror}. The oldest goes first, then memory; make room on the disk"
                )
                if error.errno not in _FULL or not self._drop("disk full"):
                    self._begin(self._memory_lane())
            else:
                self._seq = seq
                lane.frames += len(packed)
                return

    def _group(self, source: str, batches: Sequence[pa.RecordBatch]) -> list[pa.RecordBatch]:
        """What one source gave, joined; a source that gave what is no batch of its tags costs only itself."""
        try:
            return grouped(batches, len(self._tags[source]))
        except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
            now, rows = self._clock(), sum(batch.num_rows for batch in batches)
            self.dropped_rows += rows
            detail = f"the source gave what is no batch of its tags: {error}; please report this"
            self.let_go([Dropped(source, now, now, 0, rows, 0, 0)], "damaged", detail)
            return []

    def _begin(self, lane: Lane) -> None:
        if self.lanes:
            self.lanes[-1].finished = True
        self._seq = dict.fromkeys(self._tags, 0)
        self.lanes.append(lane)

    def _next_epoch(self) -> int:
        """The time, but never one that was: the clock may have been set back."""
        self._newest_epoch = max(self._clock(), self._newest_epoch + 1)
        return self._newest_epoch

    def _disk_lane(self) -> Lane | None:
        """A new epoch on disk, its dictionaries written; None when the disk does not take it."""
        epoch = self._next_epoch()
        try:
            lane = lanes.on_disk(self._folder, epoch, lambda: self._preamble(epoch))
            lane.log.append([])
            lane.log.sync()
            lanes.sync_folder(self._folder)
        except OSError as error:
            self._say(f"{self._folder}: {error.strerror}. Samples are held in memory; make room on the disk")
            return None
        self.trouble = ""
        return lane

    def _memory_lane(self) -> Lane:
        """A new epoch in memory, until the disk takes frames again."""
        self._next_probe = time.monotonic_ns() + _PROBE_NS
        epoch = self._next_epoch()
        log = MemoryLog()
        log.append(self._preamble(epoch))
        return Lane(epoch, log, None, self._preamble(epoch))

    def _pack(
        self, epoch: int, pending: Mapping[str, Sequence[pa.RecordBatch]], records: Sequence[Record]
    ) -> tuple[list[bytes], dict[str, int]]:
        """The frames and the sequence numbers behind them; nothing is given out until they are stored."""
        seq, out = dict(self._seq), []
        for source, batches in pending.items():
            for batch in batches:
                seq[source] += 1
                out.append(frames.pack(frames.of_samples(self._ids[source], epoch, seq[source], batch)))
        if records:
            seq[OWN] += 1
            out.append(frames.pack(frames.of_records(self._ids[OWN], epoch, seq[OWN], records)))
        return out, seq

    def _preamble(self, epoch: int) -> list[bytes]:
        return [
            frames.pack(
                frames.of_dictionary(
                    self._ids[name],
                    epoch,
                    self._next_seq(epoch, name),
                    Dictionary(name, self._plant, tuple(enumerate(tags))),
                )
            )
            for name, tags in self._tags.items()
        ]

    def _next_seq(self, epoch: int, name: str) -> int:
        """1 while an epoch is only being opened: its numbers are not given out yet."""
        return self._seq[name] + 1 if self.lanes and self.lanes[-1].epoch == epoch else 1

    def _look_after(self) -> None:
        """Once a second: bounds, finished epochs, damage, the way back from memory, carried acknowledgements."""
        while sum(lane.size for lane in self.lanes if lane.on_disk) > self._most_bytes and self._drop("size"):
            pass
        memory = [lane for lane in self.lanes if not lane.on_disk]
        while sum(lane.size for lane in memory) > MEMORY_BYTES and self._drop("disk full", memory):
            pass
        # By the clock at the start and a steady one since: a clock that jumps must not empty the buffer.
        now_ns = self._started_ns + time.monotonic_ns() - self._started
        while (oldest := self._oldest_ns()) is not None and now_ns - oldest > self._most_age_ns and self._drop("age"):
            pass
        if not self.lanes[-1].on_disk and time.monotonic_ns() >= self._next_probe:
            self._next_probe = time.monotonic_ns() + _PROBE_NS
            lane = self._disk_lane()
            if lane is not None:
                self._begin(lane)
        for lane in self.lanes[:-1]:
            if lane.settled:
                self.lanes.remove(lane)
                lane.remove()
        self._tell_damage()
        self._mark_the_rest()
        self._read_inbox()
        with suppress(OSError):
            (self._folder / "alive").write_text(str(self._clock()))

    def _drop(self, why: Why, among: Sequence[Lane] | None = None) -> bool:
        for lane in among or [lane for lane in self.lanes if lane.on_disk]:
            if lane is not self.lanes[-1] and lane.settled:
                self.lanes.remove(lane)
                lane.remove()
                return True
            gone = lane.drop_oldest()
            if gone is not None:
                parts = self._kept_in_mind(*gone, why)
                self.let_go(parts, why)
                self._leave_gaps(gone[0], {part.source: part.start_ns for part in parts})
                return True
        return False

    def _leave_gaps(self, dropped: Sequence[Dropped], starts: Mapping[str, int]) -> None:
        """Note what went of each source, and since when; its tags are marked once it is much beside the marks."""
        for part in dropped:
            before = self._gaps.get(part.source, _Gap(starts[part.source], 0))
            gap = _Gap(min(before.start_ns, starts[part.source]), before.rows + part.rows)
            self._gaps[part.source] = gap
            if gap.rows >= _ROWS_A_MARK * len(self._tags.get(part.source, ())):
                self._mark(part.source)

    def _mark(self, source: str) -> None:
        """Nobody will know what held from here on: without a mark what held before would seem to go on."""
        gap, tags = self._gaps.pop(source), self._tags.get(source, ())
        for kind in dict.fromkeys(tag.kind for tag in tags):
            of_kind = [number for number, tag in enumerate(tags) if tag.kind is kind]
            # What was read at that very moment may stand in a frame that did reach the site.
            self.put(source, no_value(kind, of_kind, gap.start_ns + 1, BAD_DATA_LOST))

    def _mark_the_rest(self) -> None:
        """Marks that are still owed, once there is room for them."""
        memory = sum(lane.size for lane in self.lanes if not lane.on_disk)
        if self.size - memory < _ROOM * self._most_bytes and memory < _ROOM * MEMORY_BYTES:
            for source in list(self._gaps):
                self._mark(source)

    def _kept_in_mind(self, dropped: Sequence[Dropped], records: Sequence[Record], why: Why) -> list[Dropped]:
        """What goes now, joined with what is said to have gone before by the records that go with it.

        A cut or an opening of the conduit is told anew; other records of the edge are let go and counted.
        """
        self.dropped_rows += sum(part.rows for part in dropped)
        parts = {part.source: part for part in dropped}
        lost = 0
        for record in records:
            if isinstance(record, SamplesDropped) and record.why == why and not record.detail:
                source = record.path.rpartition("/")[2]
                before = Dropped(
                    source,
                    record.start_ns,
                    record.time_ns,
                    record.frames,
                    record.rows,
                    record.first_seq,
                    record.last_seq,
                )
                parts[source] = joined(before, parts[source]) if source in parts else before
            elif isinstance(record, (SamplesDropped, ConduitCut, ConduitReopened)):
                self.tell(record)
            else:
                lost += 1
        if lost:
            own = Dropped(OWN, records[0].time_ns, records[-1].time_ns, 0, lost, 0, 0)
            parts[OWN] = joined(parts[OWN], own) if OWN in parts else own
        return list(parts.values())

    def _oldest_ns(self) -> int | None:
        return min((oldest for lane in self.lanes if (oldest := lane.oldest_ns()) is not None), default=None)

    def _tell_damage(self) -> None:
        for lane in self.lanes:
            while lane.log.damage:
                damage = lane.log.damage.pop(0)
                detail = f"{damage.length} bytes at {damage.offset} of {damage.path}: {damage.what}; set aside in lost/"
                now = self._clock()
                self.let_go([Dropped(OWN, now, now, 0, 0, 0, 0)], "damaged", detail)

    def _read_inbox(self) -> None:
        for path in sorted((self._folder / "inbox").glob("*.json")):
            try:
                self.take_acknowledgements(msgspec.json.decode(path.read_bytes(), type=list[Acknowledged]))
            except (OSError, msgspec.MsgspecError) as error:
                _log.warning("buffer: %s is no acknowledgement (%s); it is removed", path, error)
            path.unlink(missing_ok=True)

    def _overflowed(self, source: str) -> None:
        """More is pending than may be: the disk does not keep up. The oldest of this source goes."""
        batch = self._pending[source].pop(0)
        self._rows -= batch.num_rows
        times = batch.column("time_ns").to_numpy()
        before = self._overflow.get(source, Dropped(source, int(times.min()), 0, 0, 0, 0, 0))
        self.dropped_rows += batch.num_rows
        self._overflow[source] = before._replace(end_ns=int(times.max()), rows=before.rows + batch.num_rows)

    def _record(self, dropped: Dropped, why: Why, detail: str = "") -> SamplesDropped:
        return SamplesDropped(
            path=f"{self._plant}#source/{dropped.source}",
            time_ns=dropped.end_ns,
            start_ns=dropped.start_ns,
            frames=dropped.frames,
            rows=dropped.rows,
            first_seq=dropped.first_seq,
            last_seq=dropped.last_seq,
            why=why,
            detail=detail,
        )

    def _last_alive(self) -> int | None:
        with suppress(OSError, ValueError):
            return int((self._folder / "alive").read_text())
        return None

    def _say(self, trouble: str) -> None:
        times = self._rarely.due(trouble.partition(".")[0], time.monotonic())
        if times is not None:
            _log.error("buffer: %s%s", trouble, f" ({times} times since this was last said)" if times > 1 else "")
        self.trouble = trouble


def hold(folder: Path) -> int:
    """Lock the folder for this process. Raises UsageError when another process writes there, or none can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        msg = f"{folder} cannot be written ({error.strerror}); mend its rights or choose another [edge] data"
        raise UsageError(msg) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        msg = f"{folder} is in use by another edge; stop that one first"
        raise UsageError(msg) from None
    return handle
