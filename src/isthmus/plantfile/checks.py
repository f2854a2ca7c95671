"""What must hold between the sections of a plant file: names that point somewhere, and rules of the boundary."""

from __future__ import annotations

import ipaddress
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from isthmus.edge.config import EdgeSection
from isthmus.edge.identify.approved import faults as approval_faults
from isthmus.edge.identify.config import Approval
from isthmus.edge.source import SourceSection, Tag
from isthmus.model.calendar import Calendar, mistakes_in
from isthmus.model.equipment import check_path
from isthmus.model.plant import Counter, Machine, PlantSection, Product, Reason
from isthmus.model.samples import ValueKind
from isthmus.model.units import UnitMistake, check_unit
from isthmus.model.zones import STANDARD_ZONES, Conduit, Zone, ZoneKind, dials_inwards
from isthmus.plantfile.draft import Draft
from isthmus.plantfile.lines import Place
from isthmus.plantfile.shape import Fault, nearest
from isthmus.production.kinds import check_kinds
from isthmus.production.rules import check_state
from isthmus.site.config import HistorianSection, SiteSection
from isthmus.site.publish.bus import BusSection
from isthmus.web.config import WebSection
from isthmus.web.config import mistakes_in as web_mistakes
from isthmus.wire.frame import source_id

_UNIQUE = (
    ("calendar", "name"),
    ("zone", "name"),
    ("conduit", "name"),
    ("source", "name"),
    ("machine", "path"),
    ("machine", "name"),
    ("product", "code"),
    ("reason", "code"),
)


def faults_between(draft: Draft) -> Iterator[Fault]:
    """Every fault that only shows when sections are held against each other."""
    yield from _plant(draft)
    yield from _unique(draft)
    yield from _zones(draft)
    yield from _sources(draft)
    yield from _approvals(draft)
    yield from _machines(draft)
    yield from _products(draft)
    for what, mend in web_mistakes(draft.one("web", WebSection) or WebSection()):
        yield Fault(("web", "listen"), what, mend)
    yield from _passwords(draft)
    historian = draft.one("historian", HistorianSection)
    if historian and historian.ship_records and not historian.ship_to:
        what = "ship_records = true ships records nowhere, as there is no ship_to"
        yield Fault(("historian", "ship_records"), what, 'give ship_to = "/mnt/group" too, or leave it out')
    edge, conduits = draft.one("edge", EdgeSection), draft.names("conduit", "name")
    if edge and conduits and edge.conduit not in conduits:
        yield _unknown(("edge", "conduit"), "conduit", edge.conduit, conduits)


def _passwords(draft: Draft) -> Iterator[Fault]:
    """A plant file is copied and mailed: no address in it may carry a password."""
    what = "a password stands in the plant file"
    site, bus = draft.one("site", SiteSection), draft.one("bus", BusSection)
    if site is not None and urlsplit(site.database).password:
        yield Fault(("site", "database"), what, "leave it out and give database_password = 'env:NAME' or 'file:path'")
    for address in getattr(bus, "servers", ()):
        if urlsplit(address).password:
            yield Fault(
                ("bus", "servers"), what, "leave it out and give user, and password = 'env:NAME' or 'file:path'"
            )


def tags_of(source: SourceSection) -> Sequence[Tag]:
    """The tags of a source, whatever its protocol."""
    return tuple(getattr(source, "tags", ()))


def _unknown(place: Place, table: str, name: str, known: Sequence[str]) -> Fault:
    mend = nearest(name, known) or f"write a [[{table}]] first"
    return Fault(place, f'no [[{table}]] is called "{name}"', mend)


def _plant(draft: Draft) -> Iterator[Fault]:
    plant = draft.one("plant", PlantSection)
    if plant:
        try:
            check_path(plant.path)
            if plant.path.count("/") != 1:
                yield Fault(("plant", "path"), f'"{plant.path}" must be enterprise/site', "for example acme/northgate")
        except ValueError as error:
            yield Fault(("plant", "path"), str(error))
        try:
            ZoneInfo(plant.time_zone)
        except (ZoneInfoNotFoundError, ValueError):
            what = f'no time zone is called "{plant.time_zone}"'
            yield Fault(("plant", "time_zone"), what, "for example Europe/London")
    for place, calendar in draft.each("calendar", Calendar):
        for sentence in mistakes_in(calendar):
            yield Fault(place, sentence)


def _unique(draft: Draft) -> Iterator[Fault]:
    for table, key in _UNIQUE:
        seen: set[str] = set()
        for index, name in enumerate(draft.names(table, key)):
            if name in seen:
                yield Fault((table, index, key), f'another [[{table}]] has the {key} "{name}" already')
            seen.add(name)


