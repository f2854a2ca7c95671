"""The plant as its people describe it in plant.toml: machines, products, reasons, KPI policy.

These are the plant file's own sections; every field's description and limit is said here once, and
the check, the reference page and the editor's schema are made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from isthmus.model.calendar import Calendar
from isthmus.model.states import Element, State

Name = Annotated[str, Meta(min_length=1, max_length=120)]
Positive = Annotated[float, Meta(gt=0)]
TagName = Annotated[str, Meta(pattern=r"^[^/\s]+/\S.*$", description="source/tag")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the plant file. An unknown key is a mistake, not a comment."""


class PlantSection(Section, frozen=True, kw_only=True):
    """`[plant]`: what the site is called and where its clocks are."""

    name: Annotated[Name, Meta(description="the name on every page, for example Northgate Works")]
    path: Annotated[str, Meta(description="ISA-95 enterprise/site, for example acme/northgate")]
    time_zone: Annotated[str, Meta(description="IANA name, for example Europe/London")] = "UTC"
    currency: Annotated[str, Meta(description="ISO 4217 code", pattern="^[A-Z]{3}$")] = "GBP"


class StateRules(Section, frozen=True, kw_only=True):
    """How a machine's state is found: a shipped profile over its tags, or own rules in order."""

    profile: Annotated[
        str | None,
        Meta(description="packml, mtconnect, machinery or machine-tool; none means own rules"),
    ] = None
    tags: Annotated[
        Mapping[str, TagName],
        Meta(description="the profile's names, or the names used in the rules, and the tags behind them"),
    ] = {}
    rules: Annotated[
        tuple[str, ...],
        Meta(description="first that holds wins: 'DOWN if alarm', 'RUN if spindle_speed > 50', 'IDLE'"),
    ] = ()
    override: Annotated[
        Mapping[str, State],
        Meta(description="a profile's own state word and the state it shall mean here: Held = 'DOWN'"),
    ] = {}
    elements: Annotated[
        Mapping[State, Element],
        Meta(description="the ISO 22400 element of a state on this machine, where not the usual: OFF = 'OUTSIDE'"),
    ] = {}


class Counter(Section, frozen=True, kw_only=True):
    """A running counter, or a tag that carries one part per event."""

    tag: Annotated[TagName, Meta(description="source/tag of the counter")]
    width: Annotated[
        Literal[8, 16, 24, 32, 64] | None,
        Meta(description="bits after which it wraps to 0; none when it never wraps"),
    ] = None
    reset: Annotated[
        Literal["never", "any", "zero"],
        Meta(
            description="never: a step back is a wrap or a fault; zero: it may fall to 0; "
            "any: it may fall to any lower number and counts on from there"
        ),
    ] = "zero"
    persists: Annotated[bool, Meta(description="true when it keeps its number over a restart of the controller")] = True
    per_count: Annotated[float, Meta(gt=0, description="pieces that one count stands for")] = 1.0
    event: Annotated[
        bool, Meta(description="true when each new sample is one event worth its value, not a running total")
    ] = False
    max_step: Annotated[int, Meta(gt=0, description="more counts than this in one step is a fault, not production")] = (
        100_000
    )


