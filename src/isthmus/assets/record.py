"""One record per device, from everything that was said of it, in whatever order and however often.

What was said is a set (AssetSeen). The record is a function of that set, so an import done twice, in
another order or in pieces gives the identical record. Devices are joined by, the strongest first:

    maker and serial         a device keeps them wherever it stands
    serial                   where the maker was not said
    chassis id               LLDP chassis, HART unique id, BACnet instance
    address within its zone  what answers there, as long as no two serials did
    module behind an address within the device that owns the address

A MAC address alone never joins two that say who they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from isthmus.assets.addresses import Places, is_group
from isthmus.assets.keys import maker_key, meaningful, serial_key, squeezed
from isthmus.assets.roles import Doing, doings, role_of
from isthmus.model.equipment import beside
from isthmus.model.inventory import digest
from isthmus.model.records.assets import AssetKnown, AssetSeen, Field, FlowSeen

_CONFIDENCE: Final = {"accepted": 1.0, "queried": 0.95, "observed": 0.9, "declared": 0.6}
_WEAK_METHODS: Final = ("browser", "nbns", "netbios", "dhcp", "traffic", "mqtt", "llmnr", "mdns", "arp")
_WEAK: Final = 0.7
_OF_SOFTWARE: Final = "BuildInfo"
"""In the method of what an OPC UA server says of its software: never another device beside the one with a nameplate."""
OWN_CARD: Final = "ARP"
"""The method of a statement that a MAC address is a device's own and no router's."""
_COURSES: Final = ("address", "behind", "firmware")
"""Fields whose changes in time matter."""
_FROM_SUBJECT: Final = ("address", "mac")


class _Said(NamedTuple):
    """One statement with its keys."""

    seen: AssetSeen
    fields: dict[str, str]
    zone: str
    strong: str
    """Key by maker and serial, or by chassis; "" without."""
    bare: str
    """Serial without a maker; "" where there is one."""

    @property
    def weight(self) -> tuple[int, str, str]:
        """An order that does not depend on who came first."""
        return (self.seen.time_ns, self.seen.source, self.seen.path)


def record(plant: str, seen: Iterable[AssetSeen], flows: Sequence[FlowSeen], places: Places) -> list[AssetKnown]:
    """Every device, by id. Facts carry `time_ns` 0 until they are logged."""
    everything = [_said(one, places) for one in joined(one for one in seen if not one.gone)]
    here = {(one.zone, one.seen.address) for one in everything if one.fields} | _public_here(flows, places)
    said = sorted((one for one in everything if not _of_the_internet(one, here, places)), key=lambda one: one.weight)
    groups = _grouped(said)
    does = doings(flows)
    known = {key: _known(plant, key, members, does) for key, members in groups.items()}
    return _with_parents(sorted(known.values(), key=lambda one: one.path), said, groups)


def joined(seen: Iterable[AssetSeen]) -> list[AssetSeen]:
    """The same statement said again is one statement over a longer time."""
    out: dict[str, AssetSeen] = {}
    for one in seen:
        before = out.get(one.path)
        out[one.path] = one if before is None else over_both(before, one)
    return list(out.values())


def over_both(one: AssetSeen, other: AssetSeen) -> AssetSeen:
    """The same statement said twice, over both times."""
    first = min(one, other, key=lambda each: (each.time_ns, each.frame))
    kept = {name: getattr(first, name) for name in first.__struct_fields__}
    return AssetSeen(**{**kept, "last_ns": max(one.last_ns, other.last_ns)})


def _public_here(flows: Sequence[FlowSeen], places: Places) -> set[tuple[str, str]]:
    """Public addresses that speak among themselves on the plant's own wire: somebody uses a public range inside."""
    both = (flow for flow in flows if places.outside(flow.client) and places.outside(flow.server))
    return {("", end) for flow in both for end in (flow.client, flow.server)}


def _of_the_internet(one: _Said, here: set[tuple[str, str]], places: Places) -> bool:
    """Whether all that is known is that packets came from an address outside, through a router."""
    through = one.seen.method == "traffic" and (one.zone, one.seen.address) not in here
    return through and places.outside(one.seen.address)


def _said(seen: AssetSeen, places: Places) -> _Said:
    fields = {name: text for name, value in seen.fields.items() if (text := meaningful(value))}
    serial, maker = serial_key(fields.get("serial", "")), maker_key(fields.get("maker", ""))
    chassis = serial_key(fields.get("chassis", ""))
    strong = f"serial {maker} {serial}" if serial and maker else ""
    if not serial and chassis:
        strong = f"chassis {chassis}"
    zone = places.zone(seen.address) or fields.get("zone", "")
    return _Said(seen, fields, zone, strong, serial if serial and not maker else "")


