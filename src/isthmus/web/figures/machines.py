"""One line of the plant page for each machine: what it does now and how this shift goes."""

from __future__ import annotations

import msgspec

from isthmus.model.plant import Machine
from isthmus.model.records.production import Indicator
from isthmus.model.states import State
from isthmus.web.figures import indicators, jobs, shifts, sources, states
from isthmus.web.figures.jobs import Job
from isthmus.web.figures.shifts import Window
from isthmus.web.figures.states import Stretch
from isthmus.web.house import House


class MachineNow(msgspec.Struct, frozen=True, kw_only=True):
    """A machine's figures of the shift in progress."""

    path: str
    below: str
    """The path below the plant's, as addresses write it."""
    slug: str
    """The same, fit for an element's id."""
    name: str
    line: str
    """Work centre."""
    area: str
    state: State
    since_ns: int | None
    """When it entered the state; None when nothing was ever heard of it."""
    native: str
    stop_code: str
    window: Window
    strip: tuple[Stretch, ...]
    job: Job | None
    good: float
    scrap: float
    indicator: Indicator | None
    """None while nothing was folded for the shift."""
    redoing: bool
    """True while its figures lack samples that came late."""
    last_sample_ns: int | None
    """Source time of its newest sample, of whatever tag."""
    silent: tuple[str, ...]
    """Its sources that do not deliver."""


def all_machines(house: House, now_ns: int) -> list[MachineNow]:
    """Every machine, in the order of the plant file."""
    silent = {source.name for source in sources.all_sources(house) if not source.up}
    return [machine_now(house, machine, now_ns, silent) for machine in house.site.plant.machines.values()]


def machine_now(house: House, machine: Machine, now_ns: int, silent: set[str]) -> MachineNow:
    """The figures of one machine."""
    window = shifts.current(house.site.plant, machine, now_ns)
    indicator = indicators.of_shift(house, machine.path, window)
    state = states.now(house, machine.path)
    below = house.below(machine.path)
    place = below.split("/")
    if indicator:
        good, scrap = indicator.good, indicator.scrap
    else:
        good, scrap = jobs.counted_since(house, machine.path, window.start_ns)
    return MachineNow(
        path=machine.path,
        below=below,
        slug=below.replace("/", "_"),
        name=machine.name,
        line=place[-2] if len(place) > 1 else "",
        area=place[0] if len(place) > 2 else "",  # noqa: PLR2004  area, work centre, work unit
        state=state.state if state else State.UNKNOWN,
        since_ns=state.time_ns if state else None,
        native=state.native if state else "",
        stop_code=state.stop_code if state else "",
        window=window,
        strip=tuple(states.stretches(house, machine.path, window.start_ns, window.now_ns)),
        job=jobs.job_of(house, machine, now_ns),
        good=good,
        scrap=scrap,
        indicator=indicator,
        redoing=indicators.redoing(house, machine.path, window),
        last_sample_ns=last_sample_ns(house, machine),
        silent=tuple(source for source in sources.sources_of(machine) if source in silent),
    )


def last_sample_ns(house: House, machine: Machine) -> int | None:
    """Source time of the newest sample of a machine: of its sources, where they serve it alone, and of its own tags.

    A machine that runs calmly for an hour says nothing new of its state, while its temperature still comes.
    """
    namespace = house.site.namespace
    alone = (namespace.newest(source) for source in sources.sources_of(machine) if source not in sources.shared(house))
    own = (last.time_ns for tag in sources.tags_of(machine) if (last := namespace.last(tag)))
    return max((*filter(None, alone), *own), default=None)
