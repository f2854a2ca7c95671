"""The runner keeps sources running: gaps are told as gaps, causes in words, and nobody pays for another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from isthmus.edge import runner as running
from isthmus.edge.buffer import Buffer
from isthmus.edge.config import EdgeSection
from isthmus.edge.intake import tag_infos
from isthmus.edge.runner import Runner
from isthmus.edge.source import Identity, Limits, Sink, SourceSection, Tag, TagFound
from isthmus.model import status as st
from isthmus.model.errors import DeviceAway, DeviceRefuses
from isthmus.model.records.edge import DeviceIdentified, SourceChanged
from isthmus.model.samples import ValueKind, columns
from isthmus.wire import frame as frames
from isthmus.wire.frame import FrameKind

PLANT = "acme/northgate"
Row = tuple[str, int, int, Any]


class Device:
    """What stands behind a scripted source: `how` it behaves now, and what was done to it."""

    def __init__(self) -> None:
        self.how = "well"
        self.connections = self.most_connections = self.tries = self.value = 0
        self.firmware, self.asked, self.busy = "1.0", 0, 0
        """What it says of itself, how often it was asked, and how many questions it leaves without an answer."""
        self.hangs_up = self.hung_up = False
        """Whether it closes the connection when it is asked who it is, and has just done so."""


class Scripted(SourceSection, frozen=True, kw_only=True, tag="scripted"):
    """Behaves as its device says at the moment."""

    devices: ClassVar[dict[str, Device]] = {}
    tags: tuple[Tag, ...] = (Tag(name="count", kind=ValueKind.I64), Tag(name="heat"), Tag(name="cool"))

    async def identify(self) -> Identity:
        device = self.devices[self.name]
        device.asked += 1
        device.hung_up = device.hangs_up
        if device.hangs_up or device.asked <= device.busy or device.how != "well":
            msg = "no answer"
            raise DeviceAway(msg)
        said = Identity(address="x:1", protocol="scripted", maker="Acme", serial="42", firmware=device.firmware)
        if device.connections:
            return said
        async with self._connected(device):
            return said

    async def browse(self, pattern: str) -> AsyncIterator[TagFound]:
        if pattern:
            raise DeviceAway(pattern)
        yield TagFound(path="count", address={}, kind=ValueKind.I64)

    def plan(self, tags: Sequence[Tag], limits: Limits) -> int:
        del limits
        return len(tags)

    async def run(self, plan: int, sink: Sink) -> None:
        del plan
        device = self.devices[self.name]
        device.tries += 1
        async with self._connected(device):
            while True:
                await self._step(device, sink)
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def _connected(self, device: Device) -> AsyncIterator[None]:
        device.connections += 1
        device.most_connections = max(device.most_connections, device.connections)
        try:
            yield
        finally:
            device.connections -= 1

    async def _step(self, device: Device, sink: Sink) -> None:
        if device.hung_up:
            device.hung_up, msg = False, "it closed the connection"
            raise DeviceAway(msg)
        if device.how == "away":
            msg = "nothing answers at x:1; is it on?"
            raise DeviceAway(msg)
        if device.how == "refuses":
            msg = "the password is wrong"
            raise DeviceRefuses(msg)
        if device.how == "buggy":
            msg = "oh"
            raise ZeroDivisionError(msg)
        if device.how == "mute":
            await asyncio.Event().wait()
        sink.up(address="x:1", security="none")
        if device.how == "one bad tag":
            sink.fault(2, st.BAD_NODE_ID_UNKNOWN, "the device has no such address")
        else:
            sink.fault(2, st.GOOD, "")
        device.value += 1
        now = time.time_ns()
        sink.emit(columns(ValueKind.I64, [0], [now], [0], [device.value]))


class Bench:
    """A runner over scripted devices, and what it put into its buffer."""

    def __init__(self, folder: Path, names: Sequence[str], edge: EdgeSection) -> None:
        self.devices = {name: Device() for name in names}
        Scripted.devices.update(self.devices)
        self.sources = [Scripted(name=name) for name in names]
        self.buffer = Buffer(folder, PLANT, tag_infos(self.sources), most_bytes=2**27, most_days=1)
        self.runner = Runner(self.sources, edge, PLANT, self.buffer)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.runner.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def read(self) -> tuple[list[Row], list[Any]]:
        self.buffer.flush()
        rows: list[Row] = []
        records: list[Any] = []
        names = {frames.source_id(source.name): source for source in self.sources}
        for lane in self.buffer.lanes:
            for _, frame in lane.log.read(0):
                if frame.kind is FrameKind.RECORDS:
                    records += frames.records(frame)
                elif frame.kind is FrameKind.SAMPLES:
                    source = names[frame.source]
                    for row in frames.samples(frame).to_pylist():
                        tag = f"{source.name}/{source.tags[row['tag']].name}"
                        rows.append((tag, row["time_ns"], row["status"], row["value"]))
        return rows, records

    def state(self, name: str) -> str:
        return next(now.state for now in self.runner.now if now.name == name)


Make = Callable[..., Bench]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Make]:
    made = []

    def make(*names: str, retry_s: float = 0.05, retry_most_s: float = 0.2) -> Bench:
        made.append(Bench(tmp_path, names, EdgeSection(retry_s=retry_s, retry_most_s=retry_most_s)))
        return made[-1]

    yield make
    for one in made:
        one.buffer.close()


async def tried(device: Device, times: int) -> None:
    upto = device.tries + times
    await until(lambda: device.tries >= upto)


async def read(device: Device, values: int) -> None:
    upto = device.value + values
    await until(lambda: device.value >= upto)


def go(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 40))


async def until(what: Callable[[], object], most_s: float = 8.0) -> None:
    deadline = time.monotonic() + most_s
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.01)


def test_a_device_that_goes_away_marks_all_its_tags_once_and_comes_back_by_itself(bench: Make) -> None:
    made = bench("press")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            await until(lambda: device.value > 5)
            device.how = "away"
            await until(lambda: made.state("press") == "away" and device.tries > 4)
            before = device.value
            device.how = "well"
            await until(lambda: device.value > before + 5)

    go(story())
    rows, records = made.read()
    lost = [row for row in rows if row[2] == st.BAD_NO_COMMUNICATION]
    assert sorted(row[0] for row in lost) == ["press/cool", "press/count", "press/heat"]
    assert len({row[1] for row in lost}) == 1
    at = lost[0][1]
    values = [row for row in rows if row[3] is not None]
    assert [row[3] for row in values] == list(range(1, len(values) + 1))
    before = [row for row in values if row[1] < at]
    assert before
    assert len(before) < len(values)
    away = next(record for record in records if isinstance(record, SourceChanged) and record.state == "away")
    assert away.cause == "nothing answers at x:1; is it on?"
    assert away.last_contact_ns is not None
    assert away.next_try_ns is not None
    assert away.last_contact_ns <= away.time_ns < away.next_try_ns
    states = [record.state for record in records if isinstance(record, SourceChanged)]
    assert states[0] == "up"
    assert "up" in states[states.index("away") :]
    assert states[-1] == "stopped"


def test_a_device_gone_for_long_delivers_again_within_three_seconds(bench: Make) -> None:
    made = bench("press", retry_s=0.5, retry_most_s=2.0)

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            device.how = "away"
            await asyncio.sleep(6.0)
            assert device.tries < 12
            before, device.how = device.value, "well"
            await until(lambda: device.value > before, 3.0)

    go(story())


def test_one_broken_device_costs_its_own_tags_and_nothing_else(bench: Make) -> None:
    made = bench("well", "dead", "mad", "shut")

    async def story() -> None:
        async with made:
            made.devices["dead"].how = "away"
            made.devices["mad"].how = "buggy"
            made.devices["shut"].how = "refuses"
            await until(lambda: made.devices["well"].value > 50)
            assert (made.state("dead"), made.state("mad"), made.state("shut")) == ("away", "away", "refused")
            assert made.devices["shut"].tries == 1
            assert made.devices["dead"].tries > 1

    go(story())
    rows, records = made.read()
    assert {row[0].partition("/")[0] for row in rows if row[2] == st.BAD_NO_COMMUNICATION} == {"dead", "mad", "shut"}
    causes = {record.path: record.cause for record in records if isinstance(record, SourceChanged) and record.cause}
    assert causes[f"{PLANT}#source/shut"] in {"the password is wrong", "the edge was stopped"}
    assert any("ZeroDivisionError" in getattr(record, "cause", "") for record in records)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.edge.identity.SETTLE_S", 0.02)
    monkeypatch.setattr("isthmus.edge.identity.FIRST_WAIT_S", 0.02)


async def reconnect(made: Bench, device: Device, name: str) -> None:
    device.how = "away"
    await until(lambda: made.state(name) == "away")
    device.how, asked = "well", device.asked
    await until(lambda: device.asked > asked)


@pytest.mark.usefixtures("at_once")
def test_a_device_is_asked_who_it_is_after_each_connecting_and_never_by_a_second_connection(bench: Make) -> None:
    made = bench("press")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            await until(lambda: device.asked)
            for _ in range(3):
                await reconnect(made, device, "press")
            device.firmware = "1.1"
            await reconnect(made, device, "press")
            await asyncio.sleep(0.1)
            assert device.asked == 5
            assert device.most_connections == 1

    go(story())
    _, records = made.read()
    said = [record for record in records if isinstance(record, DeviceIdentified)]
    assert [(one.maker, one.serial, one.firmware) for one in said] == [("Acme", "42", "1.0"), ("Acme", "42", "1.1")]
    assert made.devices["press"].connections == 0


@pytest.mark.usefixtures("at_once")
def test_a_device_that_is_too_busy_to_say_who_it_is_is_asked_again_and_its_values_do_not_wait(bench: Make) -> None:
    made = bench("press")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            device.busy = 3
            await until(lambda: device.asked == 2)
            assert device.value > 0
            await until(lambda: device.asked == 4)
            await asyncio.sleep(0.3)
            assert device.asked == 4

    go(story())
    _, records = made.read()
    (said,) = [record for record in records if isinstance(record, DeviceIdentified)]
    assert said.serial == "42"


def test_a_device_that_hangs_up_when_asked_who_it_is_is_soon_left_alone_and_read_on(bench: Make) -> None:
    made = bench("press")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            device.hangs_up = True
            await until(lambda: device.asked == 2 and not device.hung_up)
            read = device.value
            await until(lambda: device.value > read + 100)
            assert (device.asked, device.tries) == (2, 3)

    go(story())


def test_a_bad_tag_is_named_and_hides_no_other(bench: Make) -> None:
    made = bench("press")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            device.how = "one bad tag"
            await until(lambda: device.value > 30)
            device.how = "well"
            await until(lambda: device.value > 60)
            await asyncio.sleep(0.3)

    go(story())
    rows, records = made.read()
    bad = [row for row in rows if row[2] == st.BAD_NODE_ID_UNKNOWN]
    assert [row[0] for row in bad] == ["press/cool"], "told once, not with every cycle"
    changes = [record for record in records if isinstance(record, SourceChanged) and record.state == "up"]
    assert any(fault.tag == "cool" and fault.why for record in changes for fault in record.faults)
    assert changes[-1].faults == ()
    assert len(changes) <= 3


def test_the_log_names_a_bad_tag_once_and_its_return_once_and_an_orderly_stop_in_one_line(
    bench: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = bench("press", "saw")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            device.how = "one bad tag"
            await until(lambda: device.value > 30)
            for _ in range(2):  # the connection is lost twice and the tag is as bad as before
                device.how = "away"
                await tried(device, 2)
                device.how = "one bad tag"
                await read(device, 30)
            await asyncio.sleep(0.3)
            device.how = "well"
            await read(device, 30)
            await asyncio.sleep(0.3)

    go(story())
    said = [record.getMessage() for record in caplog.records]
    path = f"{PLANT}#source/press"
    assert [line for line in said if "cool" in line] == [
        f"{path}: cannot read cool (the device has no such address)",
        f"{path}: reads cool again",
    ]
    stops = [record for record in caplog.records if "stopped" in record.getMessage()]
    assert [(stop.levelname, stop.getMessage()) for stop in stops] == [
        ("INFO", "the edge was stopped: 2 sources let go of their devices")
    ]


def test_a_device_that_takes_the_connection_and_says_nothing_is_away(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "FIRST_ANSWER_S", 0.3)
    made = bench("press")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            device.how = "mute"
            await until(lambda: made.state("press") == "away")
            assert "gave nothing" in made.runner.now[0].cause
            device.how = "well"
            await until(lambda: device.value > 3)
            assert device.most_connections == 1

    go(story())


def test_a_source_silent_for_long_is_begun_anew_without_a_gap_being_told(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SILENT_S", 0.3)
    monkeypatch.setattr(running, "LOOK_S", 0.1)
    made = bench("press")

    async def story() -> None:
        async with made:
            device = made.devices["press"]
            await until(lambda: device.value > 3)
            device.how = "mute"
            await until(lambda: device.connections == 1)
            tries = device.tries
            await until(lambda: device.tries > tries)
            device.how = "well"

    go(story())
    rows, _ = made.read()
    values = [row[2] for row in rows]
    assert st.BAD_NO_COMMUNICATION not in values[: values.index(st.BAD_NOT_CONNECTED)]


def test_an_edge_that_died_tells_at_its_next_start_since_when_nobody_looked(tmp_path: Path, bench: Make) -> None:
    (tmp_path / "alive").write_text("1795340000000000000")
    made = bench("press")

    async def story() -> None:
        async with made:
            await until(lambda: made.devices["press"].value > 3)

    go(story())
    rows, _ = made.read()
    assert {row[:3] for row in rows if row[1] == 1795340000000000000} == {
        (f"press/{tag}", 1795340000000000000, st.BAD_NO_COMMUNICATION) for tag in ("count", "heat", "cool")
    }
