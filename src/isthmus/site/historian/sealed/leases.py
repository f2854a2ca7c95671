"""Readers say which generation of the segments they hold, so that no file is deleted under them.

    leases/<pid>-<number>    the generation as decimal text; locked for as long as its reader lives

A reader makes and locks its file, holding every generation, before it looks into the manifest, and
then writes the generation that it found. The writer deletes a segment that went at generation G once
no living reader holds one before G. The lock dies with its process, so a reader killed holds nothing.

Where no file can be made (the disk is full, or the folder may only be read) a reader locks the folder
itself, which holds every generation: one must be able to look above all when something is wrong.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = "leases"
SITE: Final = "the site"
"""What a site is called as the holder of its history."""
_EVERY: Final = 0
_NO_FILE: Final = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT}
_number = itertools.count()


class Lease:
    """One reader's hold. Make it before reading the manifest, `hold` what was found, `release` at the end."""

    def __init__(self, folder: Path) -> None:
        self._path: Path | None = None
        try:
            self._path, self._file = _made(folder)
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            self._file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(self._file, fcntl.LOCK_SH)

    def hold(self, generation: int) -> None:
        """Hold this generation and all after it, and let go of those before."""
        if self._path is not None:
            with suppress(OSError):  # what cannot be written, as the disk is full, holds every generation
                os.pwrite(self._file, f"{generation:020d}".encode(), 0)

    def release(self) -> None:
        """Hold nothing."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        os.close(self._file)


def _made(folder: Path) -> tuple[Path, int]:
    (folder / FOLDER).mkdir(exist_ok=True)
    while True:
        path = folder / FOLDER / f"{os.getpid()}-{next(_number)}"
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(file, fcntl.LOCK_SH)
        # The writer may have taken it for a dead reader's between the two calls.
        if path.exists() and path.stat().st_ino == os.fstat(file).st_ino:
            return path, file
        os.close(file)


def oldest_held(folder: Path) -> int | None:
    """The lowest generation that a living reader of any process holds, or None. Clears dead readers' files."""
    held = [_EVERY] if _is_locked(folder) else []
    for path in (folder / FOLDER).glob("*"):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(int(os.pread(file, 20, 0) or _EVERY))
            else:
                path.unlink(missing_ok=True)
        finally:
            os.close(file)
    return min(held, default=None)


def _is_locked(folder: Path) -> bool:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


class Pins:
    """The same within the writing process: which generations its own threads are reading."""

    def __init__(self) -> None:
        self._held: dict[int, int] = {}

    def add(self, generation: int) -> None:
        """One more reader of a generation; the caller holds the store's lock."""
        self._held[generation] = self._held.get(generation, 0) + 1

    def remove(self, generation: int) -> None:
        """One reader fewer; the caller holds the store's lock."""
        left = self._held[generation] - 1
        if left:
            self._held[generation] = left
        else:
            del self._held[generation]

    def oldest(self, elsewhere: int | None) -> int | None:
        """The lowest generation held here or `elsewhere`; the caller holds the store's lock."""
        return min((each for each in (min(self._held, default=None), elsewhere) if each is not None), default=None)


class Held(OSError):
    """Another process writes; errno EBUSY. `holder` says which, as far as it is known."""

    def __init__(self, folder: Path, holder: Holder | None) -> None:
        who = f"{holder}; stop that first, or wait for it" if holder else "another process; stop that one first"
        super().__init__(errno.EBUSY, f"{folder} is being written by {who}")
        self.holder = holder


class Holder(NamedTuple):
    """Who writes a history."""

    process: int
    since: str
    """ISO 8601, UTC"""
    what: str
    """`SITE`, or the command."""

    def __str__(self) -> str:
        return f"{self.what} (process {self.process}, since {self.since})"


class Writer:
    """One writing process for a folder, which says what it is; the lock dies with it. Raises Held where another writes."""

    def __init__(self, folder: Path, what: str = SITE) -> None:
        path = folder / "writer.lock"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise Held(folder, _holder(path)) from error
        with suppress(OSError):  # on a full disk nobody is told who writes
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()} {_now()} {what}\n".encode(), 0)

    def release(self) -> None:
        """Let another process write."""
        os.close(self._file)


def _holder(path: Path) -> Holder | None:
    """What the holder of the lock wrote into it; None while it has not, or is of an older Isthmus."""
    words = path.read_text(encoding="utf-8", errors="replace").strip().split(" ", 2)
    if len(words) != len(Holder._fields) or not words[0].isdecimal():
        return None
    return Holder(int(words[0]), words[1], words[2])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
