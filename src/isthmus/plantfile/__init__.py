"""Joins the sections of plant.toml, checks every part, and reports every mistake with its line."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from isthmus.edge.config import EdgeSection
from isthmus.edge.identify.config import Approval
from isthmus.edge.source import SourceSection
from isthmus.edge.sources import kinds as source_kinds
from isthmus.enterprise.config import ErpSection
from isthmus.enterprise.erps import kinds as erp_kinds
from isthmus.model.calendar import Calendar
from isthmus.model.errors import Mistake, PlantFileError
from isthmus.model.plant import KpiPolicy, Machine, Plant, PlantSection, Product, Reason
from isthmus.model.zones import STANDARD_ZONES, Conduit, Zone
from isthmus.plantfile.checks import faults_between, tags_of
from isthmus.plantfile.draft import draft_of
from isthmus.plantfile.lines import Place, line_at, lines_of
from isthmus.plantfile.shape import Fault, element_type, faults_in, from_toml, nearest
from isthmus.site.config import HistorianSection, SiteSection
from isthmus.site.publish.bus import BusSection
from isthmus.site.publish.buses import kinds as bus_kinds
from isthmus.web.config import WebSection

__all__ = ["PlantFile", "Sections", "load", "read", "tags_of"]

STANDARD_CONDUITS = (
    Conduit(
        name="uplink",
        initiator="supervisory",
        responder="enterprise",
        protocols=("https",),
        purpose="machine data to the site",
        lost_when_cut="live pages and ERP reports; nothing is lost, the edge keeps it",
    ),
)


class Sections(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """plant.toml as a whole: one field per table. Editors' schema and the reference are made from it."""

    plant: PlantSection
    calendar: tuple[Calendar, ...] = ()
    zone: tuple[Zone, ...] = ()
    conduit: tuple[Conduit, ...] = ()
    source: tuple[SourceSection, ...] = ()
    identify: tuple[Approval, ...] = ()
    machine: tuple[Machine, ...] = ()
    product: tuple[Product, ...] = ()
    reason: tuple[Reason, ...] = ()
    kpi: KpiPolicy = KpiPolicy()
    edge: EdgeSection = EdgeSection()
    site: SiteSection = SiteSection()
    historian: HistorianSection = HistorianSection()
    web: WebSection = WebSection()
    erp: ErpSection | None = None
    bus: BusSection | None = None


KINDED: Mapping[str, Callable[[], Mapping[str, Any]]] = {"source": source_kinds, "erp": erp_kinds, "bus": bus_kinds}
"""Tables whose class is named by their `kind`, found among the files of a folder."""


class PlantFile(msgspec.Struct, frozen=True, kw_only=True):
    """A plant file that is fit for use."""

    file: Path
    plant: Plant
    zones: tuple[Zone, ...]
    conduits: tuple[Conduit, ...]
    sources: tuple[SourceSection, ...]
    identify: tuple[Approval, ...]
    edge: EdgeSection
    site: SiteSection
    historian: HistorianSection
    web: WebSection
    erp: ErpSection | None
    bus: BusSection | None = None


def load(file: Path) -> PlantFile:
    """The plant file, checked. Raises PlantFileError with every mistake in it."""
    plant_file, mistakes = read(file)
    if plant_file is None:
        raise PlantFileError(mistakes)
    return plant_file


def read(file: Path) -> tuple[PlantFile | None, Sequence[Mistake]]:
    """The plant file, or None with every mistake in it, in the order of the file."""
    try:
        text = file.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except FileNotFoundError:
        return None, [Mistake(file, 0, "there is no such file", "`isthmus init` writes one to begin with")]
    except (OSError, UnicodeDecodeError) as error:
        return None, [Mistake(file, 0, f"it cannot be read: {error}")]
    except tomllib.TOMLDecodeError as error:
        return None, [_syntax_mistake(file, text, error)]
    faults = list(_faults(raw))
    draft = draft_of(raw, _section_types(raw))
    faults += [fault for fault in faults_between(draft) if not draft.stands_in(fault.place)]
    if not faults:
        return _joined(file, _convert(raw)), []
    places = lines_of(text)
    mistakes = {Mistake(file, line_at(places, fault.place), fault.what, fault.mend) for fault in faults}
    return None, sorted(mistakes, key=lambda mistake: (mistake.line, mistake.what))


