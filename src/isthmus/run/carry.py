"""Frames carried by hand: the bytes that wait in an edge's buffer, as files, and the acknowledgement back.

The files are bodies of the link, one after the other, and are given to the site through the same door:
so what came by stick and what comes by wire are one thing, and each frame is taken once. Edge and site
seal what they write (wire/seal.py), and neither believes a stick on which the other's seal does not hold.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

import httpx
import msgspec

from isthmus.edge.lane import Lane, epochs
from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.site.intake.certificates import BY_HAND, Certificates
from isthmus.site.intake.speakers import Speakers
from isthmus.wire import frame as frames
from isthmus.wire import seal, tls
from isthmus.wire.frame import Frame, FrameKind
from isthmus.wire.link import CONTENT_TYPE, FRAMES, MAX_BODY, VERSION, VERSION_HEADER, Acknowledged, Answer
from isthmus.wire.segment import SegmentLog

_WAIT_S: Final = 60.0
_ACKNOWLEDGED: Final = "acknowledged.json"


class Carried(NamedTuple):
    """What was written to files, or taken from them."""

    files: int
    frames: int
    rows: int


def carry_out(buffer: Path, target: Path, tls_folder: Path | None = None) -> Carried:
    """Write what the site does not have to files in `target`; the buffer is only read, a running edge goes on.

    They are sealed by the owner of `tls_folder`. Raises UsageError when there is no buffer, OSError
    when the target is full.
    """
    if not buffer.is_dir():
        msg = f"{buffer} is not there; is this the machine of the edge, and the right plant file?"
        raise UsageError(msg)
    target.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    count = rows = 0
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
                names.append(f"{epoch}-{lane.acknowledged:020d}.frames")
                tls.write(target / names[-1], opening + chunk.data)
                count, rows = count + len(held), rows + sum(head.rows for head in held)
            lane.acknowledged = chunk.end
    if tls_folder is not None:
        seal.put(target, tls_folder, names)
    return Carried(len(names), count, rows)


def carry_in(
    folder: Path, take: Callable[[bytes], Answer], trust: Trust | None = None, tls_folder: Path | None = None
) -> Carried:
    """Give every file of `folder` to the site; what it then has is written beside them for the edge, sealed by the site.

    All are looked at before the first is given. `trust` None takes them as the person's word. Raises
    UsageError when there are none or `trust` refuses one, StoreDamaged for a file that is no run of frames.
    """
    paths = sorted(folder.glob("*.frames"), key=lambda path: tuple(int(part) for part in path.stem.split("-")))
    if not paths:
        msg = f"there are no .frames files in {folder}; `isthmus carry out` on the edge writes them"
        raise UsageError(msg)
    for path in paths:
        found = _frames(path)
        if trust is not None:
            trust.look_at(path, {frame.source for frame in found})
    upto: dict[tuple[int, int], int] = {}
    count = rows = 0
    for path in paths:
        held = [frame for frame in _frames(path) if frame.kind is not FrameKind.DICTIONARY]
        answer = take(path.read_bytes())
        count, rows = count + len(held), rows + sum(frame.rows for frame in held)
        for item in answer.acknowledged:
            name = (item.source, item.epoch)
            upto[name] = max(item.seq, upto.get(name, 0))
    said = [Acknowledged(source, epoch, seq) for (source, epoch), seq in upto.items()]
    tls.write(folder / _ACKNOWLEDGED, msgspec.json.encode(said))
    if tls_folder is not None:
        seal.put(folder, tls_folder, [_ACKNOWLEDGED])
    return Carried(len(paths), count, rows)


def carry_back(folder: Path, buffer: Path, tls_folder: Path | None = None) -> int:
    """Let the edge forget what the site has; a running edge does so within a second. How many sources' runs.

    With `tls_folder`, only what the site of the edge's own plant has sealed. Raises UsageError when the
    folder holds no acknowledgement, or none that is sealed.
    """
    path = folder / _ACKNOWLEDGED
    try:
        data = path.read_bytes()
        said = msgspec.json.decode(data, type=list[Acknowledged])
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"{path} cannot be read ({error}); `isthmus carry in` on the site writes it"
        raise UsageError(msg) from error
    if tls_folder is not None and not any(seal.fits(each, path) for each in seal.held(folder, tls_folder, "site")):
        msg = f"{path} bears no seal of this plant's site; carry it in again there, or leave this step out"
        raise UsageError(msg)
    (buffer / "inbox").mkdir(parents=True, exist_ok=True)
    tls.write(buffer / "inbox" / f"{time.time_ns()}.json", data)
    return len(said)


class Trust:
    """Which files a site believes: those that an enrolled edge sealed, as far as the sources are its own."""

    def __init__(self, folder: Path, certificates: Certificates, speakers: Speakers) -> None:
        self._speakers = speakers
        self._seals = seal.held(folder, certificates.folder, "edge")
        for each in self._seals:
            if refusal := certificates.refusal(each.peer):
                msg = f"{each.path}: {refusal}"
                raise UsageError(msg)

    def look_at(self, path: Path, sources: Iterable[int]) -> None:
        """Raises UsageError with the mend when the file is not to be believed."""
        edges = [each.peer.name for each in self._seals if seal.fits(each, path)]
        if not edges:
            known = any(path.name in each.said.files for each in self._seals)
            what = "was changed after an edge sealed it" if known else "bears no edge's seal"
            msg = (
                f"{path} {what}; nothing was taken in. Carry it again from the edge. An edge that was never enrolled "
                "cannot seal: if you saw it written there, say --unsealed"
            )
            raise UsageError(msg)
        voice = self._speakers.voice(edges[0])
        if refusals := [refusal for source in sorted(sources) if (refusal := voice.refusal(source))]:
            msg = f"{path}: {refusals[0]}; nothing was taken in"
            raise UsageError(msg)


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


def _frames(path: Path) -> list[Frame]:
    try:
        return list(frames.unpack_all(path.read_bytes()))
    except StoreDamaged as error:
        msg = f"{path} is damaged: {error}. Carry it again; the edge forgets nothing before you tell it"
        raise StoreDamaged(msg) from error


def summary(carried: Carried) -> str:
    """As a person reads it."""
    return f"{carried.rows:,} rows in {carried.frames:,} frames, {carried.files} files"