def _zones(draft: Draft) -> Iterator[Fault]:
    zones = _zone_names(draft)
    kinds = {} if draft.names("zone", "name") else {zone.name: zone.kind for zone in STANDARD_ZONES}
    for place, zone in draft.each("zone", Zone):
        if not draft.stands_in((*place, "kind")):
            kinds[zone.name] = zone.kind
        for number, network in enumerate(zone.networks):
            try:
                ipaddress.ip_network(network)
            except ValueError as error:
                yield Fault((*place, "networks", number), str(error), "write it as 10.4.1.0/24")
    for place, conduit in draft.each("conduit", Conduit):
        for key, name in (("initiator", conduit.initiator), ("responder", conduit.responder)):
            if name not in zones:
                yield _unknown((*place, key), "zone", name, zones)
            elif kinds.get(name) is ZoneKind.SAFETY:
                what = f"a conduit may not end in the safety zone {name}"
                yield Fault((*place, key), what, "Isthmus never speaks with safety systems")
        yield from _direction(conduit, kinds, place)


def _zone_names(draft: Draft) -> list[str]:
    """The zones that may be named: the file's, or the standard ones where it has none."""
    return draft.names("zone", "name") or [zone.name for zone in STANDARD_ZONES]


def _direction(conduit: Conduit, kinds: Mapping[str, ZoneKind], place: Place) -> Iterator[Fault]:
    """Supervisory may poll control; everything else is dialled from the OT side outwards."""
    opens, dialled = kinds.get(conduit.initiator), kinds.get(conduit.responder)
    if opens is not None and dialled is not None and dials_inwards(opens, dialled):
        what = f"conduit {conduit.name} is opened from {conduit.initiator} towards OT"
        yield Fault((*place, "initiator"), what, "turn it round: the OT side dials, nothing opens a port towards it")


def _sources(draft: Draft) -> Iterator[Fault]:
    kinds = {zone.name: zone.kind for _, zone in draft.each("zone", Zone)}
    safe = [zone for _, zone in draft.each("zone", Zone) if zone.kind is ZoneKind.SAFETY]
    zones = _zone_names(draft)
    numbers = Tally(source_id(name) for name in set(draft.names("source", "name")))
    several = any(source.edge for _, source in draft.each("source", SourceSection))
    for place, source in draft.each("source", SourceSection):
        if numbers[source_id(source.name)] > 1:
            yield Fault((*place, "name"), f"{source.name} has the same number on the wire as another", "rename it")
        if several and not source.edge:
            what = f"source {source.name} names no edge, and others do"
            yield Fault(place, what, 'write edge = "..." as the edge that reads it is enrolled')
        if source.zone not in zones:
            yield _unknown((*place, "zone"), "zone", source.zone, zones)
        elif kinds.get(source.zone) is ZoneKind.SAFETY:
            what = f"source {source.name} stands in the safety zone {source.zone}"
            yield Fault((*place, "zone"), what, "Isthmus never reads safety systems")
        else:
            yield from _in_safety(source, place, safe)
        yield from _tags(source, place)
        if not source.has_waveforms:
            for number, tag in enumerate(tags_of(source)):
                if tag.kind is ValueKind.WAVEFORM:
                    what = f"tag {tag.name}: a source of this kind reads no waveforms"
                    yield Fault((*place, "tags", number, "kind"), what, "write f64, i64, bool or str")


def _in_safety(source: SourceSection, place: Place, safe: Sequence[Zone]) -> Iterator[Fault]:
    """An address within a safety zone's networks, whatever zone the source says. Names are not looked up."""
    key = "host" if hasattr(source, "host") else "url"
    said = str(getattr(source, key, ""))
    host = urlsplit(said).hostname if "://" in said else said
    for zone in safe:
        if any(_within(host, network) for network in zone.networks):
            what = f"source {source.name} dials {host}, which lies in the safety zone {zone.name}"
            yield Fault((*place, key), what, "Isthmus never reads safety systems")


def _approvals(draft: Draft) -> Iterator[Fault]:
    """What may be asked who it is: a mistake here would only show when somebody asks."""
    zones = [zone for _, zone in draft.each("zone", Zone) if all(_is_network(text) for text in zone.networks)]
    for place, approval in draft.each("identify", Approval):
        for what in approval_faults(approval, zones):
            yield Fault(place, what)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _within(host: str | None, network: str) -> bool:
    try:
        return ipaddress.ip_address(host or "") in ipaddress.ip_network(network)
    except ValueError:
        return False  # a name, or a network that is told as a mistake of its own


def _tags(source: SourceSection, place: Place) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, tag in enumerate(tags_of(source)):
        at = (*place, "tags", number)
        if tag.name in seen:
            yield Fault((*at, "name"), f"source {source.name} has two tags called {tag.name}")
        seen.add(tag.name)
        if tag.deadband and tag.kind is not ValueKind.F64:
            yield Fault((*at, "deadband"), f"{tag.name} is {tag.kind.value}; a deadband is for f64 alone")
        try:
            check_unit(tag.unit)
        except UnitMistake as error:
            if "install" not in str(error):  # a bare edge has no table of units; the site's check has
                yield Fault((*at, "unit"), str(error))


