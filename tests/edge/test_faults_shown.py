"""Faults ordered at simulated controllers, and what Isthmus then shows of them: real servers, a real edge, a site."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from isthmus.edge.buffer import Buffer
from isthmus.edge.config import EdgeSection
from isthmus.edge.intake import tag_infos
from isthmus.edge.runner import Runner
from isthmus.model.query import Raw
from isthmus.model.records import Record
from isthmus.model.records.edge import SourceChanged
from isthmus.model.records.production import Counted, StateChanged
from isthmus.model.records.site import SamplesQuarantined
from isthmus.model.samples import ValueKind
from isthmus.model.states import State
from isthmus.model.time import NS_PER_S
from isthmus.plantfile import load, tags_of
from isthmus.run.wings import folds_of
from isthmus.sim.northgate import MACHINES, PATH
from isthmus.sim.northgate_file import Addresses, Place, plant_text
from isthmus.sim.processes import Controller, SimulatedPlant
from isthmus.sim.world import Work
from isthmus.wire import frame as frames
from spine import Spine

NAMES = ("cnc-01", "press-1", "mill-04")
"""An OPC UA server, a Modbus server and an MTConnect agent."""
HERE = "127.0.0.1:1"
TEN_MINUTES = 600 * NS_PER_S


class Floor:
    """Three simulated machines, the edge that reads them, and a site that takes what it reads."""

    def __init__(self, folder: Path) -> None:
        self.specs = {one.name: msgspec.structs.replace(one, analogue_s=0.2) for one in MACHINES if one.name in NAMES}
        ports = {name: free_port() for name in self.specs}
        places = {one.name: Place(port=ports.get(one.name, 1)) for one in MACHINES}
        addresses = Addresses(folder=str(folder), edge_dials=HERE, site=HERE, web=HERE, status=HERE, erp="")
        (folder / "plant.toml").write_text(plant_text(places, addresses))
        file = load(folder / "plant.toml")
        sources = [
            msgspec.structs.replace(
                source,
                timeout_s=0.5,
                # The historian of this test keeps single values alone.
                tags=tuple(tag for tag in tags_of(source) if tag.kind is not ValueKind.WAVEFORM),
                **({"heartbeat_s": 0.3} if source.name == "mill-04" else {}),
            )
            for source in file.sources
            if source.name in NAMES
        ]
        machines = {path: one for path, one in file.plant.machines.items() if path.rpartition("/")[2] in NAMES}
        plant = msgspec.structs.replace(file.plant, machines=machines)
        folds = {path: folds_of(plant, machine) for path, machine in machines.items()}
        self.spine = Spine(folder / "site", time.time_ns(), plant=plant, folds=folds)
        self.buffer = Buffer(folder / "buffer", PATH, tag_infos(sources), most_bytes=2**27, most_days=1)
        self.edge = Runner(sources, EdgeSection(retry_s=0.1, retry_most_s=0.3), PATH, self.buffer)
        controllers = [
            Controller(machine=one, server=one.protocol, port=ports[name]) for name, one in self.specs.items()
        ]
        self.plant = SimulatedPlant(controllers, seed=3, folder=folder)
        self._loop = asyncio.new_event_loop()
        self._up, self._end = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._live(),), daemon=True)
        self._thread.start()
        assert self._up.wait(60)

    def order(self, act: Callable[[SimulatedPlant], None]) -> int:
        """Order a fault on the plant's own thread; the moment before it, ns."""
        before, done = time.time_ns(), threading.Event()

        def do() -> None:
            act(self.plant)
            done.set()

        self._loop.call_soon_threadsafe(do)
        assert done.wait(5)
        return before

    def until(self, holds: Callable[[], Any], within_s: float = 12.0) -> Any:  # noqa: ANN401  any truth
        """Hand on to the site what the edge has read, and fold it, until something holds."""
        end = time.monotonic() + within_s
        while True:
            self.pump()
            if found := holds():
                return found
            assert time.monotonic() < end, [(now.name, now.state, now.cause) for now in self.edge.now]
            time.sleep(0.05)

    def pump(self) -> None:
        self.buffer.flush()
        run = [frame for lane in self.buffer.lanes for _, frame in lane.log.read(0)]
        self.spine.now_ns = time.time_ns()
        self.spine.ingest.take("edge-1", b"".join(frames.pack(frame) for frame in run))
        self.spine.runner.turn()

    def state(self, name: str) -> str:
        return next(now.state for now in self.edge.now if now.name == name)

    def told(self, kind: type[Record], name: str, since_ns: int) -> list[Any]:
        """Facts about a source or a machine from a moment on."""
        found = [record for _, record in self.spine.site.log.read(0) if isinstance(record, kind) and not record.gone]
        return [one for one in found if one.path.endswith(f"/{name}") and one.time_ns >= since_ns]

    def rows(self, tag: str, start_ns: int, end_ns: int = 1 << 62) -> list[tuple[int, int, Any]]:
        """(time, status, value) of the samples of a tag."""
        number = self.spine.tags.find(tag)
        table = self.spine.historian.query(Raw(), [number], start_ns, end_ns).to_pylist() if number else []
        return [
            (row["time_ns"], row["status"], next((row[k] for k in ("f64", "i64", "str") if row[k] is not None), None))
            for row in table
        ]

    def newest_ns(self, name: str) -> int:
        """Source time of the newest sample of a machine: what the pages count the age of its data from."""
        lasts = self.spine.site.namespace
        return max(last.time_ns for tag in lasts.tags() if tag.startswith(f"{name}/") and (last := lasts.last(tag)))

    def counts_every_piece(self, name: str) -> None:
        """What the machine has really made by now is counted in the end, each piece once."""
        machine = self.plant.world.machines[name]
        made = machine.good + machine.scrap
        self.until(lambda: sum(self.counted(name).values()) >= made, 20)
        counted = self.counted(name)
        last_ns = max((time_ns for time_ns, _ in counted), default=0)
        told = [self.rows(f"{name}/{tag}", 0, last_ns + 1) for tag in ("parts-good", "parts-scrap")]
        numbers = [max((row[2] for row in rows if row[2] is not None), default=0) for rows in told]
        assert sum(counted.values()) == sum(numbers)

    def counted(self, name: str) -> dict[tuple[int, int], float]:
        found = self.told(Counted, name, 0)
        return {(record.time_ns, record.ordinal): record.good + record.scrap for record in found}

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(20)
        self._loop.close()
        self.buffer.close()
        self.spine.close()

    async def _live(self) -> None:
        async with self.plant:
            await self.plant.listening()
            task = asyncio.create_task(self.edge.run())
            while any(now.state != "up" for now in self.edge.now):  # noqa: ASYNC110  the edge has no such event
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            for name in NAMES:
                self.plant.world.machines[name].load(Work(order="7", product="P", quantity=10**6, cycle_s=0.5))
            self._up.set()
            await self._end.wait()
            task.cancel()
            await asyncio.wait([task])


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    one = Floor(tmp_path_factory.mktemp("floor"))
    yield one
    one.close()


