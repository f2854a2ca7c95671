"""The historian that needs nothing installed: a write-ahead log, a head in memory, segments of Parquet.

    <history>/wal/          frames of samples with the site's tag ids, fsynced before the acknowledgement
    <history>/segments/     day=2026-11-22/000000000042-L0.parquet, sorted and sealed; see parquet.py
    <history>/manifest.sqlite   which segments count; see manifest.py
    <history>/names.journal     what the manifest alone would know, said twice; see journal.py
    <history>/waveforms/    bursts, in the same manner; see waveforms.py
    <history>/aside/        frames of samples that were not believed, each with its reason in its flags
    <history>/leases/       which generation readers of other processes hold; see leases.py

A sample is acknowledged when it is in the log. It is seen from that moment on: in the head until it
is sealed, in its segment afterwards, in both while the seal is under way and never twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.errors import StoreDamaged
from isthmus.model.query import Operator
from isthmus.model.samples import Batch
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S, from_datetime
from isthmus.site.config import HistorianSection
from isthmus.site.historian import corrections
from isthmus.site.historian.asking.engine import Engine
from isthmus.site.historian.asking.slowest import Slowest
from isthmus.site.historian.check import Bounds, Refused, Told, Trouble, sentence, sift
from isthmus.site.historian.corrections import Correction
from isthmus.site.historian.memory.head import Head
from isthmus.site.historian.memory.newest import Newest
from isthmus.site.historian.memory.room import Room
from isthmus.site.historian.memory.rows import Rows, from_batch, numbered
from isthmus.site.historian.memory.taken import Taken
from isthmus.site.historian.sealed import leases, retention, rollup, upkeep
from isthmus.site.historian.sealed.journal import NAME as NAMES
from isthmus.site.historian.sealed.journal import LetGo, open_journal
from isthmus.site.historian.sealed.manifest import Segment, put_about, put_segments
from isthmus.site.historian.sealed.mark import mark, open_manifest
from isthmus.site.historian.sealed.seal import Due, seal
from isthmus.site.historian.sealed.view import Files, View
from isthmus.site.historian.sealed.waveforms import FOLDER as WAVEFORMS
from isthmus.site.historian.sealed.waveforms import Waveforms, are_bursts
from isthmus.site.historian.tags import TagBook
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind
from isthmus.wire.segment import SegmentLog

SEAL_AFTER_NS: Final = NS_PER_HOUR
"""A head is sealed at the latest when its samples span this much time of arrival."""
ASIDE_BYTES: Final = 256 * 1024 * 1024
UPKEEP: Final = "history's upkeep"
"""Name of the threads that seal, merge and roll up."""
_WAL_BYTES: Final = 16 * 1024 * 1024
_NEVER_TODAY: Final = np.iinfo(np.int64).max
_IDLE_S: Final = 5.0
_STOP_S: Final = 60.0


def _nobody(told: Told) -> None:
    del told


class Store:
    """`Historian` on disk. One process writes; any thread of it may append and ask.

    `told` is called with each thing that a person should know, from whatever thread met it; it must
    not call back into the store. With `background` a thread seals and merges; without it the owner
    calls `maintain`. `what` is who opens it, as another process is told that wants to write too.
    """

    def __init__(
        self,
        folder: Path,
        section: HistorianSection | None = None,
        *,
        told: Callable[[Told], None] = _nobody,
        background: bool = True,
        what: str = leases.SITE,
    ) -> None:
        self.folder, self.section = folder, section or HistorianSection()
        self._told = told
        folder.mkdir(parents=True, exist_ok=True)
        self._guard = leases.Writer(folder, what)
        try:
            self._open()
        except BaseException:
            self._guard.release()
            raise
        self._wake, self._closing = threading.Event(), threading.Event()
        # Two threads, so that a long merge never keeps the head from being sealed.
        work = ((self._seal_what_is_due, self._wake), (self.maintain, self._closing)) if background else ()
        self._threads = [threading.Thread(target=self._keep, args=each, daemon=True, name=UPKEEP) for each in work]
        for thread in self._threads:
            thread.start()

    def _open(self) -> None:
        # Taken in this order: one upkeep at a time; one seal; one append; then what all share, briefly.
        self._upkeep, self._seals = threading.Lock(), threading.Lock()
        self._door, self._lock = threading.Lock(), threading.RLock()
        self._sealed_some = threading.Condition(self._lock)
        self._room = Room(self.folder, self.section.seal_rows, self._in_memory, self._sealed_some)
        self._bounds = Bounds(_midnight_ns(self.section), int(self.section.future_s * NS_PER_S))
        self._manifest = open_manifest(self.folder)
        self._journal = open_journal(self.folder, self._manifest)
        if self._journal.damaged:
            what = f"{self.folder / NAMES}: {self._journal.damaged} lines were damaged, and are written anew"
            self._told(Told(Trouble.DAMAGED, what))
        self.tags = TagBook(self._manifest, journal=self._journal)
        self._files, self._engine, self._pins = Files(self.folder), Engine(), leases.Pins()
        upkeep.sweep(self.folder, self._manifest)
        self._segments: tuple[Segment, ...] = tuple(self._manifest.segments())
        self._rollups: tuple[Segment, ...] = tuple(self._manifest.rollups())
        self._generation = self._manifest.about("generation")
        self._received_ns = self._manifest.about("received_ns")
        self._taken = {(source, epoch): Taken.unpack(data) for source, epoch, data in self._manifest.taken()}
        self._sealed = Newest.unpack(self._manifest.state("sealed"))
        self._newest = self._sealed.copy()
        self._snapshot_days = self._manifest.snapshot_days()
        self._corrections = corrections.read(self._manifest)[1]
        self._head = Head()
        self._due: Due | None = None
        """What is being sealed: not in the head any more, not in the segments yet."""
        self._head_since_ns = self._received_ns
        self._busy_days: frozenset[int] = frozenset()
        self._damaged_days: set[int] = set()
        self._texts_only: set[int] = set()
        self._doubted: int | None = None
        self._missing()
        self.slowest = Slowest(self.folder)
        self.waveforms = Waveforms(self.folder / WAVEFORMS, lambda what: self._told(Told(Trouble.DAMAGED, what)))
        self._wal = SegmentLog(self.folder / "wal", segment_bytes=_WAL_BYTES)
        self._aside = SegmentLog(self.folder / "aside", segment_bytes=ASIDE_BYTES // 8)
        self._replay()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the background threads and close; what is in the head is in the log too, and stays there."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(_STOP_S)
        with self._upkeep, self._seals, self._lock:
            self._wal.close()
            self._aside.close()
            self.waveforms.close()
            self.slowest.save()
            self._engine.close()
            mark(self.folder, self._manifest)
            self._manifest.close()
            self._guard.release()

    def append(self, batches: Sequence[Batch]) -> None:
        """Take samples in; they are on disk when this returns. `tag` is the site's tag id.

        A batch whose (source, epoch, seq) was taken before is passed over. Of two samples with one
        (tag, time) the later arrival stands. Samples that cannot be believed are set aside, on disk
        too, and told. Raises OSError (disk full, or sealing lags too far) with nothing taken.
        """
        if bursts := [batch for batch in batches if are_bursts(batch)]:
            self._append_bursts(bursts)
            batches = [batch for batch in batches if not are_bursts(batch)]
        rows = sum(batch.columns.num_rows for batch in batches)
        self._room.await_some(rows, self._wake, self._closing, sealing=bool(self._threads))
        with self._door:
            fresh = self._fresh(batches)
            if not fresh:
                return
            sifted = [sift(batch, self.tags.forms, self._bounds) for batch in fresh]
            refused = [each for _, found in sifted for each in found]
            if refused:
                self._set_aside(refused)
            believed = [batch for batch, _ in sifted]
            self._wal.append([frames.pack(frames.of_samples(*batch[:3], batch.columns)) for batch in believed])
            self._wal.sync()
            with self._lock:
                for batch in believed:
                    self._take(batch)
            full = self._head.count >= self.section.seal_rows
        if full:
            self._wake.set()
        for each in refused:
            self._told(sentence(each, self._bounds))

    def taken(self, source: int, epoch: int, seq: int) -> bool:
        """Whether a frame was taken in before: asked before it is unpacked, a repeat costs nothing."""
        with self._lock:
            known = self._taken.get((source, epoch))
            if known is not None and seq in known:
                return True
        return self.waveforms.taken(source, epoch, seq)

    def bursts(self, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
        """The bursts of these tags that begin within [start_ns, end_ns): columns of model.waveforms, by tag and time."""
        return self.waveforms.read(tags, start_ns, end_ns)

    def burst_times(self, tag: int, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """When the bursts of a tag began, within [start_ns, end_ns), in order."""
        return self.waveforms.times(tag, start_ns, end_ns)

    def correct(self, said: Sequence[Correction]) -> None:
        """Put samples right for good; the old versions stay. Raises UsageError with nothing stored, OSError."""
        corrections.put(self._manifest, self._journal, said, [self.tags.info(each.tag) for each in said])
        self._corrections = corrections.read(self._manifest)[1]

    def corrections(self) -> list[Correction]:
        """Everything that people put right, in the order in which they said it."""
        return corrections.read(self._manifest)[0]

    def query(
        self, operator: Operator, tags: Sequence[int], start_ns: int, end_ns: int, *, known_ns: int | None = None
    ) -> pa.Table:
        """Answer a question of model.query over [start_ns, end_ns). Any thread may ask.

        With `known_ns` corrections that people said after that moment are left out.
        """
        wanted = numbered(tags)
        with self.slowest.timed(operator, wanted, start_ns, end_ns), self.view(known_ns) as view:
            return self._engine.query(view, operator, wanted, start_ns, end_ns)

    @contextmanager
    def view(self, known_ns: int | None = None) -> Iterator[View]:
        """What is stored now, with the corrections said up to `known_ns` (None for all); no segment of it is deleted until the view is given back."""
        then = None if known_ns is None else corrections.read(self._manifest, known_ns)[1]
        with self._lock:
            generation = self._generation
            self._pins.add(generation)
            view = View(
                self._files,
                self._segments,
                self._rollups,
                (*(self._due.parts if self._due else ()), *self._head.parts()),
                self._corrections if then is None else then,
                self._newest_of,
                tuple(self._snapshot_days),
                self._manifest.snapshot,
            )
        try:
            yield view
        finally:
            with self._lock:
                self._pins.remove(generation)

    def _newest_of(self, tags: NDArray[np.int32] | None) -> Rows:
        with self._lock:
            return self._newest.rows(tags)

    def maintain(self) -> None:
        """Do what is due: seal, merge, let old days go, delete what nobody reads any more.

        Raises OSError when the disk refuses; nothing is lost by it, and the next call tries again.
        """
        self._seal_what_is_due()
        with self._upkeep:
            self._merge_until(lambda: self._received_ns // NS_PER_DAY)
            first_kept = self._let_go()
            self._roll(self._received_ns // NS_PER_DAY, self._busy_days)
            if upkeep.mend_snapshot(self._manifest, self._files, self._segments):
                snapshot_days = self._manifest.snapshot_days()
                with self._lock:
                    self._snapshot_days = snapshot_days
            upkeep.clear(self.folder, self._manifest, self._files, self._oldest_held)
        self.slowest.save()
        self.waveforms.maintain(first_kept)

    def seal(self) -> None:
        """Seal the head now, whatever its size."""
        with self._seals:
            self._seal()
        self.waveforms.seal()

    def compact(self) -> None:
        """Seal the head, merge every day that is not one run of segments, and roll all days up, today's too."""
        self.seal()
        with self._upkeep:
            self._merge_until(lambda: _NEVER_TODAY)
            self._roll(_NEVER_TODAY, frozenset())
            upkeep.clear(self.folder, self._manifest, self._files, self._oldest_held)

    def _in_memory(self) -> int:
        return self._head.count + (self._due.size if self._due else 0)

    def _fresh(self, batches: Sequence[Batch]) -> list[Batch]:
        seen: set[tuple[int, int, int]] = set()
        out: list[Batch] = []
        for batch in batches:
            key = batch[:3]
            if key not in seen and not self.taken(*key):
                seen.add(key)
                out.append(batch)
        return out

    def _take(self, batch: Batch) -> None:
        """Into memory; it is in the log already."""
        self._taken.setdefault(batch[:2], Taken()).add(batch.seq)
        self._received_ns = retention.arrived(self._received_ns, batch.received_ns)
        if not self._head.count or self._head_since_ns > self._received_ns:
            self._head_since_ns = batch.received_ns
        rows = from_batch(batch.columns, self._head.words)
        self._head.add(rows)
        self._newest.see(rows)

    def _append_bursts(self, batches: Sequence[Batch]) -> None:
        sifted = [sift(batch, self.tags.forms, self._bounds) for batch in batches]
        refused = [each for _, found in sifted for each in found]
        if refused:
            with self._door:
                self._set_aside(refused)
        self.waveforms.append([batch for batch, _ in sifted])
        with self._lock:
            for batch in batches:
                self._received_ns = retention.arrived(self._received_ns, batch.received_ns)
        for each in refused:
            self._told(sentence(each, self._bounds))

    def _set_aside(self, refused: Sequence[Refused]) -> None:
        self._aside.append([frames.pack(frames.of_samples(*each.batch[:3], each.batch.columns)) for each in refused])
        self._aside.sync()
        dropped = self._aside.trim(self._aside.end - ASIDE_BYTES) if self._aside.size > ASIDE_BYTES else 0
        if dropped:
            self._told(Told(Trouble.ASIDE_FULL, f"{dropped} bytes of the oldest samples set aside were deleted"))

    def _replay(self) -> None:
        """After a start: what the log holds behind the last seal."""
        for damage in (*self._wal.damage, *self._aside.damage):
            what = f"{damage.path} at {damage.offset}: {damage.length} bytes are damaged ({damage.what}); kept in lost/"
            self._told(Told(Trouble.DAMAGED, what))
        since = self._manifest.about("wal")
        if since > self._wal.end:
            # The log is another than the manifest's (restored, or deleted by hand): all of it counts.
            since = 0
            with self._manifest.transaction() as db:
                put_about(db, "wal", since)
        for _, frame in self._wal.read(since):
            if frame.kind is not FrameKind.SAMPLES or self.taken(*frame[:3]):
                continue
            try:
                self._take(Batch(*frame[:3], self._received_ns, frames.samples(frame)))
            except StoreDamaged as error:
                self._told(Told(Trouble.DAMAGED, f"{self.folder / 'wal'}: {error}", frame.source, frame.rows))

    def _missing(self) -> None:
        """Tell which segments are not there; rollups that are not are made anew."""
        for each in upkeep.missing(self.folder, self._segments):
            what = f"{self.folder / each.path} is not as it was written; put it back with `isthmus history mend FOLDER`"
            self._told(Told(Trouble.MISSING, what, rows=each.rows))
        stale = tuple(upkeep.missing(self.folder, self._rollups))
        if stale:
            with self._manifest.transaction() as db:
                generation = put_segments(db, [], [each.id for each in stale])
            self._apply(upkeep.Change((), stale, generation))

    def _seal_due(self) -> bool:
        aged = self._head.count > 0 and self._received_ns - self._head_since_ns >= SEAL_AFTER_NS
        return aged or self._head.count >= self.section.seal_rows or self._due is not None

    def _seal_what_is_due(self) -> None:
        with self._seals:
            while self._seal_due():
                self._seal()

    def _seal(self) -> None:
        with self._door, self._lock:
            if self._due is None and self._head.count:
                # What these rows are worth in the log and among the watermarks, at this very moment.
                taken = {key: each.copy() for key, each in self._taken.items()}
                self._due = Due(self._head.parts(), taken, self._wal.end, self._received_ns)
                self._head = Head()
        due = self._due
        if due is None:
            return
        sealed = seal(self.folder, self._manifest, self._sealed, due)
        # Whoever appends waits for this lock, so nothing is asked of the manifest under it: that may be syncing.
        snapshot_days = self._manifest.snapshot_days()
        with self._lock:
            self._due = None
            self._segments += sealed.segments
            self._sealed, self._generation = sealed.newest, max(self._generation, sealed.generation)
            self._snapshot_days = snapshot_days
            self._busy_days = frozenset(each.day for each in sealed.segments)
            self._sealed_some.notify_all()
        # Before the log forgets what was sealed.
        mark(self.folder, self._manifest)
        self._journal.sealed(sealed.generation, due.received_ns, due.taken)
        self._wal.trim(due.wal)

    def _merge_until(self, today: Callable[[], int]) -> None:
        while not self._closing.is_set():
            # No seal is under way while it is settled which segments are older than the result.
            with self._seals:
                busy = self._damaged_days if today() == _NEVER_TODAY else self._busy_days | self._damaged_days
                what = upkeep.due(self._segments, today(), busy)
                if what is None:
                    return
                what = upkeep.reserved(self._manifest, what)
            try:
                self._apply(upkeep.merge(self.folder, self._manifest, self._files, what))
            except StoreDamaged as error:
                self._leave(what.day, error)

    def _roll(self, today: int, busy: frozenset[int]) -> None:
        self._texts_only -= busy
        while not self._closing.is_set():
            leave = busy | self._texts_only | self._damaged_days
            what = rollup.due(self._segments, self._rollups, today, leave)
            if what is None:
                return
            try:
                new, generation = rollup.make(self.folder, self._manifest, self._files, what)
            except StoreDamaged as error:
                self._leave(what.day, error)
                continue
            self._apply(upkeep.Change(new, what.stale, generation))
            if not new:
                self._texts_only.add(what.day)

    def _leave(self, day: int, error: StoreDamaged) -> None:
        """A damaged day is left as it is for a person, and not tried again until the next start."""
        self._damaged_days.add(day)
        self._told(Told(Trouble.MISSING, str(error)))

    def _let_go(self) -> int | None:
        """Let old days go; the first day that is kept, or None when nothing goes."""
        keep, today = self.section.keep_days, self._received_ns // NS_PER_DAY
        if keep is None:
            return None
        days = {each.day for each in self._segments} | self.waveforms.days()
        first_kept = retention.first_kept(today, keep, days)
        if first_kept is None:
            if min(days, default=today) < today - keep and self._doubted != today:
                self._doubted = today
                self._told(Told(Trouble.CLOCK, retention.doubt(today, keep)))
            return None
        if min(days, default=first_kept) < first_kept:
            self._journal.add([LetGo(first_kept * NS_PER_DAY)])
        change = upkeep.let_go(self._manifest, first_kept)
        if change:
            self._apply(change)
            self._corrections = corrections.read(self._manifest)[1]
        return first_kept

    def _apply(self, change: upkeep.Change) -> None:
        gone = {each.id for each in change.gone}
        snapshot_days = self._manifest.snapshot_days()
        with self._lock:
            kept = [each for each in (*self._segments, *self._rollups) if each.id not in gone]
            self._segments = tuple(sorted(each for each in (*kept, *change.new) if not each.bucket_ns))
            self._rollups = tuple(sorted(each for each in (*kept, *change.new) if each.bucket_ns))
            self._generation = max(self._generation, change.generation)
            self._snapshot_days = snapshot_days

    def _oldest_held(self) -> int | None:
        elsewhere = leases.oldest_held(self.folder)
        with self._lock:
            return self._pins.oldest(elsewhere)

    def _keep(self, work: Callable[[], None], wake: threading.Event) -> None:
        while not self._closing.is_set():
            if wake.wait(_IDLE_S) and wake is self._wake:
                wake.clear()
            try:
                work()
            except OSError as error:
                self._told(Told(Trouble.DISK, f"{self.folder}: {error}; tried again in {_IDLE_S:g} s"))
                self._closing.wait(_IDLE_S)
            except StoreDamaged as error:
                self._told(Told(Trouble.MISSING, str(error)))


def _midnight_ns(section: HistorianSection) -> int:
    return from_datetime(datetime.combine(section.earliest, datetime.min.time(), tzinfo=UTC))
