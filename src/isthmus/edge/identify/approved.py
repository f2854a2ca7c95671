"""Who may be asked: denied unless a person approved it, and never in a safety zone, whatever stands in the list.

An address is judged by everything it may reach: an IPv4 address wrapped into an IPv6 one is that IPv4 address.
Names are not taken at all, since whoever runs the name server could point one elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from isthmus.edge.identify.config import LONGEST, Approval
from isthmus.edge.identify.protocols import askings
from isthmus.model.zones import Zone, ZoneKind

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_TRANSLATED: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""Prefixes behind which the last four bytes are an IPv4 address: NAT64 (RFC 6052), and the old compatible form."""


class Target(NamedTuple):
    """One approved device, and why it may not be asked now; "" when it may."""

    approval: Approval
    address: str
    """As it is dialled; an IPv4 address wrapped into an IPv6 one is unwrapped."""
    port: int
    segment: str
    """Where at most one device is asked at a time: its zone and network."""
    refused: str

    @property
    def name(self) -> str:
        """As people say it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def targets(approvals: Sequence[Approval], zones: Sequence[Zone], now: datetime) -> list[Target]:
    """Every approval, in the order of the plant file, with its refusal."""
    out: list[Target] = []
    taken: set[str] = set()
    for approval in approvals:
        address = _address(approval.address)
        why = next(faults(approval, zones), "") or _not_now(approval, now)
        dialled = str(_unwrapped(address)) if address else approval.address
        if not why and dialled in taken:
            why = "one connection for each device and round: ask it by this protocol in a round of its own (--protocol)"
        if not why:
            taken.add(dialled)
        port = approval.port or askings()[approval.protocol].PORT
        out.append(Target(approval, dialled, port, _segment(address, zones), why))
    return out


def faults(approval: Approval, zones: Sequence[Zone]) -> Iterator[str]:
    """Why it may never be asked, whatever the time: what a person must mend in the plant file."""
    yield from refusals(approval.address, zones)
    if approval.ends <= approval.begins:
        yield "the window ends before it begins"
    elif approval.ends - approval.begins > LONGEST:
        yield f"the window is longer than {LONGEST.days} days"
    if approval.protocol == "snmp" and not approval.community:
        yield "snmp needs the community to read with; none is guessed"
    if len(approval.community.encode()) > 32:  # noqa: PLR2004  as its hole
        yield "the community is longer than 32 bytes"
    if approval.slots and approval.protocol != "ethernet-ip":
        yield "only ethernet-ip knows slots of a backplane"


def refusals(said: str, zones: Sequence[Zone]) -> Iterator[str]:
    """Why an address may never be asked, the gravest first."""
    address = _address(said)
    if address is None:
        yield f"{said} is no IP address: names are not taken, they can be pointed elsewhere"
        return
    for zone in zones:
        if zone.kind is not ZoneKind.SAFETY:
            continue
        if not zone.networks:
            yield f"safety zone {zone.name} names no networks, so nobody can tell which addresses are its own"
        elif any(one in net for one in _reached(address) for net in _networks(zone) if one.version == net.version):
            yield f"{said} lies in the safety zone {zone.name}: safety systems are never asked"
    plain = _unwrapped(address)
    if (
        plain.is_multicast
        or plain.is_unspecified
        or str(plain) == "255.255.255.255"
        or getattr(plain, "scope_id", None)
    ):
        yield f"{said} is not the address of one device"
    own = [(net, zone) for zone in zones for net in _networks(zone) if plain.version == net.version and plain in net]
    if not own:
        yield f"{said} lies in no [[zone]] of the plant file: give the zone it stands in its networks"
    elif plain.version == 4 and (str(plain).endswith(".255") or any(_stands_for_many(plain, net) for net, _ in own)):  # noqa: PLR2004  IPv4
        yield f"{said} may be a broadcast address, not one device"


def _not_now(approval: Approval, now: datetime) -> str:
    if now < approval.begins:
        return f"outside its window: it begins {_moment(approval.begins)}"
    if now >= approval.ends:
        return f"outside its window: it ended {_moment(approval.ends)}"
    return ""


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _address(said: str) -> Address | None:
    try:
        return ipaddress.ip_address(said)
    except ValueError:
        return None


def _unwrapped(address: Address) -> Address:
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _reached(address: Address) -> set[Address]:
    """The address and every other that packets to it may end at."""
    out: set[Address] = {address, _unwrapped(address)}
    if isinstance(address, ipaddress.IPv6Address):
        out |= {one for one in (address.sixtofour, *(address.teredo or ())) if one}
        if any(address in net for net in _TRANSLATED):
            out.add(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return out


def _networks(zone: Zone) -> list[Network]:
    out: list[Network] = []
    for text in zone.networks:
        net = ipaddress.ip_network(text, strict=False)
        if isinstance(net, ipaddress.IPv6Network) and net.subnet_of(_MAPPED):
            net = ipaddress.ip_network((int(net.network_address) & 0xFFFFFFFF, net.prefixlen - 96))
        out.append(net)
    return out


def _stands_for_many(address: Address, net: Network) -> bool:
    return net.num_addresses > 2 and address in {net.broadcast_address, net.network_address}  # noqa: PLR2004  RFC 3021


def _segment(address: Address | None, zones: Sequence[Zone]) -> str:
    """The widest network of any zone that holds it: the wider, the fewer devices are asked at once."""
    if address is None:
        return ""
    plain = _unwrapped(address)
    own = [
        (net, zone.name) for zone in zones for net in _networks(zone) if plain.version == net.version and plain in net
    ]
    net, name = min(own, key=lambda pair: pair[0].prefixlen, default=(None, ""))
    return f"{name} {net}" if net else ""