@pytest.mark.parametrize("name", NAMES)
def test_dropped_connections_are_told_with_a_cause_and_read_again_at_once(floor: Floor, name: str) -> None:
    floor.until(lambda: floor.state(name) == "up")
    began = floor.order(lambda plant: plant.drop(name))
    away = floor.until(lambda: [one for one in floor.told(SourceChanged, name, began) if one.state == "away"], 6)
    assert away[0].cause
    floor.until(lambda: [one for one in floor.told(SourceChanged, name, away[0].time_ns) if one.state == "up"], 6)
    floor.until(lambda: floor.newest_ns(name) > began + NS_PER_S)
    floor.counts_every_piece(name)


@pytest.mark.long
@pytest.mark.parametrize("name", ["cnc-01", "mill-04"])
def test_a_muted_controller_stays_up_its_data_grows_old_and_no_piece_is_lost(floor: Floor, name: str) -> None:
    floor.until(lambda: floor.state(name) == "up")
    began = floor.order(lambda plant: plant.mute(name))
    time.sleep(0.5)
    muted_ns = time.time_ns()
    time.sleep(2.5)
    floor.pump()
    assert floor.state(name) == "up", "it answers, so it is not away"
    assert floor.newest_ns(name) < muted_ns, "the page tells the age of its data"
    assert not [one for one in floor.told(SourceChanged, name, began) if one.state == "away"]
    floor.order(lambda plant: plant.unmute(name))
    floor.until(lambda: floor.newest_ns(name) > muted_ns)
    floor.counts_every_piece(name)


