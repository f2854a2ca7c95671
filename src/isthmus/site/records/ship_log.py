"""Ships the log of records to where a group reads it: sealed runs of its frames, and what came since.

It reads the log beside the process that writes it and takes no lock. What it reads it has synced first:
a frame that the site could still lose with its power is not shipped, as another one would get its number.
It keeps no state of its own beyond the root that is there; a run cut short is simply run again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from isthmus.model.errors import IsthmusError, StoreDamaged, UsageError
from isthmus.model.time import NS_PER_S
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.shipped import Leaving, Place
from isthmus.site.records import shipped_log as form
from isthmus.site.records.records_log import LINK_BYTES
from isthmus.site.records.shipped_log import Link, LogRoot, Piece, Run
from isthmus.wire import frame as frames
from isthmus.wire.frame import MAGIC, Frame, FrameKind

GRACE_S: Final = 900.0
"""How long an open run that counts no more stays for whoever reads it."""
MOST_OPEN: Final = 16
"""With more open runs than this they are put together as one: each is a file to open for whoever reads."""
_READ_BYTES: Final = 1024 * 1024


class ShippedLog(NamedTuple):
    """What one run did."""

    root: LogRoot | None
    """None while the log holds nothing."""
    records: int
    """Records newly shipped."""
    files: int
    bytes: int
    troubles: tuple[str, ...]
    """What is wrong with the site's own log; it is shipped as it is."""


class _Sealing:
    """What is put together from the frames behind the newest sealed run."""

    def __init__(self, root: LogRoot, link: Link) -> None:
        self.lists, self.runs, self.link = list(root.lists), list(root.runs), link
        self.pieces: list[Piece] = []
        """Frames of the run that is not full yet."""
        self.size = 0
        self.broken = False
        """Whether that run does not follow from the one before it."""


