"""Which column of a list means which field: guessed from its name, and changed by the person where wrong."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from isthmus.assets.declared.tables import Table
from isthmus.assets.heard import seen
from isthmus.assets.keys import maker_key, meaningful, serial_key
from isthmus.model.errors import UsageError
from isthmus.model.inventory import ATTRIBUTES, MORE
from isthmus.model.records.assets import AssetSeen

LEFT_OUT: Final = "-"
_KNOWN: Final[Mapping[str, str]] = {
    name: field
    for field, names in {
        "address": "address ip ipaddress ipaddr ipv4 ipv4address hostip ipadresse adresse netzwerkadresse adresseip primaryip primaryip4 primaryipaddress primaryip4address sourceip networkaddress",
        "mac": "mac macaddress ethernetaddress hardwareaddress physicaladdress sourcemac macadresse hardwareadresse",
        "name": "name hostname host devicename systemname fqdn dnsname stationname assetname sourcehostname bezeichnung geraetename rechnername stationsname anlagenname",
        "maker": "maker manufacturer vendor vendorname make brand oem devicetypemanufacturername manufacturername hersteller fabrikat fabricant",
        "model": "model modelname modelnumber devicetype devicetypemodel product productname ordernumber partnumber catalognumber catalog mlfb type typ partno articlenumber artikelnummer bestellnummer geraetetyp modell modele",
        "firmware": "firmware firmwareversion fwversion fw softwareversion swversion version revision fwrevision firmwarestand softwarestand versionsstand",
        "serial": "serial serialnumber serialno sn seriennummer numerodeserie",
        "role": "role devicerole assettype function category assetrole rolename devicerolename rolle funktion",
        "os": "os operatingsystem platform platformname osname betriebssystem",
        "os_version": "osversion oslevel servicepack",
        "number": "assetnumber assettag inventorynumber assetid tagnumber equipmentnumber inventarnummer anlagennummer",
        "criticality": "criticality critical importance priority businesscriticality kritikalitaet",
        "location": "location physicallocation place building room area locationname rack rackname site sitename standort ort raum gebaeude emplacement",
        "owner": "owner department assetowner responsible tenant tenantname contact abteilung verantwortlich verantwortlicher eigentuemer",
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
        "made": "dateofmanufacture manufacturedate built yearofmanufacture baujahr herstelldatum",
        "hypervisor": "hypervisor vmhost",
        "hypervisor_place": "locationinhypervisor datastore cluster",
        "time_zone": "timezone localtimezone tz",
        "time_source": "timesource ntp ntpserver",
        "monitoring": "monitoring networkmonitoring",
        "notes": "notes note comment comments description remarks bemerkung bemerkungen kommentar beschreibung",
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
_LISTED: Final = 12
_NAMING: Final = ("address", "mac", "serial", "name", "number")


def is_known(column: str) -> bool:
    """Whether a text is the name of a column that means a field."""
    return _bare(column) in _KNOWN


def _bare(name: str) -> str:
    """A column's name in plain letters.

    >>> _bare("Gerätename"), _bare("IP-Adresse")
    ('geraetename', 'ipadresse')
    """
    plain = name.lower()
    for letter, two in (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss")):
        plain = plain.replace(letter, two)
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", plain))


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
        field, sure = _KNOWN.get(_bare(name), ""), True
        if not field:
            last = _bare(re.split(r"[._]", name)[-1])
            field, sure = _KNOWN.get(last, "") if "." in name else "", False
        if field in taken:
            field = ""
        taken.add(field)
        out.append(Column(name, field, sure))
    return out


def left_out(table: Table, columns: Iterable[Column], wanted: Mapping[str, str]) -> list[str]:
    """Columns that hold something and mean nothing here, as a sentence; none where a person left them out."""
    empty = {column.name for column in columns if not column.field and column.name not in wanted}
    names = [name for name in table.columns if name in empty and any(row.get(name) for _, row in table.rows)]
    if not names:
        return []
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    said = f"columns left out: {', '.join(names[:_LISTED])}{more}; --preview shows them, and --map '{names[0]}=model' "
    return [f"{said}says what one means, --map '{names[0]}=-' that it is to be left out"]


def statements(  # noqa: PLR0913  a list, where it came from and when
    plant: str, table: Table, columns: Iterable[Column], *, source: str, time_ns: int, method: str = "spreadsheet"
) -> Declared:
    """The rows as statements; a row that names no device, or has an impossible address, is listed."""
    fields = {column.name: column.field for column in columns if column.field}
    columns_of = {field: name for name, field in fields.items()}
    out: list[AssetSeen] = []
    wrong = list(table.not_fitting)
    for line, row in table.rows:
        told = {field: meaningful(row.get(name, "")) for name, field in fields.items()}
        told = {field: value for field, value in told.items() if value}
        try:
            address, mac = (_given(told, name, check, columns_of) for name, check in _CHECKED)
        except ValueError as error:
            wrong.append(f"line {line}, {error}")
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
    return Declared(out, wrong + _twice(out))


def _given(told: dict[str, str], field: str, check: Callable[[str], str], columns_of: Mapping[str, str]) -> str:
    """A field's value as the record has it, taken out of the row. Raises ValueError with its column."""
    try:
        return check(told.pop(field, ""))
    except ValueError as error:
        msg = f"{columns_of.get(field, field)}: {error}"
        raise ValueError(msg) from error


def _twice(said: Sequence[AssetSeen]) -> list[str]:
    """Rows that say of one device what another row says of another: both stand, and somebody must look.

    The record joins by serial and address, so two rows with one of them become one device.
    """
    out: list[str] = []
    by_serial: dict[tuple[str, str], AssetSeen] = {}
    by_address: dict[str, AssetSeen] = {}
    for one in said:
        serial = serial_key(one.fields.get("serial", ""))
        before = by_serial.setdefault((maker_key(one.fields.get("maker", "")), serial), one) if serial else one
        if before.frame != one.frame and differs(before, one):
            out.append(
                f"line {one.frame}: serial {one.fields['serial']} stands in line {before.frame} too, with other words; "
                "one serial is one device, so mend the wrong one"
            )
        there = by_address.setdefault(one.address, one) if one.address else one
        if there.frame != one.frame and before.frame == one.frame and differs(there, one):
            out.append(
                f"line {one.frame}: address {one.address} stands in line {there.frame} too, with other words; "
                "both are kept for that address"
            )
    return out


def differs(one: AssetSeen, other: AssetSeen) -> bool:
    """Whether two rows name the device otherwise, or place it elsewhere."""
    names = ("name", "model", "maker", "serial", "number")
    return one.address != other.address or any(
        one.fields.get(name) and other.fields.get(name) and one.fields[name] != other.fields[name] for name in names
    )


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


_CHECKED: Final = (("address", _address), ("mac", _mac))
