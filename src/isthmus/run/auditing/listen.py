"""A listening: the kernel's ring into the ear, the ear's facts into the audit's folder, minute by minute.

This process does nothing but take packets and hear them. Logging and judging is done in a second one,
so that the ring is emptied meanwhile, and the folder is open only as long as that takes. What the
folder does not have yet is held here; it is given again until it has it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from isthmus.assets.decode.capture import MARGIN, Window
from isthmus.assets.decode.ear import Ear
from isthmus.assets.decode.heard import Heard
from isthmus.assets.heard import facts_of
from isthmus.assets.ledger import Fact, Ledger
from isthmus.edge.keeping import Keeper
from isthmus.edge.listen import Caught, Tap, interfaces, may_send
from isthmus.model.equipment import beside
from isthmus.model.errors import DeviceAway, IsthmusError
from isthmus.model.inventory import digest
from isthmus.model.records import Record, decode, encode
from isthmus.model.records.assets import SourceRead
from isthmus.model.time import NS_PER_S
from isthmus.run.auditing import plant as audit_plant
from isthmus.run.auditing.cards import card_makers
from isthmus.run.auditing.store import AuditStore
from isthmus.run.auditing.words import Progress, moment

_WAIT_S: Final = 0.2
_FIRST_S, _EVERY_S = 5.0, 60.0
_SHARE: Final = 20
"""Merging takes at most one part in so many of the time."""
_AGAIN_S: Final = 2.0
_CROWDED: Final = 50_000
"""Directions of conversations above which silent ones are forgotten, so that new ones always find room."""
_SILENT_S, _SOON_S = 300, 20
_MB: Final = 1 << 20
_GB: Final = 10**9


class Merged(NamedTuple):
    """What stood in the folder after a merge."""

    devices: int
    findings: int


def merge(folder: Path, payload: bytes) -> Merged:
    """Log these records and judge anew; in a process of its own. Raises UsageError while another command writes."""
    from isthmus.run.auditing.judge import judge  # noqa: PLC0415  in the other process alone

    with AuditStore(folder, make=False) as store:
        store.append(decode(payload))
        told = judge(store)
    return Merged(len(told.assets), sum(one.severity != "note" for one in told.findings))


class Listening:
    """What was heard since it began, and what of it stands in the folder."""

    def __init__(self, plant: str, interface: str, folder: Path, by: str) -> None:
        self.begun_ns = time.time_ns()
        self._plant, self._folder, self._by = plant, folder, by
        self._name = f"{interface} from {moment(self.begun_ns)}"
        self._source = digest("listening", interface, str(self.begun_ns))
        self._card = card_makers()
        self._ear, self._ledger = Ear(), Ledger()
        self._read: SourceRead | None = None
        self.packets = 0
        self.told: list[str] = []
        """What must be said of this listening beyond what the ear says."""
        self.cut_short = False
        """It ended before anybody asked."""

    def hear(self, caught: Caught) -> None:
        """Hear these packets."""
        self._ear.take(Window(*caught, first_frame=self.packets + 1))
        self.packets += len(caught.at)
        if self._ear.directions > _CROWDED:
            now = int(caught.time_ns[-1])
            self._forget(now - _SILENT_S * NS_PER_S)
            if self._ear.directions > _CROWDED:
                self._forget(now - _SOON_S * NS_PER_S)

    def _forget(self, before_ns: int) -> None:
        self._ledger.over(self._facts(self._ear.forget(before_ns)))

    def _facts(self, heard: Heard) -> list[Fact]:
        seen, flows = facts_of(self._plant, heard, self._source, self._card)
        return [*seen, *flows]

    def due(self, *, everything: bool = False) -> tuple[list[Fact], SourceRead]:
        """What the folder lacks."""
        heard = self._ear.heard([])
        told = [*heard.told, *self.told] if self.packets else self.told
        if self._ledger.lost:
            told.append(f"{self._ledger.lost} facts more than are kept")
        read = SourceRead(
            path=beside(self._plant, "audit-source", self._source),
            time_ns=self.begun_ns,
            revision=self._read.revision + 1 if self._read else 0,
            name=self._name,
            what="listening",
            by=self._by,
            said_ns=self.begun_ns,
            packets=self.packets,
            not_fitting=tuple(told),
        )
        return self._ledger.due(self._facts(heard), everything=everything), read

    def given(self, facts: Sequence[Fact], read: SourceRead) -> None:
        """The folder has these."""
        self._ledger.given(facts)
        self._read = read


class _Merging:
    """Gives the folder what it lacks, one merge at a time, in another process."""

    def __init__(self, folder: Path, listening: Listening) -> None:
        self._folder, self._listening = folder, listening
        # No fork: the ring and its lock on the interface stay here alone.
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_let_the_first_decide)
        self._going: tuple[Future[Merged], list[Fact], SourceRead, float] | None = None
        self._next_s = time.monotonic() + _FIRST_S
        self.state = Merged(0, 0)
        self.trouble = ""
        """Why the last merge could not be done; "" when it was."""

    def step(self) -> bool:
        """Begin or end a merge when it is time; True when one ended."""
        now = time.monotonic()
        if self._going is None:
            if now >= self._next_s:
                self._begin(everything=False)
            return False
        if not self._going[0].done():
            return False
        self._end()
        return True

    def finish(self, asked_again: Callable[[], bool]) -> bool:
        """Merge all that there is; waits for another command, unless stopped again. False when it was not merged."""
        if self._going is not None:
            self._going[0].exception()
            self._end()
        while True:
            self._begin(everything=True)
            if self._going is not None:
                self._going[0].exception()
            self._end()
            if not self.trouble:
                return True
            print(f"{self.trouble}\n    Trying again; stop once more to give up what was not merged.", file=sys.stderr)
            until = time.monotonic() + _AGAIN_S
            while time.monotonic() < until:
                if asked_again():
                    return False
                time.sleep(_WAIT_S)

    def close(self) -> None:
        """Let the other process go."""
        self._pool.shutdown()

    def _begin(self, *, everything: bool) -> None:
        facts, read = self._listening.due(everything=everything)
        records: list[Record] = [*facts, read]
        self._going = self._pool.submit(merge, self._folder, encode(records)), facts, read, time.monotonic()

    def _end(self) -> None:
        if self._going is None:
            return
        future, facts, read, begun_s = self._going
        self._going = None
        took_s = time.monotonic() - begun_s
        self._next_s = time.monotonic() + max(_EVERY_S, took_s * _SHARE)
        try:
            self.state, self.trouble = future.result(), ""
        except (IsthmusError, OSError) as error:
            self.trouble = str(error)
            self._next_s = time.monotonic() + _AGAIN_S
        else:
            self._listening.given(facts, read)


def _let_the_first_decide() -> None:
    """Ctrl-C reaches both processes; the first one says when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class _Stop:
    """How often somebody asked to stop, by Ctrl-C or as systemd does."""

    def __init__(self) -> None:
        self.asked = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked += 1


