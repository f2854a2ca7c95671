"""What anybody on the wire could read, protocols that are weak by design, and systems without support."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Final

from isthmus.assets.findings.look import Look, grouped, listed
from isthmus.model.records.assets import AssetFinding, AssetKnown, Evidence, Field
from isthmus.model.time import to_datetime

_WEAK: Final = {
    "telnet": "Telnet sends passwords and commands in the clear",
    "ftp": "FTP sends passwords and files in the clear",
    "tftp": "TFTP gives files to anybody who asks",
    "rsh": "rsh trusts addresses",
    "rlogin": "rlogin trusts addresses",
    "sslv2": "SSL 2 can be read",
    "sslv3": "SSL 3 can be read",
    "smb1": "SMB 1 carries worms",
    "lanman": "LAN Manager passwords are broken in minutes",
    "pptp": "PPTP can be read",
}
_WEAK_PORTS: Final = {23: "telnet", 21: "ftp", 69: "tftp", 514: "rsh", 513: "rlogin"}
_END: Final = (
    (r"windows (95|98|me|nt|2000)\b", date(2010, 7, 13)),
    (r"windows xp", date(2014, 4, 8)),
    (r"windows server 2003|windows 2003|win2k3", date(2015, 7, 14)),
    (r"windows vista", date(2017, 4, 11)),
    (r"windows ce\b", date(2023, 10, 10)),
    (r"windows 7\b|windows server 2008|windows 2008", date(2020, 1, 14)),
    (r"windows 8(\.1)?\b", date(2023, 1, 10)),
    (r"windows server 2012|windows 2012", date(2023, 10, 10)),
    (r"windows 10\b(?!.*\b(ltsc|ltsb|iot))", date(2025, 10, 14)),
    (r"ubuntu.{0,6}(12|14)\.04|14\.04\.\d-ubuntu", date(2019, 4, 30)),
    (r"ubuntu.{0,6}16\.04|16\.04\.\d-ubuntu", date(2021, 4, 30)),
    (r"ubuntu.{0,6}18\.04|18\.04\.\d-ubuntu", date(2023, 5, 31)),
    (r"ubuntu.{0,6}20\.04|20\.04\.\d-ubuntu", date(2025, 5, 31)),
    (r"centos.{0,20}\b6\b", date(2020, 11, 30)),
    (r"centos.{0,20}\b8\b", date(2021, 12, 31)),
    (r"centos.{0,20}\b7\b", date(2024, 6, 30)),
    (r"debian.{0,20}\b[789]\b", date(2022, 6, 30)),
    (r"debian.{0,20}\b10\b", date(2024, 6, 30)),
)
"""What an operating system says of itself, and the maker's last day of free support.

The long-term editions of Windows 10 have other days and do not tell which they are, so they are left out.
Of Windows CE it is the last version's.
"""


def exposed(look: Look) -> Iterator[AssetFinding]:
    """Passwords and community strings in the clear, one finding per server, service and sort."""
    shown = [flow for flow in look.flows if flow.act == "exposure"]
    for (server, service, what), flows in grouped(shown, lambda f: (f.server, f.service, f.function)).items():
        secret = re.search(r"password|credential|pass ?phrase|secret", what, re.IGNORECASE)
        clients = sorted({flow.client for flow in flows})
        yield look.finding(
            "weak protocol",
            ["exposed", server, service, what],
            severity="high" if secret else "medium",
            title=f"{what[:1].upper() + what[1:]} for {look.called(server)} can be read by anybody",
            text=f"{service} carries it in clear text; sent by {listed(clients)}.",
            next_step="Change it, then use the protocol's secure form (TLS, SNMP 3, SSH) or keep it inside one zone.",
            flows=flows,
            addresses=[server, *clients],
        )


def weak_services(look: Look) -> Iterator[AssetFinding]:
    """Services that are weak whoever uses them."""
    used = [flow for flow in look.talks if _weak(flow.service, flow.port, flow.transport) and flow.act != "exposure"]
    for (server, service), flows in grouped(used, lambda f: (f.server, _weak(f.service, f.port, f.transport))).items():
        yield look.finding(
            "weak protocol",
            ["service", server, service],
            severity="medium",
            title=f"{look.called(server)} is used by {service}",
            text=f"{_WEAK[service]}. Used by {listed(flow.client for flow in flows)}.",
            next_step="Turn the service off, or replace it by its secure form.",
            flows=flows,
            addresses=[server],
        )


def end_of_life(look: Look) -> Iterator[AssetFinding]:
    """Systems whose maker mends nothing any more, one finding per asset."""
    today = to_datetime(look.today_ns).date() if look.today_ns else None
    for asset in look.assets:
        ended = next((found for field in asset.fields if (found := _ended(field, today))), None)
        if ended is None:
            continue
        field, day = ended
        yield look.finding(
            "end of life",
            [asset.keys[0]],
            severity="medium",
            title=f"{_called(asset)} has had no support since {day.isoformat()}",
            text=f"It says {field.value} ({field.method}); holes found since then stay open.",
            next_step="Plan its replacement; until then let it speak through one conduit only.",
            evidence=[Evidence(source=field.source, frame=field.frame, time_ns=field.first_ns, what=field.value)],
            addresses=[one.value for one in asset.all("address")],
            assets=[asset.path.rpartition("/")[2]],
        )


def _ended(field: Field, today: date | None) -> tuple[Field, date] | None:
    if field.name == "supported_until":
        try:
            day = date.fromisoformat(field.value[:10])
        except ValueError:
            return None
        return (field, day) if today and day < today else None
    if field.name not in ("os", "os_version"):
        return None
    for pattern, day in _END:
        if re.search(pattern, field.value, re.IGNORECASE) and (today is None or day < today):
            return field, day
    return None


def _weak(service: str, port: int, transport: str) -> str:
    name = service.lower()
    if name in _WEAK:
        return name
    return _WEAK_PORTS.get(port, "") if not name and transport == ("udp" if port == 69 else "tcp") else ""  # noqa: PLR2004


def _called(asset: AssetKnown) -> str:
    return asset.best("name") or asset.best("model") or asset.best("address") or asset.best("mac")


RULES = (exposed, weak_services, end_of_life)
