"""A process of Isthmus run by another: started again when it ends, killed when told, its words kept in a file."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_STOP_S = 15.0
_AGAIN_S, _AGAIN_MOST_S = 0.5, 15.0
"""A process that ended is started again after so long, twice as long each time that it ended at once."""
_AT_ONCE_S = 5.0


class Child:
    """`isthmus VERB ...` as a process of its own, kept running."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.log = name, log
        self.starts = 0
        self._arguments, self._environment = tuple(arguments), dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._wanted = False

    async def start(self) -> None:
        """Start it and keep it running."""
        self._wanted = True
        self._keeper = asyncio.create_task(self._keep(), name=self.name)

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        self._wanted = False
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), _STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    def kill(self) -> None:
        """SIGKILL: it has no time to tidy up. It is started again."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    @property
    def running(self) -> bool:
        """True while the process lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Of the living process, 0 while there is none."""
        return self._process.pid if self._process is not None and self.running else 0

    def last_words(self) -> str:
        """The end of what it said, for a person."""
        return self.log.read_text(errors="replace")[-2000:].strip() if self.log.exists() else ""

    async def _keep(self) -> None:
        wait_s = _AGAIN_S
        while self._wanted:
            began = time.monotonic()
            with self.log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "isthmus", *self._arguments, stdout=log, stderr=log, env=self._environment
                )
            self.starts += 1
            await self._process.wait()
            lived_s = time.monotonic() - began
            wait_s = _AGAIN_S if lived_s > _AT_ONCE_S else min(wait_s * 2, _AGAIN_MOST_S)
            await asyncio.sleep(wait_s)
