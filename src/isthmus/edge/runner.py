"""The only loop that tries again: keeps every source running, and says how each fares.

A source works until its device is away and then raises. Then every tag of it is marked Bad at that
moment, `SourceChanged` names the cause, the last contact and the next try, and after a jittered wait
it is tried again. A device that stays away is tried more seldom, and costs nobody but its own tags.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Sequence
from typing import Any, Final, cast

from isthmus.edge.buffer import Buffer
from isthmus.edge.config import EdgeSection
from isthmus.edge.identity import Asking
from isthmus.edge.intake import Intake, SourceNow, State, tags_of
from isthmus.edge.source import Limits, Source, SourceSection
from isthmus.model import status as st
from isthmus.model.errors import DeviceAway, DeviceRefuses
from isthmus.model.records.edge import SourceChanged, TagFault
from isthmus.model.time import NS_PER_S

FIRST_ANSWER_S: Final = 60.0
"""A device that took the connection and gave nothing for so long is away."""
SILENT_S: Final = 600.0
"""After so long without a value the connection is made anew, to prove that silence is rest."""
DEMOTE_S: Final = 600.0
"""A device away for longer is tried at a fifteenth of the pace."""
DEMOTED: Final = 15.0
REFUSED_S: Final = 30.0
LOOK_S: Final = 5.0
"""How often a source is looked at that only runs."""
END_S: Final = 10.0
"""How long a source may take to let go of its device."""
TELL_S: Final = 0.2
AGAIN_S: Final = 60.0
"""While a device stays away, cause and next try are told again this often."""
IDENTIFY_AT_ONCE: Final = 8
_MOST_NAMED: Final = 20
_log: Final = logging.getLogger(__name__)


class Runner:
    """All sources of one edge; `run` ends only when it is cancelled."""

    def __init__(self, sources: Sequence[SourceSection], edge: EdgeSection, plant: str, buffer: Buffer) -> None:
        turn = asyncio.Semaphore(IDENTIFY_AT_ONCE)
        self._tasks = [_Task(source, edge, f"{plant}#source/{source.name}", buffer, turn) for source in sources]

    @property
    def now(self) -> list[SourceNow]:
        """How each source fares at this moment."""
        return [task.intake.now for task in self._tasks]

    async def run(self) -> None:
        """Keep every source running until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for task in self._tasks:
                    group.create_task(task.run(), name=f"source {task.intake.now.name}")
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            _log.info("the edge was stopped: %d sources let go of their devices", len(self._tasks))
            raise


