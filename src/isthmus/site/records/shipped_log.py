"""What a site's log of records looks like where a group reads it: the log's own frames, in runs that name one another.

    <group>/site=acme~northgate/
       records.json                      what is there; the only name that is written twice
       records/<sha256>.frames           a sealed run: whole frames of the log, byte for byte
       records/<sha256>.json             a list of 64 sealed runs
       records/open/<sha256>.frames      what came since the newest sealed run

A run says which frames it holds, the hash of the frame before them and that of its last: so whoever has
all runs has one chain, and can tell where a run was taken out, changed or put elsewhere. Where a run
ends follows from the log's bytes alone, so that a site which was cut off ships the same runs as one that
was not. Drawn in docs/formats/shipped.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from isthmus.model.errors import StoreDamaged
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.shipped import Leaving, Place
from isthmus.site.records.records_log import LINK_BYTES
from isthmus.wire import frame as frames
from isthmus.wire.frame import Frame, FrameKind

FORMAT: Final = 1
ROOT: Final = "records.json"
FOLDER: Final = "records"
OPEN: Final = "records/open"
RUN_BYTES: Final = 1024 * 1024
"""A run is sealed with the frame that brings it to this size."""
LIST_RUNS: Final = 64
_HASH: Final = 32


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whole frames of the log, one after the other. Hashes of frames are BLAKE2b-256 in hexadecimal."""

    first: int
    """Number of its first frame, and of its last."""
    last: int
    position: int
    """Records that the log holds before it."""
    rows: int
    """Records in it."""
    before: str
    """Hash of the frame before the first; zeros for the log's first."""
    after: str
    """Hash of the last frame: with it the next run begins."""
    time_min: int
    """Of the times of its records, ns; 0 and -1 where it has none."""
    time_max: int
    start: int
    """Where its bytes begin and end in the site's log as a whole."""
    end: int
    bytes: int
    sha256: str
    broken: bool = False
    """The site's own log does not follow on here: frames before it were damaged or are missing at the site."""


class LogRoot(msgspec.Struct, frozen=True, kw_only=True):
    """What is there of a site's log. Lists, runs and open ones follow one another without a gap."""

    format: int = FORMAT
    site: str
    number: int
    """One more with each root."""
    shipped_ns: int
    first: str
    """Hash of the log's first frame, by which one log is told from another."""
    lists: tuple[str, ...] = ()
    """Hashes of the lists of sealed runs."""
    runs: tuple[Run, ...] = ()
    """Sealed runs that no list holds yet."""
    open: tuple[Run, ...] = ()
    """What came since: it counts, and is put together anew from time to time until it is sealed."""
    leaving: tuple[Leaving, ...] = ()

    def state(self) -> str:
        """One hash of all that is sealed: equal where two folders hold the same."""
        return shipped.hash_of(shipped.to_json([self.site, self.first, self.lists, self.runs]))


class Link(NamedTuple):
    """How far a chain is: the number and hash of its newest frame, and the records up to there."""

    number: int
    head: str
    position: int


NOTHING: Final = Link(0, bytes(_HASH).hex(), 0)


class Piece(NamedTuple):
    """One frame of a log, and where it stands."""

    start: int
    end: int
    frame: Frame
    packed: bytes


class Said(NamedTuple):
    """A record as any centre can read it: its fields as they were written, those left out as their kind has them."""

    position: int
    """Records of the log up to and with it."""
    facts: Mapping[str, Any]


def hash_of(packed: bytes | memoryview) -> str:
    """What the frame behind this one names."""
    return blake2b(packed, digest_size=_HASH).hexdigest()


def before(frame: Frame) -> str:
    """The hash that a frame says of the one before it."""
    return frame.payload[:_HASH].hex()


def follows(link: Link, frame: Frame) -> bool:
    """Whether a frame is the next of a chain."""
    return (frame.seq, before(frame), frame.epoch) == (link.number + 1, link.head, link.position)