class LogShipper:
    """Ships one site's log to one place. `ship` is called again and again, by one thread."""

    def __init__(
        self,
        log: Path,
        where: Place,
        site: str,
        *,
        grace_s: float = GRACE_S,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._log, self._where, self._site = log, where, site
        self._grace_ns, self._clock = int(grace_s * NS_PER_S), clock
        self._root_name = f"{shipped.folder_of(site)}/{form.ROOT}"
        self._last: tuple[LogRoot, int] | None = None
        """The root that this process wrote, and where the log ended then."""
        self._files = self._bytes = 0
        self._troubles: list[str] = []

    def ship(self, *, over_newer: bool = False) -> ShippedLog:
        """Bring the place up to date. Raises OSError when it cannot be reached, StoreDamaged, UsageError.

        `over_newer` lets a log restored from a backup stand for the newer one that was shipped before.
        """
        self._files = self._bytes = 0
        self._troubles = []
        end = _synced(self._log)
        there = form.read_root(self._where, self._site)
        if there is None and not end:
            return self._done(None, 0)
        if there is not None and self._last == (there, end):
            self._last = self._clear(there), end
            return self._done(self._last[0], 0)
        first = there is None or self._last is None or self._last[0] != there
        base = there
        if there is not None and first and not self._is_of(there, end):
            if not over_newer:
                raise UsageError(self._not_ours())
            base = None
        root = base or self._empty(there)
        if first:
            self._send_again(root)
        made = self._grown(root, end, over_newer=over_newer)
        if made is None:
            return self._done(there, 0)
        if made != there:
            self._put_root(made)
        self._last = made, end
        return self._done(made, self._reach(made) - (0 if base is None else self._reach(base)))

    def _done(self, root: LogRoot | None, records: int) -> ShippedLog:
        return ShippedLog(root, records, self._files, self._bytes, tuple(self._troubles))

    def _empty(self, there: LogRoot | None) -> LogRoot:
        number = 0 if there is None else there.number
        leaving = () if there is None else self._left(there, ())
        return LogRoot(site=self._site, number=number, shipped_ns=0, first="", leaving=leaving)

    def _not_ours(self) -> str:
        return (
            f"{self._root_name} does not fit {self._log}: it names records that are not in this log, so the log was "
            "restored from a backup or is another site's. If it shall stand for what is there, run `isthmus history "
            "ship --over-newer` once, and `isthmus centre accept SITE` at the centre"
        )

    def _is_of(self, root: LogRoot, end: int) -> bool:
        """Whether the newest sealed run, or else the first open one, is what this log holds there."""
        held = self._sealed_last(root) or next(iter(root.open), None)
        return held is None or (held.end <= end and self._bytes_of(held) is not None)

    def _sealed_last(self, root: LogRoot) -> Run | None:
        if root.runs:
            return root.runs[-1]
        return form.read_list(self._where, self._site, root.lists[-1])[-1] if root.lists else None

    def _reach(self, root: LogRoot) -> int:
        """How many records of the log are there."""
        newest = root.open[-1] if root.open else self._sealed_last(root)
        return newest.position + newest.rows if newest else 0

    def _bytes_of(self, run: Run) -> bytes | None:
        """The bytes of a run from the site's own log, None where they are others."""
        data = b"".join(each.packed for each in _pieces(self._log, run.start, run.end))
        return data if shipped.hash_of(data) == run.sha256 else None

    def _send_again(self, root: LogRoot) -> None:
        """Put back sealed runs that are missing at the place; looked at once by each process."""
        every = [run for name in root.lists for run in form.read_list(self._where, self._site, name)]
        for run in (*every, *root.runs):
            name = form.run_name(self._site, run, sealed=True)
            if self._where.size(name) == run.bytes:
                continue
            data = self._bytes_of(run)
            if data is None:
                self._troubles.append(f"{name} is missing, and {self._log} does not hold frame {run.first} any more")
                continue
            self._send(name, data)

    def _grown(self, root: LogRoot, end: int, *, over_newer: bool) -> LogRoot | None:
        """The root of the log as it is now, with all its files in place; None where it holds no frame."""
        newest = self._sealed_last(root)
        link = form.NOTHING if newest is None else Link(newest.last, newest.after, newest.position + newest.rows)
        sealing = _Sealing(root, link)
        for piece in _pieces(self._log, newest.end if newest else 0, end):
            if not root.first:
                root = msgspec.structs.replace(root, first=form.hash_of(piece.packed))
            root = self._take(sealing, root, piece)
        if not root.first:
            return None
        opened = self._open(sealing, root, over_newer=over_newer)
        if (tuple(sealing.lists), tuple(sealing.runs), opened) == (root.lists, root.runs, root.open):
            return self._clear(root)
        return self._clear(self._next(root, sealing, opened))

    def _take(self, sealing: _Sealing, root: LogRoot, piece: Piece) -> LogRoot:
        if not form.follows(sealing.link, piece.frame):
            self._troubles.append(
                f"the log of records in {self._log} is broken before frame {piece.frame.seq}, behind frame "
                f"{sealing.link.number}; what lies behind is shipped, and the centre tells of the break"
            )
            self._seal(sealing)
            sealing.broken = True
        sealing.pieces.append(piece)
        sealing.size += len(piece.packed)
        frame = piece.frame
        sealing.link = Link(frame.seq, form.hash_of(piece.packed), frame.epoch + frame.rows)
        if sealing.size >= form.RUN_BYTES:
            self._seal(sealing)
        if len(sealing.lists) > len(root.lists):  # a first run over years goes on from here when it is cut short
            root = self._next(root, sealing, ())
            self._put_root(root)
        return root

    def _seal(self, sealing: _Sealing) -> None:
        if sealing.pieces:
            run, data = form.run_of(sealing.pieces, broken=sealing.broken)
            self._put(form.run_name(self._site, run, sealed=True), data)
            sealing.runs.append(run)
        sealing.pieces, sealing.size, sealing.broken = [], 0, False
        if len(sealing.runs) >= form.LIST_RUNS:
            data = shipped.to_json(sealing.runs)
            name = shipped.hash_of(data)
            self._put(form.list_name(self._site, name), data)
            sealing.lists.append(name)
            sealing.runs.clear()

    def _open(self, sealing: _Sealing, root: LogRoot, *, over_newer: bool) -> tuple[Run, ...]:
        """What came since the newest sealed run, as few runs as may be. Raises UsageError for another log's."""
        if not sealing.pieces:
            return ()
        since = sealing.pieces[0].start
        kept: list[Run] = []
        broken = sealing.broken
        for run in root.open if root.open and root.open[0].start == since else ():
            its = [each for each in sealing.pieces if run.start <= each.start < run.end]
            if not its or form.run_of(its, broken=run.broken)[0] != run:
                if not over_newer:
                    raise UsageError(self._not_ours())
                break
            kept.append(run)
            broken = False
        rest = [each for each in sealing.pieces if not kept or each.start >= kept[-1].end]
        if rest and len(kept) >= MOST_OPEN:
            kept, rest, broken = [], sealing.pieces, sealing.broken
        if rest:
            run, data = form.run_of(rest, broken=broken)
            self._put(form.run_name(self._site, run, sealed=False), data)
            kept.append(run)
        return tuple(kept)

    def _next(self, root: LogRoot, sealing: _Sealing, opened: tuple[Run, ...]) -> LogRoot:
        return msgspec.structs.replace(
            root,
            number=root.number + 1,
            shipped_ns=self._clock(),
            lists=tuple(sealing.lists),
            runs=tuple(sealing.runs),
            open=opened,
            leaving=self._left(root, opened),
        )

    def _left(self, root: LogRoot, opened: Sequence[Run]) -> tuple[Leaving, ...]:
        """Open runs that count no more, those of a run that was cut short included."""
        named = {form.run_name(self._site, run, sealed=False) for run in opened}
        folder = f"{shipped.folder_of(self._site)}/{form.OPEN}"
        there = {f"{folder}/{each}" for each in self._where.names(folder) if not each.endswith(".tmp")}
        old = {each.name: each for each in root.leaving if each.name in there and each.name not in named}
        new = [Leaving(name, root.number + 1, self._clock()) for name in sorted(there - named - old.keys())]
        return (*old.values(), *new)

    def _clear(self, root: LogRoot) -> LogRoot:
        """Delete open runs that left long enough ago."""
        now = self._clock()
        due = [each for each in root.leaving if now - each.since_ns >= self._grace_ns]
        if not due:
            return root
        root = msgspec.structs.replace(root, leaving=tuple(each for each in root.leaving if each not in due))
        self._put_root(root)  # first, so that no root in force names what is gone
        for each in due:
            self._where.remove(each.name)
        return root

    def _put_root(self, root: LogRoot) -> None:
        self._where.put(self._root_name, shipped.to_json(root))

    def _put(self, name: str, data: bytes) -> None:
        if self._where.size(name) != len(data):
            self._send(name, data)

    def _send(self, name: str, data: bytes) -> None:
        self._where.put(name, data)
        self._files += 1
        self._bytes += len(data)


def open_log_shipper(log: Path, target: str, site: str) -> LogShipper:
    """A shipper to a folder or a URL. Raises UsageError, IsthmusError in an engineer's words."""
    try:
        return LogShipper(log, shipped.place(target), site)
    except OSError as error:
        msg = f"{target} cannot be reached: {error}; mend [historian] ship_to"
        raise IsthmusError(msg) from error


def _segments(log: Path) -> list[int]:
    return sorted(int(path.stem) for path in log.glob("*.seg"))


def _path(log: Path, start: int) -> Path:
    return log / f"{start:020d}.seg"


def _synced(log: Path) -> int:
    """Where the log ended, all before that being on disk for good when this returns; 0 where there is none."""
    starts = _segments(log)
    if not starts:
        return 0
    with _path(log, starts[-1]).open("rb") as file:
        end = starts[-1] + os.fstat(file.fileno()).st_size
        os.fsync(file.fileno())
    return end


def _pieces(log: Path, since: int, end: int) -> Iterator[Piece]:
    """The whole frames of the log from byte `since` up to byte `end`; what is damaged is stepped over."""
    starts = _segments(log)
    for index, start in enumerate(starts):
        behind = min(starts[index + 1], end) if index + 1 < len(starts) else end
        if behind <= since or start >= end:
            continue
        begin = max(since, start)
        with _path(log, start).open("rb") as file:
            file.seek(begin - start)
            yield from _frames(file, begin, behind)


def _frames(file: BinaryIO, position: int, end: int) -> Iterator[Piece]:
    """`position` is where the file stands in the log as a whole."""
    data, offset = b"", 0
    while True:
        found = _at(data, offset)
        if isinstance(found, tuple):
            frame, behind = found
            if frame.kind is FrameKind.CHAINED and len(frame.payload) >= LINK_BYTES:
                yield Piece(position + offset, position + behind, frame, data[offset:behind])
            offset = behind
            continue
        kept = offset
        if found is not None:  # damaged: the frames behind it still count
            offset = data.find(MAGIC, offset + 1)
            if offset >= 0:
                continue
            offset = kept = max(len(data) - len(MAGIC) + 1, 0)
        more = file.read(min(_READ_BYTES, max(end - position - len(data), 0)))
        if more:
            data, position, offset = data[kept:] + more, position + kept, 0
            continue
        # Cut short. In the middle of a log that is damage; what is being written has no frame behind it.
        offset = data.find(MAGIC, offset + 1)
        if offset < 0:
            return


def _at(data: bytes, offset: int) -> tuple[Frame, int] | StoreDamaged | None:
    """The frame there and where it ends; None when the data ends within it."""
    try:
        return frames.unpack_from(data, offset)
    except EOFError:
        return None
    except StoreDamaged as error:
        return error
