"""Checks that history is what the manifest says: every file there, every byte as written, every row in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.model.errors import StoreDamaged
from isthmus.model.time import NS_PER_DAY
from isthmus.site.historian.memory.rows import Rows, Words
from isthmus.site.historian.sealed import journal, waveforms
from isthmus.site.historian.sealed.leases import Lease
from isthmus.site.historian.sealed.manifest import Manifest, Segment, tag_rows
from isthmus.site.historian.sealed.parquet import SegmentFile

_MEND = "put it back from a backup with `isthmus history mend FOLDER`"
_ANEW = "`isthmus history mend FOLDER` puts it back, or the site makes it anew"

NOWHERE: Final[Mapping[str, Path]] = MappingProxyType({})


class Finding(NamedTuple):
    """One thing that is not as it should be, and the mend."""

    path: Path
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.mend}"


def verify(folder: Path) -> Iterator[Finding]:
    """Everything that is wrong, as it is found; a site may be writing meanwhile.

    Raises StoreDamaged when the manifest itself cannot be read.
    """
    lease = Lease(folder)
    manifest = Manifest(folder, writing=False)
    try:
        with manifest.reading():
            segments, rollups, gone = manifest.segments(), manifest.rollups(), {path for _, path, _ in manifest.gone()}
            lease.hold(manifest.about("generation"))
        yield from _manifest_itself(manifest)
        yield from _names(folder, manifest)
        for each in segments:
            yield from verify_segment(folder, each)
        for each in rollups:
            if (
                not (folder / each.path).exists()
                or sha256((folder / each.path).read_bytes()).hexdigest() != each.sha256
            ):
                yield Finding(folder / each.path, "this rollup is not as it was written", _ANEW)
        yield from _disjoint(folder, segments)
        yield from (Finding(path, what, _MEND) for path, what in waveforms.verify(folder))
        yield from _strays(folder, manifest, {each.path for each in (*segments, *rollups)} | gone)
    finally:
        manifest.close()
        lease.release()


def _manifest_itself(manifest: Manifest) -> Iterator[Finding]:
    for what in manifest.faults():
        mend = f"keep a copy of {manifest.path.parent}, and restore the newest backup with `isthmus history restore`"
        yield Finding(manifest.path, what, mend)


def _names(folder: Path, manifest: Manifest) -> Iterator[Finding]:
    """A backup has no journal; one that is there must know every name and correction."""
    with manifest.reading() as db:
        tags = {row[0] for row in tag_rows(db)}
        right = set(db.execute("SELECT tag, time, said FROM correction"))
    said = journal.read(folder)
    lacks = len(tags - set(said.tags)) + len(right - set(said.corrections))
    if said.there and (said.damaged or lacks):
        what = f"{len(said.damaged):,} lines are damaged, and {lacks:,} tags and corrections are not in it"
        yield Finding(folder / journal.NAME, what, "the site writes it anew at its next start")


def verify_segment(folder: Path, segment: Segment) -> Iterator[Finding]:
    """What is wrong with one segment: absent, other bytes, other rows, rows out of order."""
    path = folder / segment.path
    try:
        found = sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        yield Finding(path, f"is not there; it held {segment.rows} samples", _MEND)
        return
    if found != segment.sha256:
        yield Finding(path, "its bytes are not those that were written", _MEND)
        return
    try:
        rows = SegmentFile(path).read(Words())
    except StoreDamaged as error:
        yield Finding(path, f"cannot be read: {error}", _MEND)
        return
    if not in_order(rows):
        yield Finding(path, "its rows are not in order of tag and time, each once", _MEND)
    says = (segment.rows, segment.time_min, segment.time_max, segment.tag_min, segment.tag_max)
    holds = (rows.size, int(rows.time_ns.min()), int(rows.time_ns.max()), int(rows.tag[0]), int(rows.tag[-1]))
    if says != holds or (rows.time_ns // NS_PER_DAY != segment.day).any():
        yield Finding(path, f"holds {holds}, and the manifest says {says}", _MEND)


def in_order(rows: Rows) -> bool:
    """Whether rows stand in order of tag and time, each once."""
    same_tag = rows.tag[1:] == rows.tag[:-1]
    return bool((rows.tag[1:] >= rows.tag[:-1]).all() and (rows.time_ns[1:] > rows.time_ns[:-1])[same_tag].all())


def _disjoint(folder: Path, segments: list[Segment]) -> Iterator[Finding]:
    """Segments not marked as late must not share a (tag, time): queries read them side by side."""
    days: dict[int, list[Segment]] = {}
    for each in segments:
        if not each.overlap:
            days.setdefault(each.day, []).append(each)
    for plain in days.values():
        twice = sum(shared(folder, one, other) for one, other in combinations(plain, 2))
        if twice:
            what = f"{twice} samples of this day stand twice in segments that are not marked as late"
            yield Finding(
                (folder / plain[0].path).parent, what, "report this, and merge with `isthmus history compact`"
            )


def shared(folder: Path, one: Segment, other: Segment, where: Mapping[str, Path] = NOWHERE) -> int:
    """How many (tag, time) stand in both; only the part of the files in which that can be is read.

    `where` has the folders of those that stand elsewhere, by path.
    """
    tags = max(one.tag_min, other.tag_min), min(one.tag_max, other.tag_max)
    times = max(one.time_min, other.time_min), min(one.time_max, other.time_max) + 1
    if tags[0] > tags[1] or times[0] >= times[1]:
        return 0
    keys: list[NDArray[np.int64]] = []
    try:
        for each in (one, other):
            file = SegmentFile(where.get(each.path, folder) / each.path)
            rows = file.read(Words(), file.groups(*tags, *times))
            keys.append(np.column_stack((rows.tag.astype(np.int64), rows.time_ns)))
    except StoreDamaged:
        return 0  # told already
    both = np.concatenate(keys)
    ordered = both[np.lexsort((both[:, 1], both[:, 0]))]
    return int((ordered[1:] == ordered[:-1]).all(axis=1).sum())


def _strays(folder: Path, manifest: Manifest, known: set[str]) -> Iterator[Finding]:
    for path in sorted((folder / "segments").glob("*/*")):
        name = str(path.relative_to(folder))
        if name not in known and name not in {each.path for each in manifest.files()}:
            yield Finding(path, "the manifest does not name it", "it is deleted at the site's next start")