def _faults(raw: Mapping[str, Any]) -> list[Fault]:
    """What is wrong with each section by itself; a source is judged by its own protocol's class."""
    plain = {key: value for key, value in raw.items() if key not in KINDED}
    out = [fault for fault in faults_in(plain, Sections, ()) if fault.place or "plant" in fault.what]
    for table, kinds in KINDED.items():
        if table == "source" and not isinstance(raw.get(table, []), list):
            out.append(Fault((table,), "write [[source]] with two brackets: there may be several"))
        elif isinstance(raw.get(table), list):
            for index, element in enumerate(raw[table]):
                out += _faults_by_kind(element, kinds(), (table, index))
        elif table in raw:
            out += _faults_by_kind(raw[table], kinds(), (table,))
    return out


def _faults_by_kind(element: Any, known: Mapping[str, Any], place: Place) -> Iterator[Fault]:  # noqa: ANN401
    """What is wrong with a table whose class is named by its `kind`."""
    kind = element.get("kind") if isinstance(element, Mapping) else None
    if kind is None:
        yield Fault(place, "kind is missing", f"known here: {', '.join(known)}")
    elif kind not in known:
        yield Fault((*place, "kind"), f'nothing is called "{kind}" here', nearest(str(kind), list(known)))
    else:
        yield from faults_in(element, known[kind], place)


def _section_types(raw: Mapping[str, Any]) -> Callable[[str, int], Any]:
    """The class of one element of a table, by the table's name and the element's index."""
    fields = {field.name: field.type for field in msgspec.structs.fields(Sections)}

    def of(table: str, index: int) -> Any:  # noqa: ANN401  types are values here
        if table in KINDED:
            element = raw[table][index] if isinstance(raw[table], list) else raw[table]
            return KINDED[table]().get(str(element.get("kind")))
        return element_type(fields.get(table))

    return of


def _convert(raw: Mapping[str, Any]) -> Sections:
    plain = from_toml({key: value for key, value in raw.items() if key not in KINDED}, Sections)
    sources = tuple(from_toml(source, source_kinds()[source["kind"]]) for source in raw.get("source", ()))
    erp = from_toml(raw["erp"], erp_kinds()[raw["erp"]["kind"]]) if "erp" in raw else None
    bus = from_toml(raw["bus"], bus_kinds()[raw["bus"]["kind"]]) if "bus" in raw else None
    return msgspec.structs.replace(plain, source=sources, erp=erp, bus=bus)


def _joined(file: Path, sections: Sections) -> PlantFile:
    root = sections.plant.path
    machines = {
        path: msgspec.structs.replace(machine, path=path)
        for machine in sections.machine
        for path in (f"{root}/{machine.path}",)
    }
    plant = Plant(
        name=sections.plant.name,
        path=root,
        time_zone=sections.plant.time_zone,
        currency=sections.plant.currency,
        calendars={calendar.name: calendar for calendar in sections.calendar},
        machines=machines,
        products={product.code: product for product in sections.product},
        reasons={reason.code: reason for reason in sections.reason},
        kpi=sections.kpi,
    )
    return PlantFile(
        file=file,
        plant=plant,
        zones=sections.zone or STANDARD_ZONES,
        conduits=sections.conduit or STANDARD_CONDUITS,
        sources=sections.source,
        identify=sections.identify,
        edge=sections.edge,
        site=sections.site,
        historian=sections.historian,
        web=sections.web,
        erp=sections.erp,
        bus=sections.bus,
    )


def _syntax_mistake(file: Path, text: str, error: tomllib.TOMLDecodeError) -> Mistake:
    message, mark, place = str(error).partition(" (at line ")
    line = int(place.partition(",")[0]) if mark else text.count("\n") + 1
    shown = text.split("\n")[line - 1].strip()
    return Mistake(file, line, f"this is not TOML: {message.lower()}", f"the line reads: {shown}" if shown else "")
