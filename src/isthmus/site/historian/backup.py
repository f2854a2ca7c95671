"""A copy of history, taken while the site goes on writing, and its way back.

    <target>/manifest.sqlite     what the copy consists of; replaced once all its segments are there
    <target>/segments/...        copied once, as a sealed segment never changes: each backup adds what is new
    <target>/wal/...             what was not sealed yet
    <target>/waveforms/...       the same for bursts

Every segment's SHA-256 is checked while it is copied, there and back.
"""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.model.errors import StoreDamaged, UsageError
from isthmus.site.historian import manifest as manifests
from isthmus.site.historian.leases import Lease
from isthmus.site.historian.manifest import Manifest, Segment
from isthmus.site.historian.parquet import sync_folder, write_whole
from isthmus.site.historian.verify import verify
from isthmus.site.historian.waveforms import FOLDER as WAVEFORMS

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


def backup(folder: Path, target: Path) -> Copied:
    """Bring `target` up to date with the history in `folder`. Raises StoreDamaged, OSError.

    Everything acknowledged before the call is in it.
    """
    if not (folder / manifests.NAME).exists():
        msg = f"{folder} holds no history; give the site's data folder with --data"
        raise UsageError(msg)
    target.mkdir(parents=True, exist_ok=True)
    if (folder / WAVEFORMS / manifests.NAME).exists():
        backup(folder / WAVEFORMS, target / WAVEFORMS)
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
        segments = _segments_of(copy)
        new = [each for each in segments if _copy_segment(folder, target, each)]
        _put_in_place(target, logs)
    finally:
        lease.release()
    _drop_others(target, segments)
    return Copied(
        len(segments),
        len(new),
        sum(each.bytes for each in new),
        sum(each.rows for each in segments if not each.bucket_ns),
    )


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
    if (source / WAVEFORMS / manifests.NAME).exists():
        _bring_back(source / WAVEFORMS, folder / WAVEFORMS)
    findings = list(verify(folder))
    if findings:
        raise StoreDamaged("\n".join(map(str, findings)))
    return done


def _bring_back(source: Path, folder: Path) -> Copied:
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / (manifests.NAME + ".new"), (source / manifests.NAME).read_bytes())
    segments = _segments_of(folder / (manifests.NAME + ".new"))
    for each in segments:
        _copy_segment(source, folder, each)
    _put_in_place(folder, _copy_log(source, folder))
    return Copied(
        len(segments), len(segments), sum(e.bytes for e in segments), sum(e.rows for e in segments if not e.bucket_ns)
    )


def _segments_of(path: Path) -> list[Segment]:
    manifest = Manifest(path.parent, name=path.name)
    try:
        with manifest.transaction() as db:
            db.execute("DELETE FROM segment WHERE gone IS NOT NULL")
        return manifest.files()
    finally:
        manifest.close(single_file=True)


def _copy_segment(source: Path, target: Path, segment: Segment) -> bool:
    """Copy one segment unless it is there; True when it was copied."""
    there = target / segment.path
    if there.exists() and there.stat().st_size == segment.bytes:
        return False
    try:
        data = (source / segment.path).read_bytes()
    except FileNotFoundError as error:
        msg = f"{source / segment.path} is not there, so it cannot be copied; see `isthmus history verify`"
        raise StoreDamaged(msg) from error
    if sha256(data).hexdigest() != segment.sha256:
        msg = f"{source / segment.path} is not as it was written, so it is not copied; see `isthmus history verify`"
        raise StoreDamaged(msg)
    write_whole(there, data)
    return True


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