def _grouped(said: Sequence[_Said]) -> dict[str, list[_Said]]:
    """The statements by the key of the device they speak of."""
    strong = _strong(said)
    owners, modules = _owners(said, strong)
    known = _Known(owners, modules, _cards(said), _links(said, strong), _makers(said, strong))
    out: dict[str, list[_Said]] = defaultdict(list)
    for one in said:
        out[strong.get(one.seen.path) or _by_place(one, known)].append(one)
    return dict(out)


def _strong(said: Sequence[_Said]) -> dict[str, str]:
    """By statement the key of the device, where it says a serial or a chassis id.

    A serial without a maker is that of the one maker that has it; of several it is its own.
    """
    makers: dict[str, set[str]] = defaultdict(set)
    for one in said:
        if one.strong.startswith("serial "):
            makers[one.strong.rpartition(" ")[2]].add(one.strong)
    out = {}
    for one in said:
        if one.strong:
            out[one.seen.path] = one.strong
        elif one.bare:
            same = makers[one.bare]
            out[one.seen.path] = next(iter(same)) if len(same) == 1 else f"serial {one.bare}"
    return out


Spans = list[tuple[int, int, str]]
"""From when to when which device was there, by its key."""


def _owners(
    said: Sequence[_Said], strong: dict[str, str]
) -> tuple[dict[tuple[str, str], Spans], dict[tuple[str, str, str], Spans]]:
    """Which devices with a serial answered where, and when: by (zone, address) as themselves, and behind it by child."""
    spans: dict[tuple[str, str, str], dict[str, tuple[int, int]]] = defaultdict(dict)
    for one in said:
        key = strong.get(one.seen.path)
        if key and one.seen.address:
            at = spans[one.zone, one.seen.address, one.seen.child]
            first, last = at.get(key, (one.seen.time_ns, one.seen.last_ns))
            at[key] = (min(first, one.seen.time_ns), max(last, one.seen.last_ns))
    listed = {place: sorted((first, last, key) for key, (first, last) in at.items()) for place, at in spans.items()}
    return (
        {(zone, address): here for (zone, address, child), here in listed.items() if not child},
        {place: here for place, here in listed.items() if place[2]},
    )


class _Card(NamedTuple):
    """What stands behind a MAC address."""

    behind: set[tuple[str, str]]
    """Places (zone, address)."""
    own: set[tuple[str, str]]
    """Those that said by ARP that the card is theirs."""


def _cards(said: Sequence[_Said]) -> dict[str, _Card]:
    """By MAC, the places behind it."""
    out: dict[str, _Card] = {}
    for one in said:
        if one.seen.mac and one.seen.address:
            card = out.setdefault(one.seen.mac, _Card(set(), set()))
            card.behind.add((one.zone, one.seen.address))
            if one.seen.method == OWN_CARD:
                card.own.add((one.zone, one.seen.address))
    return out


class _Known(NamedTuple):
    """What is known of places and cards when a statement without a serial looks for its device."""

    owners: dict[tuple[str, str], Spans]
    modules: dict[tuple[str, str, str], Spans]
    cards: dict[str, _Card]
    links: dict[str, set[str]]
    makers: dict[tuple[str, str], set[str]]


def _links(said: Sequence[_Said], strong: dict[str, str]) -> dict[str, set[str]]:
    """By MAC, the devices that said a serial or chassis id right on the link, where no router passes it on."""
    out: dict[str, set[str]] = defaultdict(set)
    for one in said:
        if one.seen.mac and not one.seen.address and not one.seen.child and one.seen.path in strong:
            out[one.seen.mac].add(strong[one.seen.path])
    return out


def _makers(said: Sequence[_Said], strong: dict[str, str]) -> dict[tuple[str, str], set[str]]:
    """By place, the makers of the models that were said there without a serial."""
    out: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in said:
        if one.seen.path not in strong and not one.seen.child and (maker := _maker_of_model(one)):
            out[one.zone, one.seen.address].add(maker)
    return out


def _maker_of_model(one: _Said) -> str:
    """The maker where a model stands beside it: a maker alone may be that of the operating system."""
    if _OF_SOFTWARE in one.seen.method:
        return ""
    return maker_key(one.fields.get("maker", "")) if one.fields.get("model") else ""


