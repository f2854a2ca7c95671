"""A copy of history, taken while the site goes on writing, and its way back.

    <target>/manifest.sqlite     what the copy consists of; replaced once all its segments are there
    <target>/segments/...        copied once, as a sealed segment never changes: each backup adds what is new
    <target>/wal/...             what was not sealed yet
    <target>/waveforms/...       the same for bursts

Every segment's SHA-256 is checked while it is copied, there and back. One that is damaged keeps nothing
else from being copied; what the copy had of its day before is kept in its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.model.time import NS_PER_DAY, to_datetime
from isthmus.site.historian.keeping.verify import verify
from isthmus.site.historian.sealed import manifest as manifests
from isthmus.site.historian.sealed.leases import Lease
from isthmus.site.historian.sealed.manifest import Manifest, Segment, put_segments
from isthmus.site.historian.sealed.parquet import sync_folder, write_whole
from isthmus.site.historian.sealed.waveforms import FOLDER as WAVEFORMS

_WAL: Final = "wal"


class Copied(NamedTuple):
    """What a backup or a restore did."""

    segments: int
    """Segments that the copy consists of."""
    new: int
    """Of these, how many had to be copied."""
    new_bytes: int
    rows: int
    """Samples in the segments; what the log holds comes on top."""
    damaged: tuple[str, ...] = ()
    """Which files are missing or not as they were written where they were copied from, and what stands for them."""


_NONE: Final = Copied(0, 0, 0, 0)


def backup(folder: Path, target: Path) -> Copied:
    """Bring `target` up to date with the history in `folder`: all that is whole. Raises StoreDamaged, OSError.

    Everything acknowledged before the call is in it, but for what stands in `Copied.damaged`.
    """
    if not (folder / manifests.NAME).exists():
        msg = f"{folder} holds no history; give the site's data folder with --data"
        raise UsageError(msg)
    target.mkdir(parents=True, exist_ok=True)
    bursts = _NONE
    if (folder / WAVEFORMS / manifests.NAME).exists():
        bursts = backup(folder / WAVEFORMS, target / WAVEFORMS)
    lease = Lease(folder)
    try:
        # The log first: what is sealed and cut off it meanwhile is in the manifest that is copied after it.
        logs = _copy_log(folder, target)
        source = Manifest(folder, writing=False)
        try:
            copy = target / (manifests.NAME + ".new")
            copy.unlink(missing_ok=True)
            source.backup(copy)
        finally:
            source.close()
        named = _segments_of(copy)
        done, damaged = _copy_segments(folder, target, named)
        told = _stand_in(folder, target, copy, damaged)
        segments = _segments_of(copy) if damaged else named
        _put_in_place(target, logs)
    finally:
        lease.release()
    _drop_others(target, segments)
    return _copied(segments, done, (*told, *bursts.damaged))


def restore(source: Path, folder: Path) -> Copied:
    """Make `folder` the history that `source` is a backup of, and verify it.

    Raises UsageError when a history is there already, StoreDamaged when the backup is not whole.
    """
    if not (source / manifests.NAME).exists():
        msg = f"{source} holds no backup of history"
        raise UsageError(msg)
    if folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is not empty; move it away first, so that nothing is overwritten"
        raise UsageError(msg)
    done = _bring_back(source, folder)
    damaged = done.damaged
    if (source / WAVEFORMS / manifests.NAME).exists():
        damaged += _bring_back(source / WAVEFORMS, folder / WAVEFORMS).damaged
    if damaged:
        rest = f"All else is back in {folder}, and can be asked; isthmus history mend puts these in from another backup"
        raise StoreDamaged("\n".join([*damaged, rest]))
    findings = list(verify(folder))
    if findings:
        raise StoreDamaged("\n".join(map(str, findings)))
    return done


def _bring_back(source: Path, folder: Path) -> Copied:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / (manifests.NAME + ".new"), (source / manifests.NAME).read_bytes())
    segments = _segments_of(folder / (manifests.NAME + ".new"))
    new, damaged = _copy_segments(source, folder, segments)
    _put_in_place(folder, _copy_log(source, folder))
    return _copied(segments, new, tuple(what for _, what in damaged))


def _copied(segments: Sequence[Segment], new: Sequence[Segment], damaged: tuple[str, ...]) -> Copied:
    rows = sum(each.rows for each in segments if not each.bucket_ns)
    return Copied(len(segments), len(new), sum(each.bytes for each in new), rows, damaged)


def _segments_of(path: Path) -> list[Segment]:
    manifest = Manifest(path.parent, name=path.name)
    try:
        with manifest.transaction() as db:
            db.execute("DELETE FROM segment WHERE gone IS NOT NULL")
        return manifest.files()
    finally:
        manifest.close(single_file=True)


def _copy_segments(
    source: Path, target: Path, segments: Sequence[Segment]
) -> tuple[list[Segment], list[tuple[Segment, str]]]:
    """Copy those that are not there yet; which they were, and which are damaged. Raises OSError of the target."""
    new: list[Segment] = []
    damaged: list[tuple[Segment, str]] = []
    for each in segments:
        there = target / each.path
        if there.exists() and there.stat().st_size == each.bytes:
            continue
        data, what = _read(source / each.path, each)
        if what:
            damaged.append((each, f"{source / each.path} {what}"))
        else:
            write_whole(there, data)
            new.append(each)
    return new, damaged


def _read(path: Path, segment: Segment) -> tuple[bytes, str]:
    """The bytes of a segment, and what is wrong with them."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return b"", "is not there, so it cannot be copied"
    except OSError as error:
        return b"", f"cannot be read ({error.strerror}), so it is not copied"
    if sha256(data).hexdigest() != segment.sha256:
        return b"", "is not as it was written, so it is not copied"
    return data, ""


