"""Which column of a list means which field: guessed from its name, and changed by the person where wrong."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from isthmus.assets.declared.tables import Table
from isthmus.assets.heard import seen
from isthmus.assets.keys import meaningful
from isthmus.model.errors import UsageError
from isthmus.model.inventory import ATTRIBUTES, MORE
from isthmus.model.records.assets import AssetSeen

LEFT_OUT: Final = "-"
_KNOWN: Final[Mapping[str, str]] = {
    name: field
    for field, names in {
        "address": "address ip ipaddress ipaddr ipv4 ipv4address hostip primaryip primaryip4 primaryipaddress primaryip4address sourceip networkaddress",
        "mac": "mac macaddress ethernetaddress hardwareaddress physicaladdress sourcemac",
        "name": "name hostname host devicename systemname fqdn dnsname stationname assetname sourcehostname",
        "maker": "maker manufacturer vendor vendorname make brand oem devicetypemanufacturername manufacturername",
        "model": "model modelname modelnumber devicetype devicetypemodel product productname ordernumber partnumber catalognumber catalog mlfb type typ partno articlenumber",
        "firmware": "firmware firmwareversion fwversion fw softwareversion swversion version revision fwrevision",
        "serial": "serial serialnumber serialno sn seriennummer",
        "role": "role devicerole assettype function category assetrole rolename devicerolename",
        "os": "os operatingsystem platform platformname osname",
        "os_version": "osversion oslevel servicepack",
        "number": "assetnumber assettag inventorynumber assetid tagnumber equipmentnumber",
        "criticality": "criticality critical importance priority businesscriticality",
        "location": "location physicallocation place building room area locationname rack rackname site sitename",
        "owner": "owner department assetowner responsible tenant tenantname contact",
        "zone": "zone securityzone purduezone networkzone",
        "protocols": "protocols protocol activeprotocols supportedprotocols",
        "ports": "ports services portsandservices openports",
        "accounts": "accounts useraccounts users",
        "logging": "logging logs logged",
        "backup": "backup backupfrequency backups lastbackup",
        "baseline": "baseline baselineimage image goldenimage",
        "distributor": "distributor supplier reseller dealer",
        "physical": "physicalorvirtual virtual physical formfactor",
        "vlan": "vlan vlanid",
        "antivirus": "antivirus av endpointprotection",
        "made": "dateofmanufacture manufacturedate built yearofmanufacture",
        "hypervisor": "hypervisor vmhost",
        "hypervisor_place": "locationinhypervisor datastore cluster",
        "time_zone": "timezone localtimezone tz",
        "time_source": "timesource ntp ntpserver",
        "monitoring": "monitoring networkmonitoring",
        "notes": "notes note comment comments description remarks",
        "medium": "primarycommunicationmethod medium communication connection",
        "tags": "tags labels",
        "hardware": "hardware hardwareversion hwversion hwrevision",
        "supported_until": "supporteduntil endoflife eol endofsupport eos",
        "family": "family productfamily series",
    }.items()
    for name in names.split()
}
_FIELDS: Final = frozenset({*ATTRIBUTES, *MORE})
_MAC: Final = re.compile(r"[0-9a-f]{12}")
_NAMING: Final = ("address", "mac", "serial", "name", "number")


class Column(NamedTuple):
    """A column and the field that it means; "" when nothing is known of it."""

    name: str
    field: str
    sure: bool
    """False when only a part of the name told it."""


class Declared(NamedTuple):
    """The statements of a list, and the rows that are none."""

    seen: list[AssetSeen]
    not_fitting: list[str]


def guess(columns: Sequence[str], wanted: Mapping[str, str] | None = None) -> list[Column]:
    """Each column with its field; `wanted` maps names of columns to fields, or to "-" to leave one out.

    Raises UsageError for a column or field that there is not.
    """
    given = dict(wanted or {})
    wrong = [f"no column {name!r}; there are {', '.join(columns)}" for name in given if name not in columns]
    wrong += [
        f"no field {field!r}; there are {', '.join(sorted(_FIELDS))}"
        for field in given.values()
        if field not in _FIELDS and field != LEFT_OUT
    ]
    if wrong:
        raise UsageError("\n".join(wrong))
    out: list[Column] = []
    taken = set(given.values())
    for name in columns:
        if name in given:
            out.append(Column(name, "" if given[name] == LEFT_OUT else given[name], sure=True))
            continue
        bare = re.sub(r"[^a-z0-9]", "", name.lower())
        field, sure = _KNOWN.get(bare, ""), True
        if not field:
            last = re.sub(r"[^a-z0-9]", "", re.split(r"[._]", name.lower())[-1])
            field, sure = _KNOWN.get(last, "") if "." in name else "", False
        if field in taken:
            field = ""
        taken.add(field)
        out.append(Column(name, field, sure))
    return out


def statements(  # noqa: PLR0913  a list, where it came from and when
    plant: str, table: Table, columns: Iterable[Column], *, source: str, time_ns: int, method: str = "spreadsheet"
) -> Declared:
    """The rows as statements; a row that names no device, or has an impossible address, is listed."""
    fields = {column.name: column.field for column in columns if column.field}
    out: list[AssetSeen] = []
    wrong = list(table.not_fitting)
    for line, row in table.rows:
        told = {field: meaningful(row.get(name, "")) for name, field in fields.items()}
        told = {field: value for field, value in told.items() if value}
        try:
            address, mac = _address(told.pop("address", "")), _mac(told.pop("mac", ""))
        except ValueError as error:
            wrong.append(f"line {line}: {error}")
            continue
        if not (address or mac or any(told.get(name) for name in _NAMING)):
            wrong.append(f"line {line} names no device: it has no address, MAC, serial, name or asset number")
            continue
        out.append(
            seen(
                plant,
                source=source,
                frame=line,
                first_ns=time_ns,
                last_ns=time_ns,
                how="declared",
                method=method,
                address=address,
                mac=mac,
                fields=told,
            )
        )
    return Declared(out, wrong)


def checked(field: str, value: str) -> str:
    """A value of a field as the record has it. Raises ValueError in plain words for one that it cannot have."""
    if field == "address":
        return _address(value)
    if field == "mac":
        return _mac(value)
    return value


def _address(text: str) -> str:
    """One address, without a prefix length or port. Raises ValueError in plain words."""
    if not text:
        return ""
    bare = text.strip().partition("/")[0].partition(" ")[0].rstrip(",;")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError as error:
        msg = f"{text!r} is no IP address"
        raise ValueError(msg) from error


def _mac(text: str) -> str:
    if not text:
        return ""
    bare = re.sub(r"[^0-9a-f]", "", text.lower())
    if not _MAC.fullmatch(bare):
        msg = f"{text!r} is no MAC address"
        raise ValueError(msg)
    return ":".join(bare[index : index + 2] for index in range(0, 12, 2))