def _by_place(one: _Said, known: _Known) -> str:
    """The key of a statement without a serial: whose place it is.

    What came without an address joins the one place that says the card is its own; a mere name, as of
    DHCP, also the one place that was ever seen behind the card.
    """
    seen = one.seen
    place = (one.zone, seen.address)
    if not seen.address:
        linked = known.links.get(seen.mac, set())
        if len(linked) == 1 and not seen.child:
            return next(iter(linked))
        card = known.cards.get(seen.mac, _Card(set(), set()))
        named_only = not (one.fields.get("maker") or one.fields.get("model"))
        behind = card.own or (card.behind if named_only else set())
        if len(behind) != 1 or seen.child:
            tail = f" {seen.child}" if seen.child else ""
            nameless = seen.mac or f"{one.fields.get('number', '')} {one.fields.get('name', '')}".strip() or seen.path
            return f"{'card' if seen.mac else 'listed'} {one.zone} {nameless}{tail}"
        place = next(iter(behind))
    maker = "" if seen.child else _maker_of_model(one)
    owner = _nearest(known.owners.get(place, []), seen.time_ns, maker)
    if not owner:
        # Two makers' models at one place are two devices, one after the other or behind one translated address.
        several = maker and (len(known.makers[place]) > 1 or place in known.owners)
        owner = f"address {place[0]} {place[1]}" + (f" {maker}" if several else "")
    if not seen.child:
        return owner
    return _nearest(known.modules.get((*place, seen.child), []), seen.time_ns, "") or f"module {owner} {seen.child}"


def _nearest(spans: Spans, time_ns: int, maker: str) -> str:
    """The device that owned the place at that time, or was the nearest to it; never one of another maker."""
    gaps = ((max(first - time_ns, time_ns - last, 0), key) for first, last, key in spans if _may_be_of(key, maker))
    return min(gaps, default=(0, ""))[1]


def _may_be_of(key: str, maker: str) -> bool:
    """Whether a device with this key may be of that maker; a key as "serial maker number" says its own."""
    kind, _, rest = key.partition(" ")
    own = rest.rpartition(" ")[0] if kind == "serial" else ""
    return not maker or not own or own == maker


def _known(plant: str, key: str, members: Sequence[_Said], does: dict[str, Doing]) -> AssetKnown:
    keys = _keys(key, members)
    fields = _fields(members)
    values: dict[str, list[str]] = defaultdict(list)
    for field in fields:
        if field.name != "role":
            values[field.name].append(field.value)
        elif field.how in ("declared", "accepted"):
            values["declared role"].append(field.value)
        else:
            values["role"].append(field.value)
    doing = _together([does[place] for place in _places_of(members) if place in does])
    role = role_of(values, doing)
    fields = [*fields, *_from_traffic(doing, members)]
    identity = digest(keys[0])
    return AssetKnown(
        path=beside(plant, "asset", identity),
        time_ns=0,
        keys=keys,
        aliases=tuple(sorted({digest(one) for one in keys})),
        zone=max((one.zone for one in members if one.zone), default=""),
        fields=tuple(sorted(fields, key=_rank)),
        role=role.role,
        role_why=role.why,
        first_ns=min(one.seen.time_ns for one in members),
        last_ns=max(one.seen.last_ns for one in members),
    )


def _keys(key: str, members: Sequence[_Said]) -> tuple[str, ...]:
    """The device's own key first, then the weaker ones by which a decision made before finds it."""
    weaker = {
        f"address {one.zone} {one.seen.address}" for one in members if one.seen.address and not one.seen.child
    } | {f"serial {one.bare}" for one in members if one.bare}
    return (key, *sorted(weaker - {key}))


def _places_of(members: Sequence[_Said]) -> list[str]:
    """Addresses of the device itself; a module has none of its own. A card is a place below IP."""
    found = {one.seen.address or one.seen.mac for one in members if not one.seen.child}
    return sorted(place for place in found if place)


def _together(found: Sequence[Doing]) -> Doing | None:
    if not found:
        return None
    out = Doing()
    for one in found:
        out.serves |= one.serves
        out.asks |= one.asks
        out.acts |= one.acts
        out.servers |= one.servers
        out.ports |= one.ports
    return out


