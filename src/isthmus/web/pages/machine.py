"""The machine page: its shift as minutes, events and samples; reasons, jobs, counts, trend and live tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Response
from markupsafe import Markup

from isthmus.model.plant import Machine
from isthmus.model.time import NS_PER_HOUR, NS_PER_MINUTE
from isthmus.web import acts, put_right, render, roles
from isthmus.web import strip as drawing
from isthmus.web.accounts import Person, Session
from isthmus.web.figures import events, indicators, jobs, losses, lots, machines, orders, shifts, sources, states
from isthmus.web.figures import stops as stops_
from isthmus.web.figures import tags as tags_
from isthmus.web.figures.shifts import Window
from isthmus.web.figures.stops import Stop
from isthmus.web.house import House
from isthmus.web.pages import nav
from isthmus.web.respond import html, in_thread, see

_SAID = {
    "reason": "The reason is in the log; the figures follow within seconds.",
    "undone": "Taken back.",
    "job": "The job is in the log.",
    "lot": "The lot is in the log; the order's figures follow within seconds.",
    "quantity": "The correction is in the log; the figures follow within seconds.",
    "sample": "The sample is put right, the old one is kept; the figures follow within seconds.",
}
_TREND_NS = NS_PER_HOUR
_LARGEST = 1 << 62
"""No time in ns and no count is larger; stores keep 64 bits."""


@get("/machine/{below:path}")
@in_thread
def machine_page(
    below: FromPath[str], request: Request[Person, Session, Any], house: NamedDependency[House]
) -> Response[str]:
    """The page, whole."""
    asked = request.query_params
    built = build(house, request.auth, str(below), asked)
    if not built.found:
        raise NotFoundException(detail="No machine has this path. Look at the plant page for those there are.")
    said = _SAID.get(asked.get("said", ""), "")
    return html(render.page(built, house, request.auth, here="/plant", said=said))


@post("/act/{what:str}/{below:path}")
@in_thread
def act(
    what: FromPath[str],
    below: FromPath[str],
    request: Request[Person, Session, Any],
    house: NamedDependency[House],
    form: NamedDependency[dict[str, str]],
) -> Redirect:
    """Something a person says of a machine: reason, undo, job, halt, sample, quantity or lot."""
    machine = house.machine(str(below))
    if machine is None:
        raise NotFoundException(detail="No machine has this path.")
    if what == "reason":
        acts.give_reason(house, request.user, machine, _stretches(form), form.get("note", ""))
    elif what == "undo":
        acts.take_back(house, request.user, machine, _number(form, "time_ns"), _number(form, "ordinal"))
    elif what == "job":
        acts.start_job(house, request.user, machine, form.get("order", ""), form.get("operation", ""))
    elif what == "halt":
        acts.stop_job(house, request.user, machine, form.get("order", ""), finished=form.get("finished") == "yes")
    elif what == "sample":
        _put_right(house, request.user, machine, form)
    elif what == "quantity":
        good, scrap, rework = (_number(form, key) if form.get(key) else 0 for key in ("good", "scrap", "rework"))
        by = acts.Correction(good, scrap, rework, form.get("note", ""))
        acts.correct(house, request.user, machine, form.get("order", ""), by)
    elif what == "lot":
        lot = acts.Lot(
            form.get("order", ""), form.get("material", ""), form.get("lot", ""), form.get("from") == "start"
        )
        acts.give_lot(house, request.user, machine, lot)
    else:
        raise NotFoundException(detail="There is no such act.")
    said = {"undo": "undone", "halt": "job"}.get(what, what)
    shift = form.get("shift", "")
    return see(f"/machine/{house.below(machine.path)}?said={said}" + (f"&shift={shift}" if shift else ""))


HANDLERS = (machine_page, act)


def _put_right(house: House, person: Person, machine: Machine, form: Mapping[str, str]) -> None:
    """One sample of the machine's own tags."""
    tag, at, value = form.get("tag", ""), _number(form, "time_ns"), form.get("value", "")
    if tag not in sources.tags_of(machine):
        raise ClientException(detail=f"{machine.name} has no tag {tag!r} in history.")
    put_right.put_right(
        house, person, put_right.Chosen(tag, at, at + 1), put_right.Change("value", value), form.get("why", "")
    )