class Machine(Section, frozen=True, kw_only=True):
    """`[[machine]]`: a work unit, its calendar and where its signals come from."""

    path: Annotated[str, Meta(description="area/work-centre/work-unit below the plant's path")]
    name: Annotated[Name, Meta(description="as people say it: CNC-01")]
    calendar: Annotated[str, Meta(description="name of a [[calendar]]")]
    zone: Annotated[str, Meta(description="name of the [[zone]] it stands in")] = "control"
    state: Annotated[StateRules, Meta(description="how its state is found")] = StateRules()
    good: Annotated[Counter | None, Meta(description="counter of good pieces")] = None
    total: Annotated[Counter | None, Meta(description="counter of all pieces, where good is not counted apart")] = None
    scrap: Annotated[Counter | None, Meta(description="counter of scrapped pieces")] = None
    rework: Annotated[Counter | None, Meta(description="counter of pieces to rework")] = None
    order: Annotated[TagName | None, Meta(description="tag that carries the number of the order")] = None
    lot: Annotated[TagName | None, Meta(description="tag that carries the lot that is being made")] = None
    lots_in: Annotated[
        Mapping[str, TagName],
        Meta(description='by material, the tag with the lot that is being used up: STEEL-BAR = "cnc-01/bar-lot"'),
    ] = {}
    stop_code: Annotated[TagName | None, Meta(description="tag with the machine's own stop or alarm code")] = None
    operation: Annotated[
        str | None, Meta(description="the ERP's operation that this machine does, if it does only one")
    ] = None
    ideal_cycle_s: Annotated[
        Positive | None, Meta(description="ideal seconds a piece where the product names none")
    ] = None
    erp_work_centre: Annotated[str | None, Meta(description="what the ERP calls this machine")] = None
    cost_per_hour: Annotated[Decimal | None, Meta(description="rate for work in progress, in the plant's currency")] = (
        None
    )


class IdealCycle(Section, frozen=True, kw_only=True):
    """How fast one product can be made on one machine (ISO 22400-2 PRI)."""

    machine: Annotated[str, Meta(description="path of a [[machine]], or * for every machine")]
    seconds: Annotated[float, Meta(gt=0, description="planned run time per piece, s")]
    valid_from: Annotated[date | None, Meta(description="first day on which it holds")] = None


class Product(Section, frozen=True, kw_only=True):
    """`[[product]]`: what is made, in the ERP's code."""

    code: Annotated[Name, Meta(description="the ERP's product code")]
    name: Annotated[str, Meta(description="as people say it")] = ""
    cycles: Annotated[tuple[IdealCycle, ...], Meta(description="ideal cycle by machine")] = ()


class Reason(Section, frozen=True, kw_only=True):
    """`[[reason]]`: why a machine stood still. Six to twelve serve a shop floor best."""

    code: Annotated[Name, Meta(description="short and stable: TOOL")]
    name: Annotated[Name, Meta(description="on the operator's button: Tool change")]
    planned: Annotated[bool, Meta(description="true takes the stop out of planned busy time by the KPI policy")] = False
    element: Annotated[
        Element | None, Meta(description="ISO 22400 element; none keeps that of the machine's state")
    ] = None
    match: Annotated[tuple[str, ...], Meta(description="stop codes of the machines that mean this by themselves")] = ()
    machines: Annotated[tuple[str, ...], Meta(description="paths where it is offered; none means everywhere")] = ()


class KpiPolicy(Section, frozen=True, kw_only=True):
    """`[kpi]`: the disputed points of ISO 22400, decided once, with a version that every figure names."""

    name: Annotated[str, Meta(description="as it stands under every figure")] = "Plant policy"
    version: Annotated[int, Meta(ge=1, description="raise it with every change")] = 1
    micro_stop_s: Annotated[
        float, Meta(ge=0, description="stops shorter than this are lost speed, not downtime; 0 means none")
    ] = 0.0
    setup_in_planned_time: Annotated[
        bool, Meta(description="true: set-up lies inside planned busy time and lowers availability")
    ] = True
    rework_is_good: Annotated[bool, Meta(description="true: a reworked piece counts as good")] = False


class Plant(msgspec.Struct, frozen=True, kw_only=True):
    """The plant file's parts that wings read, checked and joined. Machine paths are whole."""

    name: str
    path: str
    time_zone: str
    currency: str
    calendars: Mapping[str, Calendar]
    machines: Mapping[str, Machine]
    """By whole ISA-95 path, in the order of the file."""
    products: Mapping[str, Product]
    reasons: Mapping[str, Reason]
    kpi: KpiPolicy

    @property
    def zone(self) -> ZoneInfo:
        """The plant's wall clock."""
        return ZoneInfo(self.time_zone)

    def calendar_of(self, machine: Machine) -> Calendar:
        """The calendar that a machine works by."""
        return self.calendars[machine.calendar]