def _from_traffic(doing: Doing | None, members: Sequence[_Said]) -> list[Field]:
    """Protocols and ports as the conversations show them."""
    if doing is None:
        return []
    first, last = min(one.seen.time_ns for one in members), max(one.seen.last_ns for one in members)
    found = {"protocols": sorted(doing.serves | doing.asks), "ports": sorted(doing.ports)}
    return [
        Field(
            name=name,
            value=", ".join(values),
            how="observed",
            method="traffic",
            confidence=0.9,
            first_ns=first,
            last_ns=last,
        )
        for name, values in found.items()
        if values
    ]


def _fields(members: Sequence[_Said]) -> list[Field]:
    """Each value of each field once per way of knowing it, with the span over which it was said.

    A place or a firmware that was left and taken up again stands once for each stay.
    """
    out: dict[tuple[str, str, str, str, int], Field] = {}
    stays: dict[tuple[str, str], tuple[str, int]] = {}
    for one in members:
        given = dict(one.fields)
        if one.seen.child:
            given |= {"behind": one.seen.address} if one.seen.address else {}
        else:
            given |= {name: getattr(one.seen, name) for name in _FROM_SUBJECT if getattr(one.seen, name)}
        for name, value in given.items():
            stay = 0
            if name in _COURSES:
                track = ("place" if name != "firmware" else name, one.seen.method)
                last, stay = stays.get(track, (value, 0))
                stay += last != value
                stays[track] = (value, stay)
            mark = (name, value, one.seen.how, one.seen.method, stay)
            before = out.get(mark)
            earlier = before is None or (one.seen.time_ns, one.seen.source, one.seen.frame) < (
                before.first_ns,
                before.source,
                before.frame,
            )
            out[mark] = Field(
                name=name,
                value=value,
                how=one.seen.how,
                method=one.seen.method,
                confidence=_confidence(one.seen),
                first_ns=one.seen.time_ns if before is None or earlier else before.first_ns,
                last_ns=max(one.seen.last_ns, before.last_ns if before else 0),
                source=one.seen.source if before is None or earlier else before.source,
                frame=one.seen.frame if before is None or earlier else before.frame,
            )
    return list(out.values())


def _confidence(seen: AssetSeen) -> float:
    base = _CONFIDENCE[seen.how]
    weak = seen.how == "observed" and any(word in seen.method.lower() for word in _WEAK_METHODS)
    return _WEAK if weak or _OF_SOFTWARE in seen.method else base


def _rank(field: Field) -> tuple[str, float, int, int, str, str]:
    """By field, then the surest, the newest, the one that looks like an order number, and the text itself."""
    order_number = field.name == "model" and any(sign.isdigit() for sign in squeezed(field.value))
    return (field.name, -field.confidence, -field.last_ns, not order_number, field.value, field.method)


def _with_parents(
    known: Sequence[AssetKnown], said: Sequence[_Said], groups: dict[str, list[_Said]]
) -> list[AssetKnown]:
    """Modules stand below the device that owns the address behind which they were seen last."""
    by_key = {one.keys[0]: one for one in known}
    of = {one.seen.path: key for key, members in groups.items() for one in members}
    at: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for each in said:
        if each.seen.address and not each.seen.child:
            mine = at[each.zone, each.seen.address]
            mine[of[each.seen.path]] = max(mine.get(of[each.seen.path], 0), each.seen.last_ns)
    out = []
    for asset in known:
        members = groups[asset.keys[0]]
        if any(not member.seen.child for member in members):
            out.append(asset)
            continue
        newest = max(members, key=lambda member: (member.seen.last_ns, member.weight))
        owners = at.get((newest.zone, newest.seen.address), {})
        parent = min(owners, key=lambda key: (-owners[key], key), default="")
        named = by_key[parent].path.rpartition("/")[2] if parent in by_key else ""
        role, why = (asset.role, asset.role_why) if asset.role else ("module", "stands behind another device's address")
        out.append(_replaced(asset, parent=named, role=role, role_why=why))
    return out


def _replaced(one: AssetKnown, **changes: str) -> AssetKnown:
    return AssetKnown(**{**{name: getattr(one, name) for name in one.__struct_fields__}, **changes})


def longer(field: Field, last_ns: int) -> Field:
    """The same value, seen up to a later moment."""
    kept = {name: getattr(field, name) for name in field.__struct_fields__}
    return Field(**{**kept, "last_ns": max(field.last_ns, last_ns)})


def is_device(address: str, mac: str) -> bool:
    """Whether an end of a conversation is a device: nobody's and everybody's address is none."""
    return bool(address or mac) and not is_group(address or mac)
