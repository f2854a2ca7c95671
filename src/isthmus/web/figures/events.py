"""The events behind one line of the ladder of losses: which stretches, which pieces, said by whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from isthmus.model.calendar import shifts_between
from isthmus.model.plant import Machine
from isthmus.model.states import Element, State
from isthmus.model.time import NS_PER_HOUR, NS_PER_S, Interval
from isthmus.web import words
from isthmus.web.figures.jobs import ideal_cycle_s
from isthmus.web.figures.losses import in_planned_time
from isthmus.web.figures.shifts import Window
from isthmus.web.figures.states import Stretch
from isthmus.web.figures.stops import Stop
from isthmus.web.house import House


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, with the time it took from planned busy time."""

    start_ns: int
    end_ns: int
    what: str
    by: str = ""
    length_ns: int | None = None
    """Its part of the loss; None where it is told in pieces."""
    pieces: str = ""


class Pieces(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted in one stretch."""

    start_ns: int
    end_ns: int
    good: float
    scrap: float
    rework: float
    corrected: bool = False


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What events are made of."""

    machine: Machine
    window: Window
    strip: Sequence[Stretch]
    stops: Sequence[Stop]


def behind(house: House, told: Told, key: str) -> list[Event]:
    """The events of a line of the ladder, in order of time."""
    if key.startswith("stop:"):
        return _stops(house, told, key.removeprefix("stop:"))
    kinds: dict[str, Callable[[House, Told], list[Event]]] = {
        "planned": _planned,
        "unobserved": lambda _, told: _in_state(told, (State.UNKNOWN,)),
        "setup": lambda _, told: _in_state(told, (State.SETUP,)),
        "micro": _micro,
        "slow": _slow,
        "scrap": _scrap,
        "good": _good,
    }
    return kinds[key](house, told) if key in kinds else []


def pieces(house: House, path: str, start_ns: int, end_ns: int, bucket_ns: int = NS_PER_HOUR) -> list[Pieces]:
    """What was counted, by stretches of `bucket_ns` from the start; those without a piece are left out."""
    rows = house.site.views.query(
        "SELECT (time_ns - :start) / :bucket AS place, sum(good) AS good, sum(scrap) AS scrap, sum(rework) AS rework, "
        "max(why = 'corrected') AS corrected FROM counts WHERE path = :path AND time_ns >= :start AND time_ns < :end "
        "GROUP BY place ORDER BY place",
        {"path": path, "start": start_ns, "end": end_ns, "bucket": bucket_ns},
    )
    return [
        Pieces(
            start_ns=start_ns + row["place"] * bucket_ns,
            end_ns=min(end_ns, start_ns + (row["place"] + 1) * bucket_ns),
            good=row["good"],
            scrap=row["scrap"],
            rework=row["rework"],
            corrected=bool(row["corrected"]),
        )
        for row in rows
    ]


def _stops(house: House, told: Told, code: str) -> list[Event]:
    reasons = house.site.plant.reasons
    out = []
    for stop in told.stops:
        if stop.micro or stop.element not in (Element.ADET, Element.ADOT):
            continue
        if code and code not in (stop.reason, "" if stop.reason else str(stop.state)):
            continue
        name = reasons[stop.reason].name if stop.reason in reasons else stop.reason
        what = name or f"{words.STATES[stop.state]}, no reason yet"
        length = in_planned_time(told.window, stop.start_ns, stop.end_ns)
        note = f"{what} ({stop.note})" if stop.note else what
        out.append(Event(start_ns=stop.start_ns, end_ns=stop.end_ns, what=note, by=stop.by, length_ns=length))
    return out


def _planned(house: House, told: Told) -> list[Event]:
    plant, window = house.site.plant, told.window
    passed = Interval(window.start_ns, window.now_ns)
    out = []
    for shift in shifts_between(plant.calendar_of(told.machine), plant.zone, window.start_ns, window.end_ns):
        for pause in shift.breaks:
            part = pause.overlap(passed)
            if part and shift.start_ns == window.start_ns:
                out.append(_event(part.start_ns, part.end_ns, "Break of the calendar", "calendar"))
    reasons = plant.reasons
    meant = [stop for stop in told.stops if stop.reason in reasons and reasons[stop.reason].planned]
    out += [_event(stop.start_ns, stop.end_ns, reasons[stop.reason].name, stop.by) for stop in meant]
    out += [event for event in _in_state(told, (State.PLANNED,)) if event.length_ns]
    return sorted(out, key=lambda event: event.start_ns)


def _in_state(told: Told, states: tuple[State, ...]) -> list[Event]:
    return [
        Event(
            start_ns=one.start_ns,
            end_ns=one.end_ns,
            what=words.STATES[one.state] + (f" ({one.native})" if one.native else ""),
            by="machine",
            length_ns=in_planned_time(told.window, one.start_ns, one.end_ns),
        )
        for one in told.strip
        if one.state in states
    ]


def _micro(house: House, told: Told) -> list[Event]:
    reasons = house.site.plant.reasons
    return [
        _event(
            stop.start_ns,
            stop.end_ns,
            reasons[stop.reason].name if stop.reason in reasons else words.STATES[stop.state],
            stop.by,
        )
        for stop in told.stops
        if stop.micro
    ]


def _slow(house: House, told: Told) -> list[Event]:
    """Each stretch of running with what came of it and what the standard says it should have taken."""
    out = []
    for one in told.strip:
        if one.state is not State.RUN:
            continue
        counted = pieces(house, told.machine.path, one.start_ns, one.end_ns, one.length_ns)
        made = sum(part.good + part.scrap + part.rework for part in counted)
        cycle = ideal_cycle_s(
            house.site.plant, told.machine, _product(house, told.machine.path, one.start_ns), one.start_ns
        )
        ideal = int(made * cycle * NS_PER_S) if cycle else None
        said = f"running, {words.number(made)} pcs" + (
            f", standard {words.duration(ideal)}" if ideal is not None else ""
        )
        lost = one.length_ns - ideal if ideal is not None else None
        out.append(Event(start_ns=one.start_ns, end_ns=one.end_ns, what=said, by="machine", length_ns=lost))
    return out


def _scrap(house: House, told: Told) -> list[Event]:
    rows = house.site.views.query(
        "SELECT * FROM counts WHERE path = ? AND time_ns >= ? AND time_ns < ? AND scrap <> 0 ORDER BY time_ns LIMIT 200",
        (told.machine.path, told.window.start_ns, told.window.now_ns),
    )
    minute = 60 * NS_PER_S
    return [
        Event(
            start_ns=row["time_ns"] - minute,
            end_ns=row["time_ns"],
            what=row["note"] or "scrap counted",
            by="a person" if row["why"] == "corrected" else "machine",
            pieces=f"{words.number(row['scrap'])} pcs",
        )
        for row in rows
    ]


def _good(house: House, told: Told) -> list[Event]:
    found = pieces(house, told.machine.path, told.window.start_ns, told.window.now_ns)
    return [
        Event(
            start_ns=one.start_ns,
            end_ns=one.end_ns,
            what="good pieces counted",
            by="machine and people" if one.corrected else "machine",
            pieces=f"{words.number(one.good)} pcs",
        )
        for one in found
    ]


def _product(house: House, path: str, time_ns: int) -> str:
    rows = house.site.views.query(
        "SELECT product FROM runs_started WHERE path = ? AND time_ns <= ? ORDER BY time_ns DESC LIMIT 1",
        (path, time_ns),
    )
    return str(rows[0]["product"]) if rows else ""


def _event(start_ns: int, end_ns: int, what: str, by: str) -> Event:
    return Event(start_ns=start_ns, end_ns=end_ns, what=what, by=by, length_ns=end_ns - start_ns)
