"""A plant of eight machines on two lines, its shift told in records and samples, on a real Site on disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

import httpx
from litestar import Litestar
from litestar.testing import TestClient

from isthmus.model import status as st
from isthmus.model.calendar import Calendar, Shift, shift_at
from isthmus.model.plant import Counter, IdealCycle, KpiPolicy, Machine, Plant, Product, Reason, StateRules
from isthmus.model.records import Record
from isthmus.model.records.business import ErpChanged, ErpItem, JobOrdered, Step
from isthmus.model.records.edge import DeviceIdentified, LinkChanged, SourceChanged, TagFault
from isthmus.model.records.production import (
    Counted,
    Elements,
    Indicator,
    RunEnded,
    RunStarted,
    StateChanged,
    StopExplained,
)
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.states import State
from isthmus.model.time import NS_PER_MINUTE, NS_PER_S, to_datetime
from isthmus.site.historian.store import Store
from isthmus.site.namespace import Last
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.site import Site
from isthmus.web.accounts import Accounts, Cost, Person
from isthmus.web.app import make_app
from isthmus.web.config import WebSection
from isthmus.web.roles import ROLES

PATH = "acme/northgate"
PASSWORD = "three words do well"  # noqa: S105  of a plant that exists for a test
NAMES = ("CNC-01", "CNC-02", "CNC-03", "Mill-04", "Press-1", "Press-2", "Paint", "Pack")
_LINE = {name: "line-a" if index < 4 else "line-b" for index, name in enumerate(NAMES)}
_CYCLE_S = 30.0


def below(name: str) -> str:
    return f"machining/{_LINE[name]}/{name.lower()}"


def path(name: str) -> str:
    return f"{PATH}/{below(name)}"


def source_of(name: str) -> str:
    return name.lower()


def plant(now_ns: int) -> Plant:
    """Three shifts of eight hours with a break each; `now_ns` lies well within one, whatever the time of day."""
    hour = to_datetime(now_ns).astimezone(ZoneInfo("Europe/London")).hour
    first = 6 if 2 <= (hour - 6) % 8 < 7 else 2
    shifts = tuple(
        Shift(
            name=name,
            start=f"{begin % 24:02}:00",
            end=f"{(begin + 8) % 24:02}:00",
            days="Mon-Sun",
            breaks=(f"{(begin + 3) % 24:02}:00-{(begin + 3) % 24:02}:15",),
        )
        for name, begin in (("Early", first), ("Late", first + 8), ("Night", first + 16))
    )
    machines = {path(name): _machine(name) for name in NAMES}
    reasons = {
        code: Reason(code=code, name=text, planned=planned)
        for code, text, planned in (
            ("TOOL", "Tool change", False),
            ("JAM", "Jam cleared", False),
            ("MAT", "Waiting for material", False),
            ("QC", "Waiting for quality", False),
            ("ELEC", "Electrical fault", False),
            ("MAINT", "Planned maintenance", True),
        )
    }
    return Plant(
        name="Northgate Works",
        path=PATH,
        time_zone="Europe/London",
        currency="GBP",
        calendars={"three": Calendar(name="three", shifts=shifts)},
        machines=machines,
        products={
            "SHAFT": Product(code="SHAFT", name="Shaft 20", cycles=(IdealCycle(machine="*", seconds=_CYCLE_S),)),
            "FLANGE": Product(code="FLANGE", name="Flange", cycles=(IdealCycle(machine="*", seconds=_CYCLE_S),)),
        },
        reasons=reasons,
        kpi=KpiPolicy(name="Northgate 2026", version=3, micro_stop_s=20),
    )


def _machine(name: str) -> Machine:
    source = source_of(name)
    return Machine(
        path=path(name),
        name=name,
        calendar="three",
        state=StateRules(tags={"state": f"{source}/state"}),
        good=Counter(tag=f"{source}/good"),
        scrap=Counter(tag=f"{source}/scrap"),
        operation="turning",
        ideal_cycle_s=_CYCLE_S,
    )


class World(NamedTuple):
    """A site with its application and the moment at which its story stands."""

    site: Site
    app: Litestar
    now_ns: int
    shift_start_ns: int

    def samples(self, source: str, tag: str, times_ns: Sequence[int], values: Sequence[Any], seq: int) -> None:
        """Put samples of one numeric tag into history and show the newest."""
        number = self.site.tags.find(f"{source}/{tag}")
        assert number is not None
        kind = self.site.tags.info(number).kind
        batch = columns(kind, [number] * len(times_ns), times_ns, [st.GOOD] * len(times_ns), list(values))
        self.site.historian.append([Batch(number, 1, seq, times_ns[-1], batch)])
        self.site.namespace.put_samples({f"{source}/{tag}": Last(times_ns[-1], st.GOOD, values[-1])})


class Visitor:
    """Somebody with a browser that runs no script."""

    def __init__(self, client: TestClient[Litestar], role: str) -> None:
        self.client = client
        client.cookies.clear()
        form = {"name": role, "password": PASSWORD, "after": "/"}
        answer = client.post("/log-in", data=form, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        self.token = answer.cookies["isthmus"]

    def get(self, address: str) -> httpx.Response:
        self._be()
        return self.client.get(address, follow_redirects=False)

    def post(self, address: str, **fields: str) -> httpx.Response:
        """Send a form with the token that this session's pages carry."""
        self._be()
        session = self.client.app.state.house.accounts.session(self.token)
        assert session is not None
        return self.client.post(address, data={"form": session.form, **fields}, follow_redirects=False)

    def _be(self) -> None:
        self.client.cookies.clear()
        self.client.cookies.set("isthmus", self.token)


