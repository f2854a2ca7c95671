"""The same figures as JSON, and every table as CSV (`?format=csv`). The schema stands at /api/schema/openapi.json.

Times are ns since 1970 UTC, lengths ns, ratios shares of one. A request carries the session's cookie,
as a page does; what a role may not see on a page it is not given here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from litestar import MediaType, Request, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Response

from isthmus.model.plant import Machine
from isthmus.web import roles
from isthmus.web.accounts import Person, Session
from isthmus.web.figures import (
    attention,
    connections,
    events,
    indicators,
    losses,
    lots,
    machines,
    orders,
    shifts,
    states,
)
from isthmus.web.figures import stops as stops_
from isthmus.web.figures import tags as tags_
from isthmus.web.figures.shifts import Window
from isthmus.web.house import House
from isthmus.web.respond import in_thread

Format = Annotated[Literal["json", "csv"], QueryParameter(name="format", description="json, or csv for tables")]
Shift = Annotated[
    str, QueryParameter(name="shift", description="date/name of a shift; empty means the one in progress")
]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows with the moment at which they were read."""

    now_ns: int
    time_zone: str
    rows: Sequence[Any]


class ShiftFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One machine's shift: its indicators and where its minutes went."""

    now_ns: int
    path: str
    shift: str
    start_ns: int
    end_ns: int
    indicator: Any
    """None while nothing was folded for the shift."""
    ladder: Any


@get("/api/machines")
@in_thread
def machines_now(house: NamedDependency[House], form_at: Format = "json") -> Response[Any]:
    """Every machine now."""
    rows = [
        {
            "path": one.path,
            "name": one.name,
            "line": one.line,
            "state": one.state,
            "since_ns": one.since_ns,
            "stop_code": one.stop_code,
            "order": one.job.order if one.job else None,
            "good": one.good,
            "scrap": one.scrap,
            "oee": one.indicator.oee if one.indicator else None,
            "availability": one.indicator.availability if one.indicator else None,
            "effectiveness": one.indicator.effectiveness if one.indicator else None,
            "quality": one.indicator.quality if one.indicator else None,
            "coverage": one.indicator.coverage if one.indicator else None,
            "last_sample_ns": one.last_sample_ns,
            "silent_sources": list(one.silent),
        }
        for one in machines.all_machines(house, house.clock())
    ]
    return _table(house, rows, form_at, "machines")


@get("/api/needs")
@in_thread
def needs(house: NamedDependency[House], form_at: Format = "json") -> Response[Any]:
    """What needs a person."""
    now = house.clock()
    return _table(house, attention.needs(house, machines.all_machines(house, now), now), form_at, "needs")


@get("/api/orders")
@in_thread
def all_orders(house: NamedDependency[House], form_at: Format = "json") -> Response[Any]:
    """Orders with their progress."""
    return _table(house, orders.all_orders(house), form_at, "orders")


@get("/api/reports")
@in_thread
def all_reports(house: NamedDependency[House], form_at: Format = "json") -> Response[Any]:
    """Reports to the ERP as they stand."""
    return _table(house, orders.all_reports(house), form_at, "reports")


@get("/api/lots/{lot:path}")
@in_thread
def lot_traced(lot: FromPath[str], house: NamedDependency[House], form_at: Format = "json") -> Response[Any]:
    """Where a lot came from and where it went."""
    return _table(house, lots.trace(house, str(lot).lstrip("/")), form_at, "lots")


@get("/api/connections")
@in_thread
def all_connections(
    request: Request[Person, Session, Any], house: NamedDependency[House], form_at: Format = "json"
) -> Response[Any]:
    """Sources as they fare."""
    told = connections.all_connections(house, house.clock())
    rows = [msgspec.to_builtins(one.source) | {"fresh": one.fresh, "newest_ns": one.newest_ns} for one in told.sources]
    if not roles.may(request.user.role, "addresses"):
        rows = [row | {"address": "", "device": ""} for row in rows]
    return _table(house, rows, form_at, "connections")


@get("/api/shift/{below:path}")
@in_thread
def shift_of(below: FromPath[str], house: NamedDependency[House], shift: Shift = "") -> ShiftFigures:
    """A machine's indicators of one shift, and the ladder of its losses."""
    machine, window = _machine(house, str(below), shift)
    indicator = indicators.of_shift(house, machine.path, window)
    found = stops_.stops_in(house, machine, window)
    ladder = losses.ladder(house.site.plant, indicator, window, found) if indicator else None
    return ShiftFigures(
        now_ns=house.clock(),
        path=machine.path,
        shift=window.key,
        start_ns=window.start_ns,
        end_ns=window.now_ns,
        indicator=msgspec.to_builtins(indicator),
        ladder=ladder,
    )


