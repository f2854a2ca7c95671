"""Frames carried by hand: the bytes that wait in an edge's buffer, as files, and the acknowledgement back.

The files are bodies of the link, one after the other, and are given to the site through the same door:
so what came by stick and what comes by wire are one thing, and each frame is taken once.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

import httpx
import msgspec

from isthmus.edge.lane import Lane, epochs
from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.site.certificates import BY_HAND, Certificates
from isthmus.wire import frame as frames
from isthmus.wire import tls
from isthmus.wire.frame import FrameKind
from isthmus.wire.link import CONTENT_TYPE, FRAMES, MAX_BODY, VERSION, VERSION_HEADER, Acknowledged, Answer
from isthmus.wire.segment import SegmentLog

_WAIT_S: Final = 60.0


class Carried(NamedTuple):
    """What was written to files, or taken from them."""

    files: int
    frames: int
    rows: int


def carry_out(buffer: Path, target: Path) -> Carried:
    """Write what the site does not have to files in `target`; the buffer is only read, a running edge goes on.

    Raises UsageError when there is no buffer, OSError when the target is full.
    """
    if not buffer.is_dir():
        msg = f"{buffer} is not there; is this the machine of the edge, and the right plant file?"
        raise UsageError(msg)
    target.mkdir(parents=True, exist_ok=True)
    files = count = rows = 0
    for epoch in epochs(buffer):
        lane = Lane(epoch, SegmentLog(buffer / str(epoch), write=False), None)
        with suppress(OSError, ValueError):
            lane.acknowledged = max(lane.acknowledged, int((buffer / str(epoch) / "acknowledged").read_text()))
        while True:
            opening = lane.dictionaries()
            chunk = lane.body(max(MAX_BODY - len(opening), 1))
            held = [head for _, head in chunk.heads if head.kind is not FrameKind.DICTIONARY]
            if not chunk.heads:
                break
            if held:
                _write(target / f"{epoch}-{lane.acknowledged:020d}.frames", opening + chunk.data)
                files, count, rows = files + 1, count + len(held), rows + sum(head.rows for head in held)
            lane.acknowledged = chunk.end
    return Carried(files, count, rows)


def carry_in(folder: Path, take: Callable[[bytes], Answer]) -> Carried:
    """Give every file of `folder` to the site; what it then has is written beside them for the edge.

    Raises UsageError when there are none, StoreDamaged for a file that is no run of frames.
    """
    paths = sorted(folder.glob("*.frames"), key=lambda path: tuple(int(part) for part in path.stem.split("-")))
    if not paths:
        msg = f"there are no .frames files in {folder}; `isthmus carry out` on the edge writes them"
        raise UsageError(msg)
    upto: dict[tuple[int, int], int] = {}
    count = rows = 0
    for path in paths:
        body = path.read_bytes()
        try:
            held = [frame for frame in frames.unpack_all(body) if frame.kind is not FrameKind.DICTIONARY]
        except StoreDamaged as error:
            msg = f"{path} is damaged: {error}. Carry it again; the edge forgets nothing before you tell it"
            raise StoreDamaged(msg) from error
        answer = take(body)
        count, rows = count + len(held), rows + sum(frame.rows for frame in held)
        for item in answer.acknowledged:
            name = (item.source, item.epoch)
            upto[name] = max(item.seq, upto.get(name, 0))
    said = [Acknowledged(source, epoch, seq) for (source, epoch), seq in upto.items()]
    _write(folder / "acknowledged.json", msgspec.json.encode(said))
    return Carried(len(paths), count, rows)


def carry_back(folder: Path, buffer: Path) -> int:
    """Let the edge forget what the site has; a running edge does so within a second. How many sources' runs.

    Raises UsageError when the folder holds no acknowledgement.
    """
    try:
        data = (folder / "acknowledged.json").read_bytes()
        said = msgspec.json.decode(data, type=list[Acknowledged])
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"{folder / 'acknowledged.json'} cannot be read ({error}); `isthmus carry in` on the site writes it"
        raise UsageError(msg) from error
    (buffer / "inbox").mkdir(parents=True, exist_ok=True)
    _write(buffer / "inbox" / f"{time.time_ns()}.json", data)
    return len(said)


class Door:
    """The site's own door, dialled on its own machine with a certificate for this one visit."""

    def __init__(self, url: str, certificates: Certificates) -> None:
        self._url, self._certificates = url, certificates

    def __enter__(self) -> Self:
        self._keys = tempfile.TemporaryDirectory()
        folder = Path(self._keys.name)
        self._certificates.enrol_here(folder, BY_HAND)
        context = tls.client_context(folder)
        self._client = httpx.Client(verify=context, trust_env=False, timeout=_WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._certificates.remove(BY_HAND)
        self._keys.cleanup()

    def reached(self) -> bool:
        """True when a site is running there."""
        try:
            self.take(b"")
        except httpx.ConnectError:
            return False
        return True

    def take(self, body: bytes) -> Answer:
        """Give one body to the site. Raises UsageError in words when it says no."""
        headers = {"content-type": CONTENT_TYPE, VERSION_HEADER: VERSION}
        reply = self._client.post(self._url + FRAMES, content=body, headers=headers)
        if reply.status_code != httpx.codes.OK:
            msg = f"the site did not take it (HTTP status {reply.status_code}): {reply.text}"
            raise UsageError(msg)
        return msgspec.json.decode(reply.content, type=Answer)


def _write(path: Path, data: bytes) -> None:
    new = path.with_name(f".{path.name}")
    new.write_bytes(data)
    new.replace(path)


def summary(carried: Carried) -> str:
    """As a person reads it."""
    return f"{carried.rows:,} rows in {carried.frames:,} frames, {carried.files} files"