def _stand_in(folder: Path, target: Path, copy: Path, damaged: Sequence[tuple[Segment, str]]) -> list[str]:
    """Put what the copy had before in the place of what is damaged; what a person is told.

    Segments of before and of now hold the same rows, so all of such a day are marked as late: of one moment the
    row of the highest id stands. Where the copy had nothing, it goes on to name the file that it does not have.
    """
    if not damaged:
        return []
    days = {each.day for each, _ in damaged}
    before = [each for each in _before(target, days) if not each.bucket_ns]
    manifest = Manifest(copy.parent, name=copy.name)
    told: list[str] = []
    try:
        known = {each.path for each in manifest.files()}
        for each, what in damaged:
            others = [one for one in before if one.day == each.day and one.path not in known]
            with manifest.transaction() as db:
                if each.bucket_ns or others:
                    db.execute("DELETE FROM segment WHERE id = ?", (each.id,))
                if others and not each.bucket_ns:
                    db.execute("DELETE FROM segment WHERE day = ? AND bucket_ns > 0", (each.day,))
                    put_segments(db, others)
                    db.execute("UPDATE segment SET overlap = 1 WHERE day = ?", (each.day,))
                    known |= {one.path for one in others}
            told.append(f"{what}; {_instead(each, others, folder)}")
    finally:
        manifest.close(single_file=True)
    return told


def _instead(segment: Segment, others: Sequence[Segment], folder: Path) -> str:
    date = to_datetime(segment.day * NS_PER_DAY).date()
    what = "bursts" if folder.name == WAVEFORMS else "samples"
    if segment.bucket_ns:
        return "a rollup, which is made anew of the samples wherever the copy is restored"
    if others:
        rows = sum(each.rows for each in others)
        return f"the copy keeps the {rows:,} {what} that it had of {date} before"
    return (
        f"the copy lacks its {segment.rows:,} {what} of {date} until it is put back, by `isthmus history mend` from "
        "another backup"
    )


def _before(target: Path, days: set[int]) -> list[Segment]:
    """What the copy has had of these days so far, and has whole."""
    if not (target / manifests.NAME).exists():
        return []
    manifest = Manifest(target, writing=False)
    try:
        return [each for each in manifest.files() if each.day in days and _is_whole(target / each.path, each)]
    finally:
        manifest.close()


def _is_whole(path: Path, segment: Segment) -> bool:
    return path.is_file() and not _read(path, segment)[1]


def _copy_log(source: Path, target: Path) -> Path:
    """Copy the log beside the old copy; the new folder."""
    new = target / (_WAL + ".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    for path in sorted((source / _WAL).glob("*.seg")):
        try:
            write_whole(new / path.name, path.read_bytes())
        except FileNotFoundError:
            continue  # sealed and cut off since it was listed
    return new


def _put_in_place(target: Path, logs: Path) -> None:
    """The manifest first: cut short behind it, the copy lacks only what was not sealed yet, and a store opens it."""
    (target / (manifests.NAME + ".new")).replace(target / manifests.NAME)
    sync_folder(target)
    shutil.rmtree(target / _WAL, ignore_errors=True)
    logs.rename(target / _WAL)
    sync_folder(target)


def _drop_others(target: Path, segments: list[Segment]) -> None:
    kept = {each.path for each in segments}
    for path in (target / "segments").glob("*/*"):
        if str(path.relative_to(target)) not in kept:
            path.unlink()