class _Task:
    """One source, its intake and its waits."""

    def __init__(
        self, source: SourceSection, edge: EdgeSection, path: str, buffer: Buffer, turn: asyncio.Semaphore
    ) -> None:
        self.intake = Intake(source, tags_of(source), buffer, self._changed)
        self._source, self._tags = cast("Source", source), tags_of(source)
        self._edge, self._path, self._buffer = edge, path, buffer
        self._asking = Asking(self._source, path, buffer, turn)
        self._plan: Any = None
        self._telling: asyncio.TimerHandle | None = None
        self._named: dict[int, TagFault] = {}
        """Bad tags that the log has named."""
        self._tries = 0
        self._told = -math.inf
        self._away_since = time.monotonic()

    async def run(self) -> None:
        """Plan once, then run, wait and run again."""
        if self._buffer.stopped_ns is not None:
            # An earlier process ended without a word: from then until now nobody was looking.
            self.intake.lose(st.BAD_NO_COMMUNICATION, self._buffer.stopped_ns)
        try:
            while True:  # noqa: ASYNC110  the waits are the point
                await asyncio.sleep(await self._attempt())
        except asyncio.CancelledError:
            self._say("stopped", "the edge was stopped", None)
            self.intake.lose(st.BAD_NOT_CONNECTED)
            raise

    async def _attempt(self) -> float:
        """Run the source until it ends; the seconds to wait before the next attempt."""
        self.intake.begin()
        try:
            if self._plan is None:
                # The same plan for every attempt: a source may note in it where to go on reading.
                self._plan = self._source.plan(self._tags, Limits())
            await self._watched(self._plan)
        except DeviceRefuses as error:
            return self._away(str(error), "refused", REFUSED_S * random.uniform(0.8, 1.2))  # noqa: S311  a wait
        except DeviceAway as error:
            return self._away(str(error), "away", self._pause())
        except _Rested:
            return 0.0
        except Exception as error:  # noqa: BLE001  the one place
            # A bug in one source must not take the others with it; it is told with its trace.
            _log.exception("%s: unforeseen", self._path)
            return self._away(f"unforeseen: {error!r}; please report this", "away", self._pause())
        return self._away("the source ended by itself", "away", self._pause())

    async def _watched(self, plan: Any) -> None:  # noqa: ANN401  each protocol has its own plan
        """Run the source, but not for ever when it neither gives anything nor fails."""
        running = asyncio.ensure_future(self._source.run(plan, self.intake))
        asking = asyncio.ensure_future(self._asking.ask(self.intake.connected))
        asking.add_done_callback(self._asked)
        try:
            while not running.done():
                quiet = time.monotonic() - self.intake.heard
                left = (SILENT_S if self.intake.answered else FIRST_ANSWER_S) - quiet
                if left <= 0:
                    break
                await asyncio.wait([running], timeout=min(left, LOOK_S))
        finally:
            if running.done():
                self._asking.lost()
            asking.cancel()
            running.cancel()
            await asyncio.wait([running, asking], timeout=END_S)
        if not running.done():
            msg = f"the source did not let go of its device within {END_S:.0f} s; restart the edge and report this"
            raise DeviceAway(msg)
        if not running.cancelled():
            running.result()
        elif self.intake.answered:
            raise _Rested
        else:
            msg = f"it took the connection and gave nothing for {FIRST_ANSWER_S:.0f} s"
            raise DeviceAway(msg)

    def _asked(self, asking: asyncio.Future[None]) -> None:
        """What goes wrong with asking who the device is costs no value, and is told with its trace."""
        if not asking.cancelled() and (error := asking.exception()) is not None:
            _log.error("%s: who it is cannot be asked; please report this", self._path, exc_info=error)

    def _away(self, cause: str, state: State, wait_s: float) -> float:
        self.intake.lose(st.BAD_NO_COMMUNICATION)
        self._say(state, cause, wait_s)
        return wait_s

    def _pause(self) -> float:
        """The next wait: doubling from `retry_s` to `retry_most_s`, jittered; longer for one long away."""
        now = time.monotonic()
        if self.intake.answered:
            self._tries, self._away_since = 0, now
        self._tries += 1
        most = self._edge.retry_most_s * (DEMOTED if now - self._away_since > DEMOTE_S else 1.0)
        wait = min(self._edge.retry_s * 2.0 ** min(self._tries - 1, 16), most)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311  a wait, not a secret

    def _say(self, state: State, cause: str, wait_s: float | None) -> None:
        now = self.intake.now
        steady = time.monotonic()
        other = now.state != state or (now.cause != cause and steady - self._told > AGAIN_S / 6)
        now.state, now.cause = state, cause
        now.next_try_ns = None if wait_s is None else time.time_ns() + int(wait_s * NS_PER_S)
        if other and state != "stopped":  # an orderly stop is said once for all
            _log.warning("%s: %s: %s", self._path, state, cause)
        if other or steady - self._told > AGAIN_S:
            self._tell()

    def _changed(self, *, at_once: bool) -> None:
        """Something is new; faults are told in a moment, together with what else changes by then."""
        if at_once:
            self._tell()
        elif self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_S, self._tell)

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._told = time.monotonic()
        self._name_bad_tags()
        now = self.intake.now
        self._buffer.tell(
            SourceChanged(
                path=self._path,
                time_ns=time.time_ns(),
                state=now.state,
                cause=now.cause,
                last_contact_ns=now.last_contact_ns,
                next_try_ns=now.next_try_ns,
                address=now.address,
                security=now.security,
                tags=now.tags,
                faults=tuple(now.faults.values()),
            )
        )

    def _name_bad_tags(self) -> None:
        """Say in the log which tags turned bad and which came back, each once."""
        bad, named = self.intake.bad, self._named
        turned = [fault for tag, fault in bad.items() if tag not in named or named[tag].why != fault.why]
        back = [fault for tag, fault in named.items() if tag not in bad]
        self._named = dict(bad)
        if turned:
            _log.warning("%s: cannot read %s", self._path, _listed([f"{fault.tag} ({fault.why})" for fault in turned]))
        if back:
            _log.info("%s: reads %s again", self._path, _listed([fault.tag for fault in back]))


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


class _Rested(Exception):
    """The source gave nothing for long and is begun anew, without a gap being told."""