def build(house: House, session: Session, below: str, asked: Mapping[str, str]) -> render.Built:
    """Read one machine and render the live parts."""
    machine = house.machine(below)
    if machine is None:
        return render.Built("machine.html", dict, {}, found=False)
    now = house.clock()
    window = _window(house, machine, asked, now)
    strip = states.stretches(house, machine.path, window.start_ns, window.now_ns)
    told = events.Told(machine=machine, window=window, strip=strip, stops=stops_.stops_in(house, machine, window))
    link = f"/machine/{house.below(machine.path)}?" + (f"shift={window.key}&" if not window.current else "")
    tags = tags_.machine_tags(house, machine)
    chosen = _chosen(tags, asked)
    span = asked["span"] if asked.get("span") in shifts.SPANS else shifts.fitting(window, states.known_since(strip))
    out: dict[str, Markup] = {
        **_present(house, machine, tags, now),
        **_strip(house, machine, shifts.zoomed(window, shifts.SPANS[span]), link),
        **_figures(house, session, told, link, asked.get("open", "")),
        **nav.counts(house, now),
    }

    def frame() -> Mapping[str, Any]:
        run = jobs.open_run(house, machine.path)
        return {
            "machine": machine,
            "below": house.below(machine.path),
            "crumbs": house.below(machine.path).split("/")[:-1],
            "window": window,
            "picker": _picker(house, machine, window, asked, now),
            "span": span,
            "link": link,
            "tags": tags,
            "trendable": tags_.trendable(tags),
            "chosen": chosen,
            "trend": _trend(house, chosen, window, asked, now),
            "samples": _samples(house, machine, asked),
            "explain": _explain(told.stops, asked),
            "reasons": stops_.reasons_for(house.site.plant, machine),
            "orders": [one for one in orders.all_orders(house) if one.state not in ("finished", "cancelled")],
            "run": run,
            "asked": asked,
            "can": {
                what: roles.may(session.person.role, what) for what in ("reason", "job", "quantity", "lot", "sample")
            },
            "lots": lots.lots_now(house, machine.path),
            "numbers": orders.known(house).numbers,
            "materials": jobs.materials_of(house, run["order_no"]) if run else [],
        }

    last = house.site.namespace.last(chosen) if chosen else None
    data = {"trend": {"tag": chosen, "time_ns": last.time_ns, "value": _drawn(last.value)}} if last else {}
    return render.Built("machine.html", frame, out, data)


def _present(house: House, machine: Machine, tags: list[tags_.TagNow], now: int) -> dict[str, Markup]:
    """What is so now, whatever shift is looked at."""
    cells = render.macros("cells/machine.html")
    told = sources.all_sources(house)
    live = machines.machine_now(house, machine, now, {source.name for source in told if not source.up})
    own = [one for one in told if one.name in sources.sources_of(machine)]
    return {
        "head": cells.head(live, now, house.local),
        "link": cells.link(own, now, house),
        "stopped": cells.stopped(house.site.stopped.get(machine.path, "")),
        "job": cells.job(live, now, house.local),
        "tagtime": cells.tagtime(now, house.local),
        **{f"tag-{place}": cells.tag(one, now, house.local) for place, one in enumerate(tags)},
    }


def _strip(house: House, machine: Machine, zoomed: Window, link: str) -> dict[str, Markup]:
    """The large strip with its hours, and the table behind it."""
    shown = states.stretches(house, machine.path, zoomed.start_ns, zoomed.now_ns)
    return {
        "strip": drawing.strip(house, shown, zoomed, height=64, link=link),
        "axis": drawing.hours(house, zoomed),
        "intervals": render.macros("cells/machine.html").intervals(shown, zoomed, house.local),
    }


def _figures(house: House, session: Session, told: events.Told, link: str, opened: str) -> dict[str, Markup]:
    """The ladder of the shift, what stands behind the line that is open, and the counts."""
    cells = render.macros("cells/machine.html")
    machine, window, plant = told.machine, told.window, house.site.plant
    indicator = indicators.of_shift(house, machine.path, window)
    ladder = losses.ladder(plant, indicator, window, told.stops) if indicator else None
    line = next((one for one in ladder.lines if one.key == opened), None) if ladder and opened else None
    shift = "" if window.current else window.key
    return {
        "minutes": cells.minutes(
            indicator, ladder, window, opened, link, plant, indicators.redoing(house, machine.path, window)
        ),
        "events": cells.events(line, events.behind(house, told, opened), link, house.local)
        if line
        else cells.stops(told.stops, link, house, session, machine, shift),
        "counts": cells.counts(events.pieces(house, machine.path, window.start_ns, window.now_ns), house.local, window),
    }


