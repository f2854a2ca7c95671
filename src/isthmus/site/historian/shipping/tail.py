"""The newest samples of a site where a group reads them: the frames that its log holds and no segment yet.

They are the log's own frames, byte for byte, in chunks of whole frames with their positions. The list of
the chunks begins where the root says that the log is sealed; whoever reads both leaves out what lies
before that, so a seal in between neither doubles a sample nor loses one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model.errors import StoreDamaged
from isthmus.model.time import NS_PER_S
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.shipped import Chunk, Leaving, Place, Tail
from isthmus.wire import frame as frames
from isthmus.wire.frame import MAGIC, Frame, FrameKind

MOST_CHUNKS: Final = 32
"""With more they are written anew as few: each is a file to open for whoever reads."""
MOST_BYTES: Final = 16 * 1024 * 1024
_GRACE_NS: Final = 120 * NS_PER_S
"""A reader takes the whole tail at once, and looks again when a chunk went meanwhile."""
_TRIES: Final = 5
_ROWS: Final = frozenset({FrameKind.SAMPLES, FrameKind.WAVEFORM})


class _Piece(NamedTuple):
    start: int
    end: int
    rows: int
    data: bytes


def ship(log: Path, where: Place, folder: str, site: str, since: int, now_ns: int) -> int:  # noqa: PLR0913, PLR0917  from where, to where
    """Put what `log` holds behind `since` into the tail of a site's folder; the samples newly put there."""
    before = shipped.read_tail(where, site)
    kept = _usable(before.chunks if before else (), since, _end_of(log))
    chunks = list(kept)
    rows = 0
    for piece in _pieces(log, chunks[-1].end if chunks else since):
        name = shipped.hash_of(piece.data)
        where.put(f"{folder}/tail/{name}.frames", piece.data)
        chunks.append(Chunk(piece.start, piece.end, piece.rows, name))
        rows += piece.rows
    if before is not None and (tuple(chunks), since) == (before.chunks, before.wal):
        return 0
    names = {each.sha256 for each in chunks}
    old = before or Tail(wal=since, shipped_ns=now_ns)
    leaving = [each for each in old.leaving if each.name not in names]
    leaving += [Leaving(each.sha256, 0, now_ns) for each in old.chunks if each.sha256 not in names]
    due = [each for each in leaving if now_ns - each.since_ns >= _GRACE_NS]
    made = Tail(wal=since, shipped_ns=now_ns, chunks=tuple(chunks), leaving=tuple(set(leaving) - set(due)))
    where.put(f"{folder}/{shipped.TAIL}", shipped.to_json(made))
    for each in due:
        where.remove(f"{folder}/tail/{each.name}.frames")
    return rows


def read(where: Place, site: str, since: int, kind: FrameKind = FrameKind.SAMPLES) -> list[Frame]:
    """The frames of samples, or of bursts, that a site's tail holds behind `since`, in order. Raises StoreDamaged."""
    folder = shipped.folder_of(site)
    trouble = StoreDamaged(f"the tail of {site} changes faster than it can be read; ask again")
    for _ in range(_TRIES):
        found = shipped.read_tail(where, site)
        if found is None:
            return []
        try:
            return [
                frame
                for chunk in found.chunks
                if chunk.end > since
                for frame in _behind(chunk, shipped.read_named(where, f"{folder}/tail/{chunk.sha256}.frames"), since)
                if frame.kind is kind
            ]
        except StoreDamaged as error:
            trouble = error  # a chunk that went since the list was read, or one that was damaged
    raise trouble


def _behind(chunk: Chunk, data: bytes, since: int) -> Iterator[Frame]:
    offset = 0
    while offset < len(data):
        at = chunk.start + offset
        try:
            frame, offset = frames.unpack_from(data, offset)
        except EOFError as error:
            msg = f"a chunk of the tail ends within a frame, at {chunk.start + offset}"
            raise StoreDamaged(msg) from error
        if at >= since:
            yield frame


def _usable(chunks: Sequence[Chunk], since: int, end: int) -> Sequence[Chunk]:
    """The chunks that still say what the log says; none when they begin behind the seal, or are too many."""
    kept = [each for each in chunks if each.end > since]
    if not kept or kept[0].start > since or kept[-1].end > end or len(kept) >= MOST_CHUNKS:
        return []
    return kept


def _segments(log: Path) -> list[int]:
    return sorted(int(path.stem) for path in log.glob("*.seg"))


def _end_of(log: Path) -> int:
    starts = _segments(log)
    return starts[-1] + (log / f"{starts[-1]:020d}.seg").stat().st_size if starts else 0


def _pieces(log: Path, since: int) -> Iterator[_Piece]:
    """Runs of whole frames from a position on; nothing when the log was sealed and cut beyond it meanwhile."""
    starts = _segments(log)
    if starts and starts[0] > since:
        return
    for index, start in enumerate(starts):
        if index + 1 < len(starts) and starts[index + 1] <= since:
            continue
        try:
            with (log / f"{start:020d}.seg").open("rb") as file:
                file.seek(max(since - start, 0))
                data = file.read()
        except FileNotFoundError:
            return
        yield from _runs(data, max(since, start))


def _runs(data: bytes, position: int) -> Iterator[_Piece]:
    """A frame still being written ends it; damage is stepped over, the site tells people of it."""
    begin = offset = rows = 0
    while offset < len(data):
        try:
            head, behind = frames.head_at(data, offset)
        except EOFError:
            break
        except StoreDamaged:
            if offset > begin:
                yield _Piece(position + begin, position + offset, rows, data[begin:offset])
            begin = data.find(MAGIC, offset + 1)
            if begin < 0:
                return
            offset, rows = begin, 0
            continue
        offset = behind
        rows += head.rows if head.kind in _ROWS else 0
        if offset - begin >= MOST_BYTES:
            yield _Piece(position + begin, position + offset, rows, data[begin:offset])
            begin, rows = offset, 0
    if offset > begin:
        yield _Piece(position + begin, position + offset, rows, data[begin:offset])