@contextmanager
def world(folder: Path, *, told: bool = True, database: PostgresDatabase | None = None) -> Iterator[World]:
    """The plant on disk in `folder`; without `told` nothing has ever been heard."""
    now = time.time_ns()
    described = plant(now)
    shift = shift_at(described.calendars["three"], described.zone, now)
    assert shift is not None
    store = Store(folder / "history", background=False)
    site = Site(described, folder / "site", store, store.tags, database=database)
    cheap = Accounts(database or folder / "web", time.time_ns, cost=Cost(n=16, r=1, p=1))
    for role in ROLES:
        cheap.add(Person(name=role, full_name=f"A {role}", role=role), PASSWORD)
    cheap.close()
    app = make_app(site, WebSection(data=folder / "web"))
    made = World(site, app, now, shift.start_ns)
    try:
        if told:
            _tell(made, store)
        yield made
    finally:
        app.state.house.accounts.close()
        site.close()
        store.close()


def _tell(made: World, store: Store) -> None:
    start, now = made.shift_start_ns, made.now_ns
    length = now - start
    records: list[Record] = []
    previews: dict[str, list[Record]] = {}
    stories = {
        "CNC-01": "r0-25 s25-34 r34-100",
        "CNC-02": "r0-15 i15-18 r18-48 d48-60 r60-94 u94-96 r96-100",
        "CNC-03": "r0-42 s42-55 r55-97 d97-100",
        "Mill-04": "r0-62 i62-67 r67-92 s92-100",
        "Press-1": "r0-35 b35-38 r38-100",
        "Press-2": "r0-50 i50-54 r54-98 u98-100",
        "Paint": "r0-100",
        "Pack": "r0-30 i30-40 r40-90 t90-100",
    }
    for name, story in stories.items():
        more, live = _machine_story(name, story, start, length)
        records += more
        previews[path(name)] = live
    records += _business(start, now)
    records += _edges(now)
    made.site.append(sorted(records, key=lambda record: record.time_ns))
    for machine, live in previews.items():
        made.site.namespace.put_previews(machine, ("Indicator", "RunEnded", "StopExplained"), live)
    _samples(made, store)


_STATES = {
    "r": State.RUN,
    "s": State.SETUP,
    "i": State.IDLE,
    "b": State.BLOCKED,
    "t": State.STARVED,
    "d": State.DOWN,
    "u": State.UNKNOWN,
}