def _window(house: House, machine: Machine, asked: Mapping[str, str], now: int) -> Window:
    wanted = asked.get("shift", "")
    found = shifts.asked(house.site.plant, machine, now, wanted) if wanted else None
    if found is None and asked.get("day"):
        on_day = shifts.on_day(house.site.plant, machine, now, asked["day"])
        found = on_day[0] if on_day else None
    return found or shifts.current(house.site.plant, machine, now)


def _picker(house: House, machine: Machine, window: Window, asked: Mapping[str, str], now: int) -> dict[str, Any]:
    plant = house.site.plant
    before, after = shifts.neighbours(plant, machine, window, now)
    day = window.key.partition("/")[0] or house.local.date(window.start_ns)
    nothing = bool(asked.get("day")) and not shifts.on_day(plant, machine, now, asked["day"])
    return {
        "before": before,
        "after": after,
        "day": day,
        "today": house.local.date(now),
        "shifts": shifts.on_day(plant, machine, now, day),
        "nothing": nothing,
    }


def _chosen(tags: list[tags_.TagNow], asked: Mapping[str, str]) -> str:
    names = [tag.name for tag in tags_.trendable(tags)]
    wanted = asked.get("tag", "")
    return wanted if wanted in names else names[0] if names else ""


def _trend(house: House, tag: str, window: Window, asked: Mapping[str, str], now: int) -> tags_.Trend | None:
    """The table behind the trend: the whole shift, or the last hour of it."""
    if not tag:
        return None
    start, end = trend_span(window, asked, now)
    return tags_.trend(house, tag, start, end, 48)


def trend_span(window: Window, asked: Mapping[str, str], now: int) -> tuple[int, int]:
    """The stretch of the trend: samples asked for, the last hour, or the whole of a shift that is over."""
    found = _asked_for(asked)
    if found:
        return found
    if window.current:
        return max(window.start_ns, now - _TREND_NS), now
    return window.start_ns, window.end_ns


def _samples(house: House, machine: Machine, asked: Mapping[str, str]) -> dict[str, Any] | None:
    stretch = _asked_for(asked)
    if stretch is None:
        return None
    start, end = stretch
    found, more = tags_.samples_between(house, sources.tags_of(machine), start, end)
    return {"start_ns": start, "end_ns": end, "rows": found, "more": more}


def _explain(found: Sequence[Stop], asked: Mapping[str, str]) -> Stop | None:
    """The stop that a reason is being given for."""
    start = _moment(asked.get("stop", ""))
    if start is None:
        return None
    near = [stop for stop in found if stop.start_ns <= start < stop.end_ns or stop.start_ns == start]
    return near[-1] if near else None


def _stretches(form: Mapping[str, str]) -> list[tuple[int, int | None, str]]:
    start = _number(form, "start_ns")
    end = _number(form, "end_ns") if form.get("end_ns") else None
    if not form.get("first"):
        return [(start, end, form.get("reason", ""))]
    try:
        middle = start + int(float(form.get("after_min", "").replace(",", ".")) * NS_PER_MINUTE)
    except (ValueError, OverflowError) as error:
        raise ClientException(detail="Give the minutes after which the second reason began.") from error
    # People speak in minutes: a border on a whole minute is one in every figure.
    whole = -(-middle // NS_PER_MINUTE) * NS_PER_MINUTE
    middle = whole if whole > start and (end is None or whole < end) else middle
    if end is None:
        return [(start, middle, form["first"]), (middle, None, form.get("second", ""))]
    if not start < middle < end:
        raise ClientException(detail="The moment of the split must lie within the stop.")
    return [(start, middle, form["first"]), (middle, end, form.get("second", ""))]


def _number(form: Mapping[str, str], key: str) -> int:
    try:
        number = int(form.get(key, ""))
    except ValueError as error:
        raise ClientException(detail=f"{key.replace('_ns', '')} must be a whole number.") from error
    if abs(number) > _LARGEST:
        raise ClientException(detail=f"{key.replace('_ns', '')} is too large.")
    return number


def _moment(text: str) -> int | None:
    """A time in ns of an address, None for what is none."""
    return int(text) if text.isdecimal() and len(text) < len(str(_LARGEST)) + 1 and int(text) <= _LARGEST else None


def _asked_for(asked: Mapping[str, str]) -> tuple[int, int] | None:
    """The stretch of samples that an address asks for."""
    start, end = _moment(asked.get("from", "")), _moment(asked.get("to", ""))
    return None if start is None or end is None else (start, max(start + 1, end))


def _drawn(value: Any) -> float | None:  # noqa: ANN401  a tag's value is of any kind
    return float(value) if isinstance(value, int | float) else None