@pytest.mark.long
def test_a_frozen_controller_is_away_with_a_cause_and_its_machine_unknown_until_it_thaws(floor: Floor) -> None:
    floor.until(lambda: floor.state("press-1") == "up")
    began = floor.order(lambda plant: plant.freeze("press-1"))
    floor.until(lambda: floor.state("press-1") == "away")
    unknown = floor.until(
        lambda: [s for s in floor.told(StateChanged, "press-1", began) if s.state is State.UNKNOWN], 20
    )
    assert next(now.cause for now in floor.edge.now if now.name == "press-1")
    floor.order(lambda plant: plant.thaw("press-1"))
    floor.until(lambda: floor.state("press-1") == "up")
    floor.until(lambda: floor.told(StateChanged, "press-1", unknown[0].time_ns + 1), 20)
    floor.counts_every_piece("press-1")


@pytest.mark.long
def test_a_controller_back_with_other_node_ids_delivers_its_second_life(floor: Floor) -> None:
    floor.until(lambda: floor.state("cnc-01") == "up")
    floor.order(lambda plant: plant.kill("cnc-01"))
    floor.until(lambda: floor.state("cnc-01") == "away")
    began = floor.order(lambda plant: plant.start("cnc-01", shuffle=3))
    floor.until(lambda: floor.state("cnc-01") == "up", 30)
    floor.until(lambda: floor.newest_ns("cnc-01") > began)
    floor.counts_every_piece("cnc-01")
    assert not next(now.faults for now in floor.edge.now if now.name == "cnc-01")


def test_a_lying_signal_is_shown_as_it_is_told_and_the_truth_again_once_it_is_mended(floor: Floor) -> None:
    floor.until(lambda: floor.state("mill-04") == "up")
    began = floor.order(lambda plant: plant.lie("mill-04", "temperature", 95.0))
    told = floor.until(lambda: [row for row in floor.rows("mill-04/temperature", began) if row[2] == 95.0])
    assert told[0][1] == 0, "nobody can know: its status is Good"
    assert floor.plant.world.machines["mill-04"].values["temperature"] != 95.0
    mended = floor.order(lambda plant: plant.tell_truth("mill-04", "temperature"))
    floor.until(lambda: [row for row in floor.rows("mill-04/temperature", mended) if row[2] != 95.0])


@pytest.mark.long
def test_a_drifting_signal_moves_away_from_the_truth_with_time(floor: Floor) -> None:
    floor.until(lambda: floor.state("cnc-01") == "up")
    began = floor.order(lambda plant: plant.drift("cnc-01", "temperature", 36_000.0))
    rows = floor.until(
        lambda: [row for row in floor.rows("cnc-01/temperature", began + NS_PER_S) if row[2] is not None][5:]
    )
    truth = floor.plant.world.machines["cnc-01"].values["temperature"]
    assert isinstance(truth, float)
    time_ns, _, value = rows[-1]
    assert value - truth == pytest.approx(10.0 * (time_ns - began) / NS_PER_S, rel=0.3)
    floor.order(lambda plant: plant.tell_truth("cnc-01", "temperature"))


def aside(floor: Floor, since_ns: int) -> list[SamplesQuarantined]:
    return floor.told(SamplesQuarantined, "cnc-01", since_ns)


@pytest.mark.long
def test_values_from_the_future_are_set_aside_by_name_and_right_ones_go_on(floor: Floor) -> None:
    floor.until(lambda: floor.state("cnc-01") == "up")
    began = floor.order(lambda plant: plant.faults.jump_clock("cnc-01", TEN_MINUTES))
    tags = floor.until(lambda: {tag for one in aside(floor, began) for tag in one.tags})
    assert {tag.partition("/")[0] for tag in tags} == {"cnc-01"}
    assert {one.why for one in aside(floor, began)} == {"their time lies in the future; set the device's clock"}
    right = floor.order(lambda plant: plant.faults.set_clock_right("cnc-01"))
    floor.until(lambda: floor.newest_ns("cnc-01") > right)
    assert floor.rows("cnc-01/temperature", time.time_ns() + 60 * NS_PER_S) == []
    floor.counts_every_piece("cnc-01")


@pytest.mark.long
def test_a_clock_that_is_behind_makes_late_data_and_old_data_on_the_page(floor: Floor) -> None:
    floor.until(lambda: floor.state("mill-04") == "up")
    began = floor.order(lambda plant: plant.faults.jump_clock("mill-04", -TEN_MINUTES))
    floor.until(lambda: len(floor.rows("mill-04/temperature", began - TEN_MINUTES, began - TEN_MINUTES // 2)) > 5)
    assert floor.newest_ns("mill-04") < began + NS_PER_S, "what is older than the newest is never shown as now"
    assert floor.state("mill-04") == "up"
    right = floor.order(lambda plant: plant.faults.set_clock_right("mill-04"))
    floor.until(lambda: floor.newest_ns("mill-04") > right)