def listen(args: argparse.Namespace) -> int:
    """Listen until told to stop. Raises UsageError for an interface that cannot be listened to."""
    with Tap(args.interface, margin=MARGIN, ring_mb=args.ring) as tap:
        with AuditStore(args.folder) as store:
            audit_plant.declare(store, args)
            plant = store.settings.path
        stop = _Stop()
        listening = Listening(plant, args.interface, args.folder, args.by)
        keeper = Keeper(args.keep, args.interface, most_bytes=int(args.keep_gb * _GB)) if args.keep else None
        merging = _Merging(args.folder, listening)
        print(f"listening on {args.interface}; nothing is sent. Stop with Ctrl-C.", flush=True)
        if why := may_send(args.interface):
            print(why, file=sys.stderr, flush=True)
        try:
            octets = _go_on(tap, listening, merging, keeper, lambda: stop.asked > 0, args.seconds)
            missed = tap.missed()
            if missed:
                listening.told.append(f"{missed} packets were missed; give a larger --ring or mirror less")
            done = merging.finish(lambda: stop.asked > 1)
        finally:
            merging.close()
    print(
        f"{listening.packets:,} packets, {octets / _MB:,.1f} MB, {missed:,} missed; "
        f"{merging.state.devices:,} assets, {merging.state.findings:,} findings"
    )
    for line in listening.told:
        print(f"    {line}")
    return int(not done or listening.cut_short)


def _go_on(  # noqa: PLR0913, PLR0917  the parts of a listening
    tap: Tap,
    listening: Listening,
    merging: _Merging,
    keeper: Keeper | None,
    stopped: Callable[[], bool],
    seconds: float | None,
) -> int:
    """Hear until stopped or the time is over; gives the bytes that were on the wire."""
    until = time.monotonic() + seconds if seconds else float("inf")
    progress, octets, last = Progress(tap.interface), 0, (time.monotonic(), 0)
    line, before = "", merging.state
    while not stopped() and (left := until - time.monotonic()) > 0:
        try:
            caught = tap.take(min(_WAIT_S, left))
        except DeviceAway as error:
            listening.told.append(f"{moment(time.time_ns())} {error}")
            print(error, file=sys.stderr)
            if tap.interface not in interfaces():
                listening.told.append(f"{tap.interface} is gone, so the listening ended")
                listening.cut_short = True
                break
            time.sleep(_WAIT_S)
            continue
        if caught is not None:
            octets += int(caught.length.sum())
            keeper = _kept(keeper, caught, listening)
            listening.hear(caught)
        if merging.step() and merging.state != before:
            before = merging.state
            if not sys.stderr.isatty():
                print(f"{moment(time.time_ns())} {_said(listening, merging, tap)}", flush=True)
        now = time.monotonic()
        if now - last[0] > 1:
            rate = (octets - last[1]) * 8 / 1e6 / (now - last[0])
            line, last = f"{_said(listening, merging, tap)}, {rate:,.1f} Mbit/s", (now, octets)
        progress(line)
    # What stood in the ring when it was stopped is heard as well; on a busy network that has to end.
    end = time.monotonic() + 1
    while time.monotonic() < end and (caught := tap.take(0)) is not None:
        octets += int(caught.length.sum())
        keeper = _kept(keeper, caught, listening)
        listening.hear(caught)
    progress.end()
    return octets


def _said(listening: Listening, merging: _Merging, tap: Tap) -> str:
    waits = f"; waits: {merging.trouble}" if merging.trouble else ""
    return f"{listening.packets:,} packets, {tap.missed():,} missed, {merging.state.devices:,} devices{waits}"


def _kept(keeper: Keeper | None, caught: Caught, listening: Listening) -> Keeper | None:
    """Keep the packets; when the disk is full that is told and listening goes on without."""
    if keeper is None:
        return None
    try:
        keeper.keep(caught, listening.packets + 1)
    except OSError as error:
        said = f"packets from {listening.packets + 1:,} on are not kept: {error}"
        listening.told.append(said)
        print(said, file=sys.stderr)
        return None
    return keeper
