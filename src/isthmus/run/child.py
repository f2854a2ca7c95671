"""A process of Isthmus run by another: started again when it ends, killed when told, its words kept or passed on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from isthmus.run.lifeline import tied

_STOP_S = 15.0
_AGAIN_S, _AGAIN_MOST_S = 0.5, 15.0
"""A process that ended is started again after so long, twice as long each time that it ended at once."""
_AT_ONCE_S = 5.0
_LAST_LINES = 12
_MOST_LINE = 16 * 1024


class Child:
    """`isthmus VERB ...` as a process of its own, kept running; it does not outlive this one.

    What it says goes to the file `log`, or line by line to `hear` where that is given. `ended` is told of
    each end that nobody asked for: (exit code, seconds it lived, seconds until it is started again).
    """

    def __init__(  # noqa: PLR0913  each is one thing about a process
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        *,
        hear: Callable[[str], None] | None = None,
        ended: Callable[[int, float, float], None] = lambda *_: None,
    ) -> None:
        self.name, self.log = name, log
        self.starts = 0
        self._arguments, self._environment = tuple(arguments), tied(environment)
        self._hear, self._ended = hear, ended
        self._heard: deque[str] = deque(maxlen=_LAST_LINES)
        self._process: Process | None = None
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
        if self._hear is not None:
            return "\n".join(self._heard)
        return self.log.read_text(errors="replace")[-2000:].strip() if self.log.exists() else ""

    async def _keep(self) -> None:
        wait_s = _AGAIN_S
        while self._wanted:
            began = time.monotonic()
            self._heard.clear()
            self._process = await (self._written() if self._hear is None else self._piped())
            self.starts += 1
            if self._hear is not None:
                await self._listen(self._process)
            code = await self._process.wait()
            lived_s = time.monotonic() - began
            wait_s = _AGAIN_S if lived_s > _AT_ONCE_S else min(wait_s * 2, _AGAIN_MOST_S)
            if self._wanted:
                self._ended(code, lived_s, wait_s)
            await asyncio.sleep(wait_s)

    async def _written(self) -> Process:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log, env=self._environment)

    async def _piped(self) -> Process:
        # Its own group: Ctrl-C at the terminal reaches us alone, and we end the processes in their order.
        return await asyncio.create_subprocess_exec(
            *self._command, stdout=PIPE, stderr=STDOUT, env=self._environment, process_group=0, limit=_MOST_LINE
        )

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "isthmus", *self._arguments]

    async def _listen(self, process: Process) -> None:
        assert process.stdout is not None  # noqa: S101  it was started with a pipe
        assert self._hear is not None  # noqa: S101  as above
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the limit; what was read of it is gone
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._heard.append(text)
            self._hear(text)