def _machines(draft: Draft) -> Iterator[Fault]:
    plant = draft.one("plant", PlantSection)
    calendars, zones = draft.names("calendar", "name"), _zone_names(draft)
    tags, kinds = _tags_by_name(draft)
    unusable = set(draft.names("source", "name")) - {source.name for _, source in draft.each("source", SourceSection)}
    for place, machine in draft.each("machine", Machine):
        try:
            check_path(f"{plant.path if plant else 'enterprise/site'}/{machine.path}")
            if machine.path.count("/") != 2:  # noqa: PLR2004  area, work centre, work unit
                yield Fault((*place, "path"), f'"{machine.path}" must be area/work-centre/work-unit')
        except ValueError as error:
            yield Fault((*place, "path"), str(error))
        if machine.calendar not in calendars:
            yield _unknown((*place, "calendar"), "calendar", machine.calendar, calendars)
        if machine.zone not in zones:
            yield _unknown((*place, "zone"), "zone", machine.zone, zones)
        for sentence in check_state(machine.state):
            yield Fault((*place, "state"), sentence)
        bound = {role: kinds[name] for role, name in machine.state.tags.items() if kinds.get(name) in _SINGLE}
        for sentence in check_kinds(machine.state, bound):
            yield Fault((*place, "state"), sentence)
        for at, name, wanted in _used(machine):
            if name.partition("/")[0] not in unusable:
                yield from _tag_used((*place, *at), name, tags, kinds.get(name), wanted)


def _tags_by_name(draft: Draft) -> tuple[dict[str, Tag], dict[str, ValueKind]]:
    """Every tag of every source by source/tag, and the kind of those whose kind can be read."""
    tags: dict[str, Tag] = {}
    kinds: dict[str, ValueKind] = {}
    for place, source in draft.each("source", SourceSection):
        for number, tag in enumerate(tags_of(source)):
            name = f"{source.name}/{tag.name}"
            tags[name] = tag
            if not draft.stands_in((*place, "tags", number, "kind")):
                kinds[name] = tag.kind
    return tags, kinds


_COUNTED: Final = (ValueKind.I64, ValueKind.F64)
_NUMBERED: Final = (ValueKind.STR, ValueKind.I64, ValueKind.F64)
_SINGLE: Final = (*_NUMBERED, ValueKind.BOOL)
_WANTED: Final = {
    _SINGLE: "a state follows from single values, not from bursts",
    _COUNTED: "a counter counts in i64 or f64",
    _NUMBERED: "an order, a lot or a code is a text or a number",
}


def _tag_used(
    place: Place, name: str, tags: Mapping[str, Tag], kind: ValueKind | None, wanted: tuple[ValueKind, ...]
) -> Iterator[Fault]:
    if name not in tags:
        yield Fault(place, f"no source has a tag {name}", nearest(name, list(tags)))
    elif kind is not None and kind not in wanted:
        yield Fault(place, f"{name} is {kind.value}; {_WANTED[wanted]}")
    elif tags[name].deadband:
        yield Fault(place, f"{name} has a deadband", "a state, counter or order must come unfiltered")


def _used(machine: Machine) -> Iterator[tuple[Place, str, tuple[ValueKind, ...]]]:
    """Every tag that a machine's section names: where, the name, and the kinds that it may have."""
    for role, name in machine.state.tags.items():
        yield ("state", "tags", role), name, _SINGLE
    for key in ("good", "total", "scrap", "rework"):
        counter: Counter | None = getattr(machine, key)
        if counter is not None:
            yield (key, "tag"), counter.tag, _COUNTED
    for key in ("order", "lot", "stop_code"):
        name = getattr(machine, key)
        if name is not None:
            yield (key,), name, _NUMBERED
    for material, name in machine.lots_in.items():
        yield ("lots_in", material), name, _NUMBERED


def _products(draft: Draft) -> Iterator[Fault]:
    paths = draft.names("machine", "path")
    for place, product in draft.each("product", Product):
        for number, cycle in enumerate(product.cycles):
            if cycle.machine != "*" and cycle.machine not in paths:
                yield _no_machine((*place, "cycles", number, "machine"), cycle.machine, paths)
    for place, reason in draft.each("reason", Reason):
        for number, path in enumerate(reason.machines):
            if path not in paths:
                yield _no_machine((*place, "machines", number), path, paths)


def _no_machine(place: Place, path: str, paths: Sequence[str]) -> Fault:
    return Fault(place, f'no [[machine]] has the path "{path}"', nearest(path, paths))
