"""Whose an address is: a zone's of the plant, a private one, one for groups, or the internet's."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from isthmus.model.zones import Zone, ZoneKind

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_CARRIER = ipaddress.ip_network("100.64.0.0/10")


@lru_cache(maxsize=200_000)
def parse(text: str) -> _Address | None:
    """The address, or None for a MAC or what is none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_group(text: str) -> bool:
    """Whether it stands for many: multicast, broadcast, or the address of nobody.

    >>> is_group("224.0.0.22"), is_group("ff:ff:ff:ff:ff:ff"), is_group("10.0.0.8"), is_group("01:0e:cf:00:00:00")
    (True, True, False, True)
    """
    address = parse(text)
    if address is None:
        first = text.partition(":")[0]
        return not text or (len(first) == 2 and first != "" and _odd(first))  # noqa: PLR2004  an octet
    return address.is_multicast or address.is_unspecified or text.endswith(".255") or text == "255.255.255.255"


def _odd(octet: str) -> bool:
    try:
        return bool(int(octet, 16) & 1)
    except ValueError:
        return False


class Places:
    """The plant's zones by their networks, with the ranges that are its own although they are public."""

    def __init__(self, zones: Sequence[Zone] = (), internal: Sequence[str] = ()) -> None:
        """Raises ValueError for a range that is none."""
        pairs = [
            (ipaddress.ip_network(network, strict=False), zone.name) for zone in zones for network in zone.networks
        ]
        self._nets = sorted(pairs, key=lambda pair: -pair[0].prefixlen)
        self._internal = [ipaddress.ip_network(network, strict=False) for network in internal]
        self.kinds = {zone.name: zone.kind for zone in zones}
        self._found: dict[str, str] = {}

    def zone(self, text: str) -> str:
        """The zone in whose narrowest network the address stands; "" for none."""
        if text not in self._found:
            address = parse(text)
            self._found[text] = next(
                (name for net, name in self._nets if address and address.version == net.version and address in net), ""
            )
        return self._found[text]

    def kind(self, zone: str) -> ZoneKind | None:
        """What sort of zone it is; None for one that nobody declared."""
        return self.kinds.get(zone)

    def outside(self, text: str) -> bool:
        """Whether it is of the internet and not declared to be the plant's own."""
        address = parse(text)
        if address is None or self.zone(text) or is_group(text):
            return False
        if address in _CARRIER if address.version == _CARRIER.version else False:
            return False
        if any(address.version == net.version and address in net for net in self._internal):
            return False
        return address.is_global
