"""The latch of the conduit: anyone here may close it, the site may close it, only two people here open it.

    <data>/gate.json     closed or open, by whom, why, and how it was proved; absent means open

The file is the latch: it holds over restarts, works while nothing else does, and a file that cannot
be read means closed. A running edge looks at it four times a second and obeys.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from isthmus.model.records import Record
from isthmus.model.records.edge import ConduitCut

LOOK_S: Final = 0.25
_FILE: Final = "gate.json"
_log: Final = logging.getLogger(__name__)


class Latch(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in gate.json."""

    closed: bool = False
    level: int = 0
    by: str = ""
    reason: str = ""
    since_ns: int = 0
    opened_by: tuple[str, str] | None = None
    verified: str = ""
    """How a running edge proved that nothing goes through; "" until it has."""
    told: bool = False
    """True once the record of it is in the buffer."""


def read(folder: Path) -> Latch:
    """The latch as it stands. Whatever cannot be read is closed."""
    try:
        return msgspec.json.decode((folder / _FILE).read_bytes(), type=Latch)
    except FileNotFoundError:
        return Latch(told=True)
    except (OSError, msgspec.MsgspecError) as error:
        return Latch(closed=True, level=1, by="isthmus", reason=f"{folder / _FILE} cannot be read: {error}")


def write(folder: Path, latch: Latch) -> None:
    """Set the latch, on disk for good when this returns. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{_FILE}"
    with new.open("wb") as file:
        file.write(msgspec.json.encode(latch))
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / _FILE)


def close(folder: Path, *, level: int, by: str, reason: str) -> None:
    """Close the conduit. Closing what is closed keeps the first reason."""
    if not read(folder).closed:
        write(folder, Latch(closed=True, level=level, by=by, reason=reason, since_ns=time.time_ns()))


class Gate:
    """The latch as a running edge sees it. `opened` makes the record of an opening."""

    def __init__(
        self,
        folder: Path,
        path: str,
        tell: Callable[[Record], None],
        opened: Callable[[str, Latch], Record],
    ) -> None:
        self._folder, self._path, self._tell, self._opened = folder, path, tell, opened
        self.latch = read(folder)
        self._moved = asyncio.Event()

    @property
    def closed(self) -> bool:
        """True while nothing may pass."""
        return self.latch.closed

    def cut(self, *, level: int, by: str, reason: str) -> None:
        """Close it now, in memory first: a disk that fails must not keep it open."""
        if self.closed:
            return
        self._set(Latch(closed=True, level=level, by=by, reason=reason, since_ns=time.time_ns()))
        self._keep()

    def proved(self, verified: str) -> None:
        """The uplink has shown that nothing goes through: told once."""
        if not self.closed or self.latch.told:
            return
        latch = self.latch
        self._tell(
            ConduitCut(
                path=self._path,
                time_ns=latch.since_ns or time.time_ns(),
                level=latch.level,
                by=latch.by,
                reason=latch.reason,
                verified=verified,
            )
        )
        self.latch = msgspec.structs.replace(latch, verified=verified, told=True)
        self._keep()

    async def until(self, *, closed: bool) -> None:
        """Return when it is closed, or when it is open."""
        while self.closed is not closed:
            await self._moved.wait()

    async def run(self) -> None:
        """Follow the file until cancelled."""
        while True:
            found = await asyncio.to_thread(read, self._folder)
            if found != self.latch and found.since_ns >= self.latch.since_ns:
                self._set(found)
            if not self.latch.closed and not self.latch.told:
                self._tell(self._opened(self._path, self.latch))
                self.latch = msgspec.structs.replace(self.latch, told=True)
                self._keep()
            await asyncio.sleep(LOOK_S)

    def _set(self, latch: Latch) -> None:
        if latch.closed != self.latch.closed:
            _log.warning("gate: %s by %s: %s", "closed" if latch.closed else "opened", latch.by, latch.reason)
        self.latch = latch
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _keep(self) -> None:
        try:
            write(self._folder, self.latch)
        except OSError as error:
            _log.error("gate: %s; the gate is %s until this process ends", error, "closed" if self.closed else "open")
