"""A mark beside the manifest, by which one that was lost, emptied or put back is known for what it is.

    <history>/generation    twenty decimal digits: a generation of the manifest that is on disk for good

The manifest alone says which segments count, and what it does not name is deleted at the start as the
leavings of a crash. A manifest older than its segments would so delete all that it knows nothing of:
nothing is opened then, and nothing deleted.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from isthmus.model.errors import StoreDamaged
from isthmus.site.historian.sealed.manifest import NAME, Manifest
from isthmus.site.historian.sealed.parquet import write_whole

MARK: Final = "generation"
_GONE: Final = "is gone, and segments are there"


def open_manifest(folder: Path) -> Manifest:
    """The manifest for writing. Raises StoreDamaged when it is not the one that belongs to the segments there."""
    if lost(folder):
        raise StoreDamaged(_sentence(folder, _GONE))
    manifest = Manifest(folder)
    older = _older(folder, manifest)
    if older is None:
        return manifest
    manifest.close()
    raise StoreDamaged(_sentence(folder, older))


def lost(folder: Path) -> bool:
    """Whether segments are there and no manifest."""
    return _absent(folder) and any((folder / "segments").glob("*/*.parquet"))


def trouble(folder: Path) -> str | None:
    """Why the manifest does not do: gone, older than what is there, or damaged itself; None when it is well."""
    if lost(folder):
        return _GONE
    if _absent(folder):
        return "is gone" if marked(folder) else None
    try:
        manifest = Manifest(folder, writing=False)
    except StoreDamaged:
        return "cannot be read"
    try:
        faults = manifest.faults()
        return f"is damaged: {faults[0]}" if faults else _older(folder, manifest)
    finally:
        manifest.close()


def mark(folder: Path, manifest: Manifest) -> None:
    """Remember how far the manifest is. A disk that is full keeps the mark before, which does no harm."""
    generation = manifest.about("generation")
    if generation > marked(folder):
        with suppress(OSError):
            write_whole(folder / MARK, f"{generation:020d}".encode())


def marked(folder: Path) -> int:
    """A generation that the manifest had; 0 where nobody knows."""
    try:
        return int((folder / MARK).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def _absent(folder: Path) -> bool:
    path = folder / NAME
    return not path.exists() or not path.stat().st_size


def _older(folder: Path, manifest: Manifest) -> str | None:
    seen, found = marked(folder), manifest.about("generation")
    return f"is older than the segments there (generation {found}, and {seen} was seen)" if seen > found else None


def _sentence(folder: Path, what: str) -> str:
    return (
        f"{folder / NAME} {what}. Nothing was opened or deleted. Put the manifest that belongs to them back in its "
        "place, or let `isthmus history rebuild` say what it can make anew of the files that are there; a backup, "
        "where there is one, is put back with `isthmus history restore`. The edges keep what comes meanwhile"
    )