@get("/api/states/{below:path}")
@in_thread
def states_of(
    below: FromPath[str], house: NamedDependency[House], shift: Shift = "", form_at: Format = "json"
) -> Response[Any]:
    """A machine's states of one shift, without a gap."""
    machine, window = _machine(house, str(below), shift)
    rows = states.stretches(house, machine.path, window.start_ns, window.now_ns)
    return _table(house, rows, form_at, "states")


@get("/api/stops/{below:path}")
@in_thread
def stops_of(
    below: FromPath[str], house: NamedDependency[House], shift: Shift = "", form_at: Format = "json"
) -> Response[Any]:
    """A machine's stops of one shift with their reasons."""
    machine, window = _machine(house, str(below), shift)
    return _table(house, stops_.stops_in(house, machine, window), form_at, "stops")


@get("/api/counts/{below:path}")
@in_thread
def counts_of(
    below: FromPath[str], house: NamedDependency[House], shift: Shift = "", form_at: Format = "json"
) -> Response[Any]:
    """What a machine made, by the hour of one shift."""
    machine, window = _machine(house, str(below), shift)
    return _table(house, events.pieces(house, machine.path, window.start_ns, window.now_ns), form_at, "counts")


@get("/api/tags/{below:path}")
@in_thread
def tags_of(below: FromPath[str], house: NamedDependency[House], form_at: Format = "json") -> Response[Any]:
    """A machine's tags as they are now."""
    machine, _ = _machine(house, str(below), "")
    return _table(house, tags_.machine_tags(house, machine), form_at, "tags")


@get("/api/trend")
@in_thread
def trend(  # noqa: PLR0913, PLR0917  each is a parameter of the address
    house: NamedDependency[House],
    tag: FromQuery[str],
    start_ns: FromQuery[int],
    end_ns: FromQuery[int],
    points: Annotated[int, QueryParameter(name="points", ge=2, le=4000)] = 800,
    known_ns: Annotated[
        int | None, QueryParameter(name="known_ns", description="leave out what people put right after this moment")
    ] = None,
) -> tags_.Trend:
    """One tag over a stretch, thinned to its extremes so that it looks the same."""
    found = tags_.trend(house, tag, start_ns, end_ns, points, known_ns)
    if found is None:
        raise NotFoundException(detail=f"No numeric tag is called {tag!r}.")
    return found


HANDLERS = (
    machines_now,
    needs,
    all_orders,
    all_reports,
    lot_traced,
    all_connections,
    shift_of,
    states_of,
    stops_of,
    counts_of,
    tags_of,
    trend,
)


def _machine(house: House, below: str, shift: str) -> tuple[Machine, Window]:
    machine = house.machine(below)
    if machine is None:
        raise NotFoundException(detail=f"No machine has the path {below!r}.")
    now = house.clock()
    if not shift:
        return machine, shifts.current(house.site.plant, machine, now)
    window = shifts.asked(house.site.plant, machine, now, shift)
    if window is None:
        raise NotFoundException(detail=f"{machine.name} has no shift {shift!r}; write it as 2026-11-23/Early.")
    return machine, window


def _table(house: House, rows: Sequence[Any], form_at: str, name: str) -> Response[Any]:
    if form_at == "json":
        zone = house.site.plant.time_zone
        return Response(Table(now_ns=house.clock(), time_zone=zone, rows=rows), headers={"cache-control": "no-store"})
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"}
    return Response(
        to_csv(rows), media_type=MediaType.TEXT, headers=headers | {"content-type": "text/csv; charset=utf-8"}
    )


def to_csv(rows: Sequence[Any]) -> str:
    """Rows as CSV (RFC 4180); what is nested stands as JSON, and no text begins like a formula."""
    plain: list[dict[str, Any]] = [msgspec.to_builtins(row) for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(plain[0]) if plain else [], lineterminator="\r\n")
    writer.writeheader()
    for row in plain:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return out.getvalue()


def _cell(value: Any) -> Any:  # noqa: ANN401  any field of a row
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t"):
        return f"'{value}"
    return value
