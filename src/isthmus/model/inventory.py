"""The words of the asset record that more than one room uses: fields, findings, and how each is spoken of.

The 32 attributes are those of CISA and partners, Foundations for OT Cybersecurity: Asset Inventory
Guidance (13 August 2025), appendix A.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Priority = Literal["high", "medium", "low"]


class Attribute(NamedTuple):
    """One field of an asset. `spoken` is how a person calls it."""

    spoken: str
    priority: Priority


ATTRIBUTES: Final[Mapping[str, Attribute]] = {
    "protocols": Attribute("Active and supported protocols", "high"),
    "criticality": Attribute("Criticality", "high"),
    "number": Attribute("Asset number", "high"),
    "role": Attribute("Role or type", "high"),
    "name": Attribute("Name or host name", "high"),
    "address": Attribute("IP address", "high"),
    "logging": Attribute("Logging", "high"),
    "mac": Attribute("MAC address", "high"),
    "maker": Attribute("Manufacturer", "high"),
    "model": Attribute("Model", "high"),
    "os": Attribute("Operating system", "high"),
    "location": Attribute("Physical location", "high"),
    "ports": Attribute("Ports and services", "high"),
    "accounts": Attribute("User accounts", "high"),
    "backup": Attribute("Backup frequency and type", "medium"),
    "baseline": Attribute("Baseline image", "medium"),
    "owner": Attribute("Department or owner", "medium"),
    "distributor": Attribute("Distributor", "medium"),
    "firmware": Attribute("Firmware or software version", "medium"),
    "os_version": Attribute("Operating system version", "medium"),
    "physical": Attribute("Physical or virtual", "medium"),
    "vlan": Attribute("VLAN", "medium"),
    "antivirus": Attribute("Antivirus", "low"),
    "made": Attribute("Date of manufacture", "low"),
    "hypervisor": Attribute("Hypervisor", "low"),
    "time_zone": Attribute("Local time zone", "low"),
    "hypervisor_place": Attribute("Location in the hypervisor", "low"),
    "monitoring": Attribute("Network monitoring", "low"),
    "notes": Attribute("Notes", "low"),
    "medium": Attribute("Primary communication method", "low"),
    "serial": Attribute("Serial number", "low"),
    "time_source": Attribute("Time source", "low"),
}
"""The 14 high, 8 medium and 10 low attributes, in the guidance's order."""

MORE: Final[Mapping[str, str]] = {
    "order_number": "Order number",
    "chassis": "Chassis id",
    "behind": "Seen behind address",
    "card": "Network card made by",
    "zone": "Zone",
    "tags": "Tags",
    "hardware": "Hardware version",
    "family": "Product family",
    "source": "Read by source",
    "software": "Server software",
    "software_maker": "Server software made by",
    "product_instance_uri": "Product instance",
    "maker_uri": "Manufacturer's URI",
    "manual": "Manual",
    "component": "Component name",
    "application_uri": "OPC UA application URI",
    "product_uri": "OPC UA product URI",
    "server_certificate": "OPC UA certificate, SHA-256",
    "supported_until": "Supported until",
}
"""Fields beyond the guidance's."""

FIRST: Final = (
    *("name", "role", "maker", "model", "family", "order_number", "serial", "firmware", "hardware", "os", "os_version"),
    *("address", "behind", "mac", "card", "zone", "location", "source", "protocols", "ports"),
)
"""What a person looks for first of all in a device's record, in this order."""

DETAIL: Final = frozenset(
    {
        *("namespaces", "endpoints", "server_certificate", "application_uri", "product_uri", "product_instance_uri"),
        *("maker_uri", "build", "uuid", "sender", "instance", "agent", "devices", "unit", "url", "application uri"),
    }
)
"""What only matters to whoever looks into one protocol."""

FINDINGS: Final[Mapping[str, str]] = {
    "unexpected connectivity": "Unexpected connection",
    "engineering access": "Engineering access",
    "safety zone access": "Safety access",
    "drift": "Firmware drift",
    "identity": "Identity",
    "firmware": "Firmware",
    "weak protocol": "Clear text or weak protocol",
    "end of life": "End of life",
    "remote access": "Unmanaged remote access",
    "new talker": "New talker",
    "new function": "New function",
}
"""What a finding may be about, and how a person calls it."""

ROLES: Final[Mapping[str, str]] = {
    "safety": "Safety controller",
    "controller": "Controller",
    "machine": "Machine",
    "hmi": "HMI",
    "engineering": "Engineering station",
    "historian": "Historian",
    "drive": "Drive",
    "meter": "Meter",
    "io": "Remote I/O",
    "gateway": "Gateway",
    "switch": "Switch or router",
    "server": "Server",
    "computer": "Computer",
    "module": "Module",
    "": "Not known",
}

SENSITIVE: Final = frozenset(
    {"firmware", "os_version", "address", "mac", "serial", "ports", "accounts", "chassis", "behind"}
)
"""What makes the record an attacker's map; only some roles see it, and a redacted export has none of it."""


ASKED: Final = "isthmus audit identify"
"""Application name in a capture of what we asked ourselves: its answers were asked for, not overheard."""


def spoken(field: str) -> str:
    """How a person calls a field.

    >>> spoken("os")
    'Operating system'
    """
    known = ATTRIBUTES.get(field)
    return known.spoken if known else MORE.get(field, field.replace("_", " ").capitalize())


def digest(*parts: str) -> str:
    """A short name for a thing that is told by its parts; the same parts give the same name.

    >>> digest("serial", "rockwell", "0051aec3")
    'c62bcf932ab2'
    """
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=6).hexdigest()


def talk(client: str, server: str, service: str, function: str) -> str:
    """What is normal, as one line of a baseline.

    >>> talk("10.0.0.5", "10.0.0.9", "modbus", "read holding registers")
    '10.0.0.5 10.0.0.9 modbus: read holding registers'
    """
    return f"{client} {server} {service}" + (f": {function}" if function else "")
