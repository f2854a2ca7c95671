"""How far a log of records is, kept beside it, so that opening it need not read it from its first day.

    <data>/log/place      32 bytes BLAKE2b-256 of what follows, then a `Place` as msgpack

It is written now and then and at the end, and only believed where the log still has, at that very
offset, the frame whose hash it names. Without it, or where it is of another log, all is read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

_HASH: Final = 32


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that reading the log up to a frame would tell."""

    start: int
    """Byte offset at which the newest frame of it begins, and where it ends."""
    end: int
    head: bytes
    """Hash of that frame."""
    first: str
    """Hash of the log's first frame, by which one log is told from another."""
    position: int
    number: int
    index: list[tuple[int, int]]
    """(position, byte offset) of every so many frames, ascending."""
    taken: list[tuple[int, int, list[tuple[int, int]]]]
    """source, epoch, and which frames of it the site has."""


def read(folder: Path) -> Place | None:
    """The place that was kept, None when there is none that is whole."""
    try:
        data = (folder / "place").read_bytes()
        if blake2b(data[_HASH:], digest_size=_HASH).digest() != data[:_HASH]:
            return None
        return msgspec.msgpack.decode(data[_HASH:], type=Place)
    except (OSError, msgspec.MsgspecError):
        return None


def write(folder: Path, place: Place) -> None:
    """Keep a place. A disk that does not take it costs a slower start and no more."""
    data = msgspec.msgpack.encode(place)
    new = folder / ".place"
    with suppress(OSError):
        with new.open("wb") as file:
            file.write(blake2b(data, digest_size=_HASH).digest() + data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / "place")
