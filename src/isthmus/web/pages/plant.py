"""The plant page: every machine now, this shift, and what needs a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Response
from markupsafe import Markup

from isthmus.model.states import State
from isthmus.model.time import NS_PER_S
from isthmus.web import render, strip
from isthmus.web.accounts import Session
from isthmus.web.figures import attention, indicators, machines, orders, shifts, sources, states, stops
from isthmus.web.figures.attention import Need
from isthmus.web.figures.jobs import ideal_cycle_s
from isthmus.web.figures.machines import MachineNow
from isthmus.web.figures.shifts import Window
from isthmus.web.house import House
from isthmus.web.pages import nav
from isthmus.web.respond import html, in_thread

SORTS = {
    "plant": "plant file",
    "state": "worst state",
    "oee": "lowest OEE",
    "scrap": "most scrap",
    "name": "name",
}
_WORST = (State.DOWN, State.UNKNOWN, State.STARVED, State.BLOCKED, State.IDLE, State.SETUP, State.RUN)


@get("/plant")
@in_thread
def plant_page(request: Request[Any, Session, Any], house: NamedDependency[House]) -> Response[str]:
    """The page, whole."""
    return html(render.page(build(house, request.auth, "", request.query_params), house, request.auth, here="/plant"))


def build(house: House, session: Session, below: str, asked: Mapping[str, str]) -> render.Built:
    """Read every machine and render the live parts."""
    del session, below
    now = house.clock()
    everyone = machines.all_machines(house, now)
    line, sort = asked.get("line", ""), asked.get("sort", "plant")
    shown = sorted((one for one in everyone if line in ("", one.line)), key=_order(sort))
    needs = attention.needs(house, everyone, now)
    window = _common(everyone, now)
    span = _span(everyone, window, asked.get("span", ""))
    shown_from = shifts.zoomed(window, shifts.SPANS[span])
    cells = render.macros("cells/plant.html")
    out: dict[str, Markup] = {
        "when": cells.when(window, house.local, now),
        "health": cells.health(*_health(house), _coverage(everyone)),
        "span-from": Markup("%s") % house.local.time(shown_from.start_ns),
        "span-to": Markup("%s") % house.local.time(shown_from.end_ns),
        "needs": cells.needs(needs),
        "sofar": cells.sofar(_so_far(house, everyone, needs, now)),
        **nav.counts(house, now),
    }
    for one in shown:
        out[f"{one.slug}-state"] = cells.state(one, now)
        out[f"{one.slug}-strip"] = _strip(house, one, span)
        out[f"{one.slug}-job"] = cells.job(one)
        out[f"{one.slug}-count"] = cells.count(one)
        out[f"{one.slug}-oee"] = cells.oee(one)
    lines = list(dict.fromkeys(one.line for one in everyone))
    context = {"machines": shown, "lines": lines, "line": line, "sort": sort, "sorts": SORTS, "span": span}
    return render.Built("plant.html", lambda: context, out)


def _order(sort: str) -> Callable[[MachineNow], Any]:
    if sort == "state":
        return lambda one: (_WORST.index(one.state) if one.state in _WORST else len(_WORST), one.since_ns or 0)
    if sort == "oee":
        return lambda one: one.indicator.oee if one.indicator and one.indicator.oee is not None else 2.0
    if sort == "scrap":
        return lambda one: -one.scrap
    if sort == "name":
        return lambda one: one.name
    return lambda _: 0


def _common(everyone: list[MachineNow], now: int) -> Window:
    """The shift that most machines are in; it stands over the page."""
    windows = Counter((one.window.start_ns, one.window.end_ns) for one in everyone)
    if not windows:
        return Window(name="", key="", start_ns=now, end_ns=now + 1, now_ns=now, planned=(), current=True)
    span = windows.most_common(1)[0][0]
    return next(one.window for one in everyone if (one.window.start_ns, one.window.end_ns) == span)


def _span(everyone: list[MachineNow], window: Window, wanted: str) -> str:
    """What the strips show: what was asked for, else what fits to how much is known."""
    if wanted in shifts.SPANS:
        return wanted
    known = [since for one in everyone if (since := states.known_since(one.strip)) is not None]
    return shifts.fitting(window, min(known, default=None))


def _strip(house: House, one: MachineNow, span: str) -> Markup:
    window = shifts.zoomed(one.window, shifts.SPANS[span])
    shown = one.strip if window is one.window else states.stretches(house, one.path, window.start_ns, window.now_ns)
    return strip.strip(house, shown, window)


def _health(house: House) -> tuple[int, int]:
    told = sources.all_sources(house)
    return sum(source.up for source in told), len(told)


def _coverage(everyone: list[MachineNow]) -> float | None:
    return indicators.together([one.indicator for one in everyone if one.indicator])[1]


def _so_far(house: House, everyone: list[MachineNow], needs: list[Need], now: int) -> dict[str, Any]:
    """The sums of the shift so far."""
    oee, coverage = indicators.together([one.indicator for one in everyone if one.indicator])
    reports = Counter(report.state for report in orders.all_reports(house))
    planned = 0.0
    for one in everyone:
        planned += _possible(house, one, now)
    jobs = {one.job.order: one.job for one in everyone if one.job}
    return {
        "good": sum(one.good for one in everyone),
        "scrap": sum(one.scrap for one in everyone),
        "planned": round(planned),
        "oee": oee,
        "coverage": coverage,
        "running": sum(one.state is State.RUN for one in everyone),
        "machines": len(everyone),
        "unexplained": sum(_unexplained(house, one, now) for one in everyone),
        "orders": len(jobs),
        "late": sum(job.due_ns is not None and job.due_ns < now for job in jobs.values()),
        "confirmed": reports["confirmed"],
        "waiting": sum(reports[state] for state in orders.WAITING),
        "parked": sum(need.kind == "parked" for need in needs),
    }


def _possible(house: House, one: MachineNow, now: int) -> float:
    """Pieces that there would be at ideal speed: as the OEE has it, whatever was made; without one, of the job now."""
    if one.good and one.indicator and one.indicator.oee:
        return one.good / one.indicator.oee
    machine = house.site.plant.machines[one.path]
    cycle = ideal_cycle_s(house.site.plant, machine, one.job.product if one.job else "", now)
    return one.window.planned_so_far_ns / NS_PER_S / cycle if cycle else 0.0


def _unexplained(house: House, one: MachineNow, now: int) -> int:
    machine = house.site.plant.machines[one.path]
    window = shifts.current(house.site.plant, machine, now)
    found = stops.stops_in(house, machine, window)
    return sum(not stop.reason and not stop.micro and stop.state is State.DOWN for stop in found)
