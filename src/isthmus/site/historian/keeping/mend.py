"""Segments that are missing or damaged, put back from a backup; all that is whole stays as it is.

A segment never changes, and the manifest has its hash: a file of a backup under the same path with
these bytes is the very file that was lost. A rollup that no backup has is made anew by the site.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from isthmus.model.errors import UsageError
from isthmus.model.time import NS_PER_DAY, to_datetime
from isthmus.site.historian.sealed.leases import Lease
from isthmus.site.historian.sealed.manifest import NAME, Manifest, Segment
from isthmus.site.historian.sealed.parquet import write_whole
from isthmus.site.historian.sealed.waveforms import FOLDER as WAVEFORMS


class Mended(NamedTuple):
    """One file that was not as it was written, and what became of it."""

    path: Path
    what: str
    whole: bool
    """True: nothing is missing any more."""

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"


def mend(folder: Path, source: Path) -> Iterator[Mended]:
    """Put back what is missing or damaged in the history in `folder`, file by file; a site may be writing meanwhile.

    Raises UsageError when `source` is no backup, OSError (disk full) with nothing half-written.
    """
    if not (source / NAME).exists():
        msg = f"{source} holds no backup of history"
        raise UsageError(msg)
    for lane in (".", WAVEFORMS):
        if (folder / lane / NAME).exists():
            yield from _mend(folder / lane, source / lane)


def _mend(folder: Path, source: Path) -> Iterator[Mended]:
    lease, manifest = Lease(folder), Manifest(folder, writing=False)
    try:
        with manifest.reading():
            files = manifest.files()
            lease.hold(manifest.about("generation"))
        for each in files:
            if not _is(folder / each.path, each):
                yield _put_back(folder, source, each)
    finally:
        manifest.close()
        lease.release()


def _put_back(folder: Path, source: Path, segment: Segment) -> Mended:
    path = folder / segment.path
    if _is(source / segment.path, segment):
        write_whole(path, (source / segment.path).read_bytes())
        return Mended(path, "put back", whole=True)
    if segment.bucket_ns:
        path.unlink(missing_ok=True)
        return Mended(
            path, "a rollup that this backup does not have; the site makes it anew at its next start", whole=True
        )
    date = to_datetime(segment.day * NS_PER_DAY).date()
    what = f"this backup does not have it; {segment.rows:,} samples of {date} are missing until another one has"
    return Mended(path, what, whole=False)


def _is(path: Path, segment: Segment) -> bool:
    """Whether the very bytes of a segment stand there."""
    if not path.is_file() or path.stat().st_size != segment.bytes:
        return False
    return sha256(path.read_bytes()).hexdigest() == segment.sha256
