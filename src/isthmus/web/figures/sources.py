"""How each source fares, in words: what it is, since when it is silent and why, and which tags cannot be read."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from isthmus.model.equipment import named
from isthmus.model.plant import Machine
from isthmus.model.records.edge import TagFault
from isthmus.web.house import House


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One source as its edge last told of it."""

    name: str
    state: str
    since_ns: int
    cause: str
    last_contact_ns: int | None
    next_try_ns: int | None
    address: str
    security: str
    tags: int
    faults: tuple[TagFault, ...]
    device: str = ""
    """Maker, model and firmware, as the device said when asked."""
    machines: tuple[str, ...] = ()
    """Names of the machines that read from it."""
    edge: str = ""
    """The edge that asks it; "" until one has spoken for it since the site began to listen."""
    unheard_since_ns: int | None = None
    """Since when its edge is silent, so that nothing is known of the source itself."""

    @property
    def up(self) -> bool:
        """Whether it delivers."""
        return self.state == "up"


def all_sources(house: House) -> list[Source]:
    """Every source that was ever told of, by name; those of the plant file that were not are `never seen`."""
    devices = {row["path"]: row for row in house.site.views.query("SELECT * FROM connections_device")}
    machines = machines_by_source(house)
    out = {}
    for row in house.site.views.query("SELECT * FROM connections_source"):
        name = named(row["path"], "source") or row["path"]
        device = devices.get(row["path"])
        said = " ".join(filter(None, (device["maker"], device["model"], device["firmware"]))) if device else ""
        out[name] = Source(
            name=name,
            state=row["state"],
            since_ns=row["time_ns"],
            cause=row["cause"],
            last_contact_ns=row["last_contact_ns"],
            next_try_ns=row["next_try_ns"],
            address=row["address"],
            security=row["security"],
            tags=row["tags"],
            faults=tuple(msgspec.json.decode(row["faults"], type=list[TagFault])),
            device=said,
            machines=machines.get(name, ()),
            edge=house.site.contact.edge_of(name),
        )
    return [_unheard(house, out[name]) for name in sorted(out)]


def _unheard(house: House, source: Source) -> Source:
    """The source as it is known here: what its edge said last holds no more once the edge is silent."""
    since_ns = house.site.contact.silent_since(source.name, house.clock())
    if since_ns is None:
        return source
    cause = "Its edge is not heard; the edge keeps what it reads"
    return msgspec.structs.replace(
        source, state="away", cause=cause, last_contact_ns=since_ns, next_try_ns=None, unheard_since_ns=since_ns
    )


def machines_by_source(house: House) -> dict[str, tuple[str, ...]]:
    """Names of the machines that read from each source."""
    out: dict[str, tuple[str, ...]] = {}
    for machine in house.site.plant.machines.values():
        for source in sources_of(machine):
            out[source] = (*out.get(source, ()), machine.name)
    return out


def machines_of(house: House, source: str) -> list[Machine]:
    """The machines that read from a source."""
    return [machine for machine in house.site.plant.machines.values() if source in sources_of(machine)]


@lru_cache(maxsize=8)
def shared(house: House) -> frozenset[str]:
    """Sources that serve more than one machine; the plant file of a running site does not change."""
    return frozenset(source for source, machines in machines_by_source(house).items() if len(machines) > 1)


def tags_of(machine: Machine) -> list[str]:
    """The tags that a machine's own figures are made of, each once."""
    counters = (machine.good, machine.total, machine.scrap, machine.rework)
    tags = [*machine.state.tags.values(), *(counter.tag for counter in counters if counter)]
    tags += [tag for tag in (machine.order, machine.stop_code) if tag]
    return list(dict.fromkeys(tags))


def sources_of(machine: Machine) -> list[str]:
    """The sources behind a machine's tags, each once."""
    return list(dict.fromkeys(tag.partition("/")[0] for tag in tags_of(machine)))