def _machine_story(name: str, story: str, start: int, length: int) -> tuple[list[Record], list[Record]]:
    at = path(name)
    records: list[Record] = []
    live: list[Record] = []
    sums = dict.fromkeys(State, 0)
    order = f"10{45 + NAMES.index(name)}"
    product = "SHAFT" if NAMES.index(name) % 2 == 0 else "FLANGE"
    for part in story.split():
        first, last = (int(number) / 100 for number in part[1:].split("-"))
        begin, end = start + int(first * length), start + int(last * length)
        state = _STATES[part[0]]
        sums[state] += end - begin
        code = "F0457" if state is State.DOWN else ""
        records.append(StateChanged(path=at, time_ns=begin, state=state, native=state.lower(), stop_code=code))
        if state in (State.DOWN, State.IDLE, State.STARVED, State.BLOCKED):
            stop = StopExplained(
                path=at,
                time_ns=end,
                start_ns=begin,
                state=state,
                order=order,
                reason="TOOL" if name == "CNC-02" and state is State.DOWN else "",
                by="machine" if name == "CNC-02" and state is State.DOWN else "",
            )
            (live if last == 1 else records).append(stop)
        if state is State.RUN:
            pieces = int((end - begin) / NS_PER_S / _CYCLE_S * 0.9)
            ticks = max(1, (end - begin) // (10 * NS_PER_MINUTE))
            for tick in range(ticks):
                when = begin + (tick + 1) * (end - begin) // (ticks + 1)
                records.append(Counted(path=at, time_ns=when, good=pieces // ticks, scrap=1 if tick == 0 else 0))
    good = sum(record.good for record in records if isinstance(record, Counted))
    scrap = sum(record.scrap for record in records if isinstance(record, Counted))
    records.append(RunStarted(path=at, time_ns=start, order=order, product=product, operation="turning", sequence=10))
    live.append(
        RunEnded(
            path=at,
            time_ns=start + length,
            start_ns=start,
            order=order,
            product=product,
            operation="turning",
            sequence=10,
            good=good,
            scrap=scrap,
        )
    )
    live.append(_indicator(at, start, length, sums, (good, scrap)))
    return records, live


def _indicator(at: str, start: int, length: int, sums: dict[State, int], made: tuple[float, float]) -> Indicator:
    """The indicator of a window whose states are `sums`; its break is left out, as a story has none."""
    stopped = sum(sums[state] for state in (State.DOWN, State.IDLE, State.STARVED, State.BLOCKED))
    elements = Elements(
        apt_ns=sums[State.RUN], aust_ns=sums[State.SETUP], adet_ns=stopped, unobserved_ns=sums[State.UNKNOWN]
    )
    planned = sum(sums.values())
    good, scrap = made
    cycle = int(_CYCLE_S * NS_PER_S)
    ideal, good_ideal = int((good + scrap) * cycle), int(good * cycle)
    return Indicator(
        path=at,
        time_ns=start + length,
        start_ns=start,
        window="shift",
        name="",
        policy="Northgate 2026 · 3",
        elements=elements,
        pbt_ns=planned,
        good=good,
        scrap=scrap,
        rework=0,
        ideal_ns=ideal,
        good_ideal_ns=good_ideal,
        availability=sums[State.RUN] / planned if planned else None,
        effectiveness=ideal / sums[State.RUN] if sums[State.RUN] else None,
        quality=good / (good + scrap) if good + scrap else None,
        oee=good_ideal / planned if planned else None,
        coverage=1 - sums[State.UNKNOWN] / planned if planned else None,
    )


def _business(start: int, now: int) -> list[Record]:
    records: list[Record] = [ErpChanged(path=f"{PATH}#erp", time_ns=start, up=True)]
    for index, name in enumerate(NAMES):
        order = f"10{45 + index}"
        records.append(
            JobOrdered(
                path=f"{PATH}#order/{order}",
                time_ns=start - NS_PER_MINUTE,
                order=order,
                product="SHAFT" if index % 2 == 0 else "FLANGE",
                quantity=1200,
                state="running",
                due_ns=now + (index * 90 - 60) * NS_PER_MINUTE,
                steps=(Step(sequence=10, operation="turning", machine=path(name)),),
            )
        )
        records += [
            _report(order, "start", "confirmed", start + NS_PER_S, 0),
            _report(order, "quantity", "parked" if index == 1 else "confirmed", start + NS_PER_MINUTE, 1),
        ]
    return records


def _report(order: str, command: str, state: Literal["confirmed", "parked"], when: int, sequence: int) -> ErpItem:
    return ErpItem(
        path=f"{PATH}#erp/{order}-{command}",
        time_ns=when,
        order=order,
        command=command,
        body=f'{{"key": "{order}-{command}", "order": "{order}", "good": 40, "scrap": 1}}',
        state=state,
        attempts=1,
        message="The quantity can't be lowered from 42 to 40 once it is posted." if state == "parked" else "",
        receipt=f"production/{order}" if state == "confirmed" else "",
        sequence=sequence,
    )


def _edges(now: int) -> list[Record]:
    records: list[Record] = [LinkChanged(path=f"{PATH}#conduit/uplink", time_ns=now - 3600 * NS_PER_S, up=True)]
    for name in NAMES:
        away = name == "Press-2"
        source = f"{PATH}#source/{source_of(name)}"
        fault = TagFault("coolant", st.BAD_SENSOR_FAILURE, "the sensor says it is broken")
        records.append(
            SourceChanged(
                path=source,
                time_ns=now - 40 * NS_PER_S,
                state="away" if away else "up",
                cause="10.4.1.22 answers, but not on port 4840" if away else "",
                last_contact_ns=now - (40 if away else 0) * NS_PER_S,
                next_try_ns=now + 5 * NS_PER_S if away else None,
                address=f"opc.tcp://10.4.1.{20 + NAMES.index(name)}:4840",
                security="Basic256Sha256, signed and encrypted",
                tags=4,
                faults=(fault,) if name == "Mill-04" else (),
            )
        )
        records.append(
            DeviceIdentified(path=source, time_ns=now - 3600 * NS_PER_S, address="", protocol="opcua", maker="Acme")
        )
    return records


def _samples(made: World, store: Store) -> None:
    now = made.now_ns
    for index, name in enumerate(NAMES):
        source = source_of(name)
        tags = (
            ("state", ValueKind.I64, "", True),
            ("good", ValueKind.I64, "pcs", True),
            ("scrap", ValueKind.I64, "pcs", True),
            ("load", ValueKind.F64, "%", False),
        )
        for tag, kind, unit, step in tags:
            store.tags.intern(TagInfo(name=f"{source}/{tag}", kind=kind, unit=unit, step=step))
        times = [now - (120 - place) * 10 * NS_PER_S for place in range(120)]
        made.samples(source, "state", times, [3] * 120, 1)
        made.samples(source, "good", times, list(range(120)), 2)
        made.samples(source, "scrap", times, [1] * 120, 3)
        made.samples(source, "load", times, [40 + (place * 7 + index) % 23 for place in range(120)], 4)
