"""Takes in what edges send: onto disk first, acknowledged second, each frame once.

A body is read whole before anything of it is stored, so a damaged one leaves nothing behind. Samples
go to the historian, records to the log, and only then does the edge hear that it may forget them.
A repeat is recognised by (source, epoch, seq). What cannot be taken in is set aside and named.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.equipment import beside
from isthmus.model.errors import StoreDamaged
from isthmus.model.records import Record
from isthmus.model.records.edge import LinkChanged
from isthmus.model.records.site import FramesMissing
from isthmus.model.samples import Batch, ValueKind, kind_of
from isthmus.model.time import NS_PER_S
from isthmus.model.waveforms import in_words
from isthmus.site.intake.certificates import BY_HAND
from isthmus.site.intake.dictionaries import Dictionaries, Said, kind_number
from isthmus.site.intake.quarantine import Quarantine
from isthmus.site.intake.speakers import Speakers, Voice
from isthmus.site.namespace import Last
from isthmus.site.records.ranges import Ranges
from isthmus.site.records.records_log import Origin
from isthmus.site.site import Site
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary, Frame, FrameKind
from isthmus.wire.link import Acknowledged, Answer, Refused
from isthmus.wire.segment import SegmentLog

_Name = tuple[int, int]
"""(source, epoch)"""
_FROM_THE_EDGE: Final = "edge/"
_MOST_MISSED: Final = 100_000
_MOST_NAMED: Final = 5
_LARGEST: Final = (1 << 63) - 1


class Arrived(NamedTuple):
    """Samples of one source that are on disk now; arrays have shape (samples,)."""

    source: str
    epoch: int
    tag: NDArray[np.int32]
    time_ns: NDArray[np.int64]


class _Aside(NamedTuple):
    """Part of a frame that cannot be taken in."""

    frame: Frame
    source: str
    why: str
    rows: int
    tags: Sequence[str] = ()


class _Taking:
    """What one body holds for the stores, gathered before anything is stored."""

    def __init__(self, voice: Voice | None) -> None:
        self.voice = voice
        self.batches: list[tuple[str, Batch]] = []
        self.records: list[tuple[Sequence[Record], Origin]] = []
        self.aside: list[_Aside] = []
        self.missing: list[Record] = []
        self.seen: defaultdict[_Name, Ranges] = defaultdict(Ranges)
        self.fresh: list[Frame] = []
        self.highest: dict[_Name, int] = {}


class Ingest:
    """The site's one way in for samples. `take` may run in many threads; a source's frames stay in order.

    `arrived` is told of samples after they are on disk and before they are acknowledged; `keep` of whole
    frames then, with the name of the edge, also of a repeat that this process did not see. Samples further
    ahead than `future_s`, or from before `earliest_ns`, are set aside. Without `speakers` anybody may say
    anything: for benches and replays alone, where nobody dials.
    """

    def __init__(  # noqa: PLR0913  each is one thing that it is held against
        self,
        site: Site,
        *,
        future_s: float,
        earliest_ns: int = 0,
        arrived: Callable[[Arrived], None] = lambda _: None,
        keep: Callable[[str, Sequence[Frame]], None] | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        speakers: Speakers | None = None,
    ) -> None:
        self._site, self._arrived, self._keep, self._now_ns = site, arrived, keep, now_ns
        self._speakers = speakers
        site.contact.begin(now_ns())
        self._future_ns, self._earliest_ns = int(future_s * NS_PER_S), earliest_ns
        self._dictionaries = Dictionaries(site.folder / "dictionaries", site.tags)
        self._quarantine = Quarantine(site.folder / "quarantine")
        self._taken: defaultdict[_Name, Ranges] = defaultdict(Ranges)
        """What this process has taken in; the historian and the log know the rest."""
        self._shown: dict[str, Last] = {}
        """The newest of each tag that was told on. A device that is reached anew says what it said before, however
        long ago it became so; that is not late data."""
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._shared = threading.Lock()
        self.repeats = 0
        """Frames that came again, since the start."""

    @property
    def dictionaries(self) -> SegmentLog:
        """Every dictionary that brought something new, in the order in which they came."""
        return self._dictionaries.log

    def take(self, edge: str, body: bytes) -> Answer:
        """Store a run of frames and say what is on disk, and of which sources nothing is taken from this edge.

        Raises StoreDamaged when the body is no run of frames, OSError when the disk is full; nothing
        is acknowledged then, and nothing is half-taken that a repeat would not make whole.
        """
        try:
            whole = list(frames.unpack_all(body))
        except StoreDamaged as error:
            msg = f"what edge {edge} sent is no run of frames: {error}"
            raise StoreDamaged(msg) from error
        if any(max(frame.epoch, frame.seq) > _LARGEST for frame in whole):
            msg = f"edge {edge} sent a frame whose epoch or number no edge ever reaches"
            raise StoreDamaged(msg)
        voice = self._speakers.voice(edge) if self._speakers else None
        refused = self._refused(edge, voice, whole)
        run = [(frame, _decoded(frame)) for frame in whole if frame.source not in refused]
        with ExitStack() as locks:
            for source in sorted({frame.source for frame, _ in run}):
                locks.enter_context(self._lock_of(source))
            taking = self._gather(run, voice)
            self._store(taking, edge)
        if edge != BY_HAND:  # a person who carried something says nothing of how the edge fares
            self._site.contact.heard(edge, {name for name, _ in taking.batches}, self._now_ns())
            for conduit in {
                one.path for records, _ in taking.records for one in records if isinstance(one, LinkChanged)
            }:
                self._site.contact.dials(edge, conduit)
        acknowledged = (Acknowledged(source, epoch, seq) for (source, epoch), seq in taking.highest.items())
        return Answer(
            acknowledged=tuple(acknowledged), refused=tuple(Refused(source, why) for source, why in refused.items())
        )

    def close(self) -> None:
        """Close what it keeps on disk."""
        self._dictionaries.close()

    def _lock_of(self, source: int) -> threading.Lock:
        with self._shared:
            return self._locks[source]

    def _refused(self, edge: str, voice: Voice | None, run: Sequence[Frame]) -> dict[int, str]:
        """By source that this edge may not speak for, why; told in the log of the conduit."""
        if voice is None or self._speakers is None:
            return {}
        counted = Counter(frame.source for frame in run if frame.kind is not FrameKind.DICTIONARY)
        refused = {source: why for source in counted if (why := voice.refusal(source))}
        told = [
            record
            for source, why in refused.items()
            for record in self._speakers.tell(edge, source, why, counted[source], self._now_ns())
        ]
        if told:
            self._site.append(told)
        unsaid = {frame.source for frame in run} - counted.keys()
        return refused | {source: why for source in unsaid if (why := voice.refusal(source))}

    def _gather(self, run: Sequence[tuple[Frame, object]], voice: Voice | None) -> _Taking:
        taking = _Taking(voice)
        for frame, content in run:
            name = (frame.source, frame.epoch)
            if frame.kind is FrameKind.DICTIONARY:
                self._learn(taking, frame, content)
                continue
            taking.highest[name] = max(frame.seq, taking.highest.get(name, 0))
            if frame.seq in self._taken[name] or frame.seq in taking.seen[name]:
                self.repeats += 1
                continue
            self._note_gap(taking, frame)
            taking.seen[name].add(frame.seq, frame.seq)
            taking.fresh.append(frame)
            self._sort(taking, frame, content)
        return taking

    def _learn(self, taking: _Taking, frame: Frame, content: object) -> None:
        why = "its dictionary cannot be read" if isinstance(content, StoreDamaged) else ""
        if isinstance(content, Dictionary) and taking.voice and not _of_itself(frame, content):
            why = "its dictionary names tags that are not of this source"
        if why:
            taking.aside.append(_Aside(frame, self._source(frame), why, frame.rows))
            return
        with self._shared:
            self._dictionaries.learn(frame)

    def _note_gap(self, taking: _Taking, frame: Frame) -> None:
        """A number was jumped over: the edge no longer has those frames, or they come by another way."""
        name = (frame.source, frame.epoch)
        first = last = frame.seq - 1
        if last < 1 or last in taking.seen[name] or self._has(name, last):
            return
        while first > 1 and last - first < _MOST_MISSED and not self._has(name, first - 1):
            first -= 1
        path = self._path(self._source(frame))
        told = FramesMissing(
            path=path, time_ns=frame.first_ns, ordinal=first, epoch=frame.epoch, first_seq=first, last_seq=last
        )
        taking.missing.append(told)

    def _has(self, name: _Name, seq: int) -> bool:
        """Whether one of the site's stores holds a frame."""
        logged = self._site.log.taken.get(name)
        in_log = logged is not None and seq in logged
        return seq in self._taken[name] or in_log or self._site.historian.taken(*name, seq)

    def _sort(self, taking: _Taking, frame: Frame, content: object) -> None:
        source = self._source(frame)
        if isinstance(content, pa.RecordBatch):
            self._sort_samples(taking, frame, content)
        elif isinstance(content, list):
            foreign = sorted({type(one).__name__ for one in content if not one.emitter.startswith(_FROM_THE_EDGE)})
            if foreign:
                taking.aside.append(_Aside(frame, source, f"an edge may not say {', '.join(foreign)}", frame.rows))
                return
            voice, plant = taking.voice, self._site.plant.path
            own = [one for one in content if voice is None or voice.may_say(one, plant)]
            if len(own) < len(content):
                of = ", ".join(sorted({one.path for one in content if one not in own})[:_MOST_NAMED])
                why = f"this edge may not speak of {of}"
                taking.aside.append(_Aside(frame, source, why, len(content) - len(own)))
            taking.records.append((own, Origin(frame.source, frame.epoch, frame.seq, frame.seq)))
        else:
            taking.aside.append(_Aside(frame, source, "it cannot be read by this version of the site", frame.rows))

    def _sort_samples(self, taking: _Taking, frame: Frame, columns: pa.RecordBatch) -> None:
        said = self._dictionaries.find(frame.source, frame.epoch)
        if said is None:
            why = "no dictionary came before it, so nobody knows its tags"
            taking.aside.append(_Aside(frame, str(frame.source), why, frame.rows))
            return
        now = self._now_ns()
        good, mapped = self._check(taking, frame, columns, said, now)
        if not good.all():
            columns, mapped = columns.filter(pa.array(good)), mapped[good]
        if columns.num_rows:
            columns = columns.set_column(0, columns.schema.field(0), pa.array(mapped))
            taking.batches.append((said.source, Batch(frame.source, frame.epoch, frame.seq, now, columns)))

    def _check(
        self, taking: _Taking, frame: Frame, columns: pa.RecordBatch, said: Said, now: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """Which rows can be taken in, and the site's number of each row's tag."""
        tag = columns.column("tag").to_numpy()
        inside = (tag >= 0) & (tag < len(said.tag))
        at = tag if inside.all() else np.where(inside, tag, 0)
        mapped = said.tag[at] if len(said.tag) else np.full(len(tag), -1, np.int32)
        known = inside & (mapped >= 0)
        kind = kind_of(columns)
        fits = (said.kind[at] == kind_number(kind)) if len(said.kind) else known
        time_ns = columns.column("time_ns").to_numpy()
        early, late = time_ns <= now + self._future_ns, time_ns >= self._earliest_ns
        for bad, why in (
            (~known, "the source's dictionary does not have these tag numbers"),
            (known & ~fits, f"values of kind {kind} came for tags of another kind"),
            (known & fits & ~early, "their time lies in the future; set the device's clock"),
            (known & fits & ~late, "their time lies before the earliest day believed; set the device's clock"),
        ):
            if bad.any():
                numbers = np.unique(tag[bad])[:100].tolist()
                names = [_name(said, number) for number in numbers]
                taking.aside.append(_Aside(frame, said.source, why, int(bad.sum()), names))
        return known & fits & early & late, mapped

    def _store(self, taking: _Taking, edge: str) -> None:
        """Disk first; then those who look on are told, then it counts as taken."""
        for aside in taking.aside:
            self._quarantine.keep(aside.frame)
        if taking.batches:
            self._site.historian.append([batch for _, batch in taking.batches])
        for records, origin in taking.records:
            run = self._run_before(taking, origin)
            self._site.append(records, origin._replace(first=run))
        own = taking.missing + [record for aside in taking.aside for record in self._tell(aside)]
        if own:
            self._site.append(own)
        if self._keep is not None:
            self._keep(edge, taking.fresh)
        self._show(taking)
        for name, seen in taking.seen.items():
            for first, last in seen:
                self._taken[name].add(first, last)

    def _run_before(self, taking: _Taking, origin: Origin) -> int:
        """The first number of the unbroken run of taken frames that ends with this one."""
        name = (origin.source, origin.epoch)
        first = taking.seen[name].start_of(origin.last)
        return self._taken[name].start_of(first - 1) if first - 1 in self._taken[name] else first

    def _tell(self, aside: _Aside) -> Iterator[Record]:
        with self._shared:
            yield from self._quarantine.tell(
                self._path(aside.source),
                aside.why,
                rows=aside.rows,
                tags=aside.tags,
                time_ns=aside.frame.first_ns or self._now_ns(),
                now_ns=self._now_ns(),
            )

    def _show(self, taking: _Taking) -> None:
        for source, batch in taking.batches:
            tag, time_ns = batch.columns.column("tag").to_numpy(), batch.columns.column("time_ns").to_numpy()
            newest = self._newest(tag, time_ns, batch.columns)
            with self._shared:
                said_again = [name for name, last in newest.items() if self._shown.get(name) == last]
            if said_again:
                tag, time_ns = _without(
                    tag, time_ns, [(self._site.tags.find(name), newest[name].time_ns) for name in said_again]
                )
            self._arrived(Arrived(source, batch.epoch, tag, time_ns))
            with self._shared:
                self._shown.update(newest)
            self._site.namespace.put_samples(newest)

    def _newest(self, tag: NDArray[np.int32], time_ns: NDArray[np.int64], columns: pa.RecordBatch) -> dict[str, Last]:
        order = np.arange(len(tag)) if (time_ns[1:] >= time_ns[:-1]).all() else np.argsort(time_ns, kind="stable")
        tags, behind = np.unique(tag[order][::-1], return_index=True)
        rows = order[len(order) - 1 - behind]
        status = columns.column("status").to_numpy()[rows].tolist()
        chosen = columns.take(pa.array(rows))
        bursts = kind_of(columns) is ValueKind.WAVEFORM
        values: list[Any] = in_words(chosen) if bursts else chosen.column("value").to_pylist()
        names = (self._site.tags.info(number).name for number in tags.tolist())
        return {
            name: Last(at, code, value)
            for name, at, code, value in zip(names, time_ns[rows].tolist(), status, values, strict=True)
        }

    def _source(self, frame: Frame) -> str:
        said = self._dictionaries.find(frame.source, frame.epoch)
        return said.source if said else str(frame.source)

    def _path(self, source: str) -> str:
        return beside(self._site.plant.path, "source", source)


def _decoded(frame: Frame) -> pa.RecordBatch | list[Record] | Dictionary | StoreDamaged | None:
    """What a frame holds. A payload that does not decode is an answer, not a failure of the body.

    Its checksum holds, so it is what the edge wrote: sending it again would change nothing.
    """
    try:
        if frame.kind in {FrameKind.SAMPLES, FrameKind.WAVEFORM}:
            return frames.samples(frame)
        if frame.kind is FrameKind.RECORDS:
            return frames.records(frame)
        if frame.kind is FrameKind.DICTIONARY:
            return frames.dictionary(frame)
    except StoreDamaged as error:
        return error
    return None


def _of_itself(frame: Frame, said: Dictionary) -> bool:
    """Whether a dictionary is of the source that its frame is of, and names no tag of another one."""
    prefix = f"{said.source}/"
    return frames.source_id(said.source) == frame.source and all(info.name.startswith(prefix) for _, info in said.tags)


def _without(
    tag: NDArray[np.int32], time_ns: NDArray[np.int64], repeats: Sequence[tuple[int | None, int]]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    keep = np.ones(len(tag), np.bool_)
    for number, at in repeats:
        keep &= (tag != number) | (time_ns != at)
    return tag[keep], time_ns[keep]


def _name(said: Said, number: int) -> str:
    info = said.info[number] if 0 <= number < len(said.info) else None
    return info.name if info else f"{said.source}/number {number}"
