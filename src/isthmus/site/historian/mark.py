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
from isthmus.site.historian.manifest import NAME, Manifest
from isthmus.site.historian.parquet import write_whole

MARK: Final = "generation"


def open_manifest(folder: Path) -> Manifest:
    """The manifest for writing. Raises StoreDamaged when it is not the one that belongs to the segments there."""
    if lost(folder):
        raise StoreDamaged(_sentence(folder, "is gone, and segments are there"))
    manifest = Manifest(folder)
    marked, found = _marked(folder), manifest.about("generation")
    if marked <= found:
        return manifest
    manifest.close()
    raise StoreDamaged(
        _sentence(folder, f"is older than the segments there (generation {found}, and {marked} was seen)")
    )


def lost(folder: Path) -> bool:
    """Whether segments are there and no manifest."""
    path = folder / NAME
    empty = not path.exists() or not path.stat().st_size
    return empty and any((folder / "segments").glob("*/*.parquet"))


def mark(folder: Path, manifest: Manifest) -> None:
    """Remember how far the manifest is. A disk that is full keeps the mark before, which does no harm."""
    generation = manifest.about("generation")
    if generation > _marked(folder):
        with suppress(OSError):
            write_whole(folder / MARK, f"{generation:020d}".encode())


def _marked(folder: Path) -> int:
    try:
        return int((folder / MARK).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def _sentence(folder: Path, what: str) -> str:
    return (
        f"{folder / NAME} {what}. Nothing was opened or deleted. Put the manifest that belongs to them back in its "
        f"place; if there is none, move {folder} away, as a whole, and put the newest backup back with "
        "`isthmus history restore`. The edges keep what comes meanwhile"
    )