def run_of(pieces: Iterable[Piece], *, broken: bool) -> tuple[Run, bytes]:
    """The run of these frames, which follow one another, and its bytes. Raises StoreDamaged for a gap."""
    found = list(pieces)
    link = Link(found[0].frame.seq - 1, before(found[0].frame), found[0].frame.epoch)
    times: list[int] = []
    for each in found:
        if not follows(link, each.frame):
            msg = f"frame {each.frame.seq} of the log of records does not follow from frame {link.number}"
            raise StoreDamaged(msg)
        link = Link(each.frame.seq, hash_of(each.packed), each.frame.epoch + each.frame.rows)
        times += [fact["time_ns"] for fact in facts(each.frame)]
    data = b"".join(each.packed for each in found)
    run = Run(
        first=found[0].frame.seq,
        last=link.number,
        position=found[0].frame.epoch,
        rows=link.position - found[0].frame.epoch,
        before=before(found[0].frame),
        after=link.head,
        time_min=min(times, default=0),
        time_max=max(times, default=-1),
        start=found[0].start,
        end=found[-1].end,
        bytes=len(data),
        sha256=shipped.hash_of(data),
        broken=broken,
    )
    return run, data


def pieces_of(data: bytes, start: int = 0) -> Iterator[Piece]:
    """The frames of a run. Raises StoreDamaged where it is none."""
    offset = 0
    while offset < len(data):
        try:
            frame, behind = frames.unpack_from(data, offset)
        except EOFError:
            msg = f"it ends within the frame at byte {offset}"
            raise StoreDamaged(msg) from None
        if frame.kind is not FrameKind.CHAINED or len(frame.payload) < LINK_BYTES:
            msg = f"the frame at byte {offset} is none of a log of records"
            raise StoreDamaged(msg)
        yield Piece(start + offset, start + behind, frame, data[offset:behind])
        offset = behind


def facts(frame: Frame) -> list[dict[str, Any]]:
    """The records of a frame of the log, kinds that nobody knows here included. Raises StoreDamaged."""
    packed = frames.unpacked(frame._replace(payload=frame.payload[LINK_BYTES:]))
    try:
        found = _FACTS.decode(packed)
    except msgspec.MsgspecError as error:
        msg = f"the records of frame {frame.seq} do not decode: {error}"
        raise StoreDamaged(msg) from error
    if len(found) != frame.rows or not all(map(_is_fact, found)):
        msg = f"frame {frame.seq} does not hold the {frame.rows} records that it says"
        raise StoreDamaged(msg)
    return found


def said(data: bytes) -> Iterator[Said]:
    """The records of a run, in the order of the log. Raises StoreDamaged."""
    for piece in pieces_of(data):
        for number, each in enumerate(facts(piece.frame), piece.frame.epoch + 1):
            yield Said(number, each)


def run_name(site: str, run: Run, *, sealed: bool) -> str:
    """Where a run stands in the group's folder."""
    return f"{shipped.folder_of(site)}/{FOLDER if sealed else OPEN}/{run.sha256}.frames"


def list_name(site: str, name: str) -> str:
    """Where a list of runs stands in the group's folder."""
    return f"{shipped.folder_of(site)}/{FOLDER}/{name}.json"


def read_root(where: Place, site: str) -> LogRoot | None:
    """What a site says of its log, None when it ships none. Raises StoreDamaged for a format not known here."""
    name = f"{shipped.folder_of(site)}/{ROOT}"
    try:
        root = shipped.from_json(where.read(name), LogRoot, name)
    except FileNotFoundError:
        return None
    if root.format != FORMAT or root.site != site:
        msg = f"{name} is of format {root.format}, for {root.site}; this Isthmus reads format {FORMAT} for {site}"
        raise StoreDamaged(msg)
    return root


def read_list(where: Place, site: str, name: str) -> list[Run]:
    """The runs of a list. Raises StoreDamaged."""
    path = list_name(site, name)
    try:
        return _runs().decode(shipped.read_named(where, path))
    except msgspec.MsgspecError as error:
        msg = f"{path} is no list of runs: {error}"
        raise StoreDamaged(msg) from error


def _is_fact(what: Mapping[str, Any]) -> bool:
    return all(isinstance(what.get(name), form) for name, form in _NEEDED.items())


@cache
def _runs() -> msgspec.json.Decoder[list[Run]]:
    return msgspec.json.Decoder(list[Run])


_FACTS: Final = msgspec.msgpack.Decoder(list[dict[str, Any]])
_NEEDED: Final[Mapping[str, type]] = {"kind": str, "path": str, "time_ns": int}
