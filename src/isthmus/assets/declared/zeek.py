"""Logs of Zeek and its ICSNPP parsers, as tab-separated text or JSON lines, also as Malcolm exports them.

A log with two ends is conversations; logs that say who a device is are statements. Source: Zeek log
formats, cisagov/icsnpp-* READMEs, Malcolm's field reference (Elastic Common Schema).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from isthmus.assets.addresses import parse
from isthmus.assets.declared.tables import flat
from isthmus.assets.heard import seen
from isthmus.model.equipment import beside
from isthmus.model.errors import UsageError
from isthmus.model.inventory import digest
from isthmus.model.records.assets import AssetSeen, FlowSeen
from isthmus.model.time import NS_PER_S

_UNSET: Final = frozenset({"-", "(empty)", ""})
_LONGEST_LINE: Final = 1 << 20
_LAST_PORT: Final = 65_535
_MOST_PACKETS: Final = 1 << 48
_LAST_NS: Final = 7_258_118_400 * NS_PER_S
"""The year 2200: what lies behind it is no time, and hardly fits 64 bits."""
_CLIENT: Final = ("id.orig_h", "source.ip", "source_h", "srcIp", "zeek.orig_h")
_SERVER: Final = ("id.resp_h", "destination.ip", "destination_h", "dstIp", "zeek.resp_h")
_PORT: Final = ("id.resp_p", "destination.port", "destination_p", "dstPort")
_TIME: Final = ("ts", "@timestamp", "firstPacket", "event.start")
_FUNCTION: Final = (
    "func",
    "function",
    "function_code",
    "service_code",
    "cip_service",
    "command",
    "fc_request",
    "pdu_service",
    "network.protocol_action",
)
_SAYS: Final[Mapping[str, Mapping[str, str]]] = {
    "cip_identity": {
        "maker": "vendor_name",
        "model": "product_name",
        "firmware": "revision",
        "serial": "serial_number",
        "role": "device_type_name",
    },
    "software": {"os": "name", "os_version": "unparsed_version"},
    "dhcp": {"name": "host_name"},
    "known_devices": {},
    "known_hosts": {},
    "s7comm_read_szl": {"model": "szl_index_name"},
    "bacnet_device_control": {},
    "profinet_dcp": {"name": "station_name", "maker": "vendor"},
    "ntlm": {"name": "hostname"},
}
"""By log, the fields of what a device says of itself, and the columns in which they stand."""
_WHOSE: Final[Mapping[str, tuple[str, ...]]] = {
    "cip_identity": ("socket_address", "id.resp_h", "source_h"),
    "software": ("host",),
    "dhcp": ("client_addr", "assigned_addr", "requested_addr"),
    "known_devices": (),
    "known_hosts": ("host",),
    "ntlm": ("id.orig_h",),
    "profinet_dcp": ("ip", "id.orig_h"),
}
_SERVICES: Final = {"enip": "ethernet/ip", "cip": "ethernet/ip", "opcua-binary": "opc-ua", "s7comm-plus": "s7comm-plus"}


class FromLog(NamedTuple):
    """What a log says, and the lines that say nothing readable."""

    seen: list[AssetSeen]
    flows: list[FlowSeen]
    not_fitting: list[str]


def looks_like_log(path: Path) -> bool:
    """Whether a file is a Zeek log, by its first line or its name."""
    if path.name.endswith((".log", ".log.gz")):
        return True
    with path.open("rb") as file:
        return file.read(10).startswith(b"#separator")


def read(plant: str, path: Path, source: str, time_ns: int) -> FromLog:
    """Read one log. `time_ns` stands where a line has no time. Raises UsageError when it is no log."""
    seen_by: dict[str, AssetSeen] = {}
    flows: dict[str, FlowSeen] = {}
    wrong: list[str] = []
    name = path.name.split(".")[0]
    for line, row in _rows(path, wrong):
        log = row.get("_path", row.get("event.dataset", name)).rpartition(".")[2]
        when = _time(row, time_ns)
        if when is None:
            wrong.append(f"line {line}: {_first(row, _TIME)!r} is no time")
            continue
        port = _first(row, _PORT)
        if port and _number(port, _LAST_PORT) is None:
            wrong.append(f"line {line}: {port!r} is no port")
            continue
        found = _statement(plant, source, line, log, row, when)
        if found is not None:
            seen_by[found.path] = found if found.path not in seen_by else _later(seen_by[found.path], found.last_ns)
        flow = _flow(plant, source, line, log, row, when)
        if flow is not None:
            flows[flow.path] = flow if flow.path not in flows else _longer(flows[flow.path], flow)
        if found is None and flow is None:
            wrong.append(f"line {line} of a {log} log names no device and no two ends")
    return FromLog(list(seen_by.values()), list(flows.values()), wrong)


def _rows(path: Path, wrong: list[str]) -> Iterator[tuple[int, dict[str, str]]]:  # noqa: C901  a line is one of five sorts
    columns: list[str] = []
    separator, kind = "\t", ""
    number, rows = 0, 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        try:
            for number, raw in enumerate(file, 1):
                line = raw[:_LONGEST_LINE].decode("utf-8", errors="replace").rstrip("\r\n")
                if line.startswith("#fields"):
                    columns = line.split(separator)[1:]
                elif line.startswith("#path"):
                    kind = line.split(separator)[-1]
                elif line.startswith("#separator"):
                    separator = line.split(" ", 1)[-1].encode().decode("unicode_escape") or "\t"
                elif line.startswith("{"):
                    try:
                        found = msgspec.json.decode(line)
                        row = flat(found.get("_source", found))
                    except (msgspec.DecodeError, AttributeError, RecursionError) as error:
                        wrong.append(f"line {number} is no JSON object: {error}")
                        continue
                    rows += 1
                    yield number, row
                elif line and not line.startswith("#"):
                    cells = line.split(separator)
                    if not columns or len(cells) != len(columns):
                        wrong.append(f"line {number} has {len(cells)} cells, the log's header {len(columns)}")
                        continue
                    row = {name: cell for name, cell in zip(columns, cells, strict=True) if cell not in _UNSET}
                    yield number, row | ({"_path": kind} if kind else {})
        except (OSError, EOFError, zlib.error) as error:
            wrong.append(f"the file breaks off: {error}")
    if not columns and not rows:
        msg = f"{path} is no log of Zeek: it has neither a #fields line nor JSON lines"
        raise UsageError(msg)


def _first(row: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((row[name] for name in names if row.get(name, "") not in _UNSET), "")


def _time(row: Mapping[str, str], usual_ns: int) -> int | None:
    """Seconds since 1970 as Zeek writes them, milliseconds as Malcolm does, or ISO 8601; None for what is no time."""
    text = _first(row, _TIME)
    found = _moment(text) if text else usual_ns
    return found if found is not None and 0 <= found < _LAST_NS else None


def _moment(text: str) -> int | None:
    seconds, _, part = text.partition(".")
    try:
        whole = int(seconds)
        if whole > 10_000_000_000:  # noqa: PLR2004  milliseconds: as seconds it were the year 2286
            return whole * 1_000_000
        return whole * NS_PER_S + int((part + "000000000")[:9])
    except ValueError:
        from isthmus.model.time import parse as moment  # noqa: PLC0415  the name is taken here

        try:
            return moment(text)
        except ValueError:
            return None


def _statement(  # noqa: PLR0913, PLR0917  a line and where it stands
    plant: str, source: str, line: int, log: str, row: Mapping[str, str], when: int
) -> AssetSeen | None:
    if log not in _SAYS:
        return None
    whose = _first(row, _WHOSE.get(log, ("id.resp_h",)))
    mac = _first(row, ("mac", "source.mac", "source_mac"))
    if parse(whose) is None and not mac:
        return None
    fields = {field: value for field, column in _SAYS[log].items() if (value := row.get(column, "")) not in _UNSET}
    if log == "cip_identity":
        fields["serial"] = fields.get("serial", "").removeprefix("0x")
    return seen(
        plant,
        source=source,
        frame=line,
        first_ns=when,
        last_ns=when,
        how="observed",
        method=f"Zeek {log}",
        address=whose if parse(whose) else "",
        mac=mac.lower(),
        fields=fields,
    )


def _flow(  # noqa: PLR0913, PLR0917  as above
    plant: str, source: str, line: int, log: str, row: Mapping[str, str], when: int
) -> FlowSeen | None:
    client, server = _first(row, _CLIENT), _first(row, _SERVER)
    if parse(client) is None or parse(server) is None:
        return None
    function = "" if log == "conn" else _first(row, _FUNCTION)
    said = _first(row, ("service", "network.protocol")) if log == "conn" else log
    service = _SERVICES.get(said, said.split(",")[0])
    port = _first(row, _PORT)
    transport = _first(row, ("proto", "network.transport")) or "tcp"
    return FlowSeen(
        path=beside(plant, "flow-seen", digest(source, client, server, transport, port, service, function)),
        time_ns=when,
        source=source,
        frame=line,
        last_ns=when,
        client=client,
        server=server,
        transport="" if function else transport,
        port=_number(port, _LAST_PORT) or 0,
        service=service,
        function=function,
        act=_act(function),
        packets=(_number(row.get("orig_pkts", "")) or 0) + (_number(row.get("resp_pkts", "")) or 0),
        initiated=True,
    )


def _act(function: str) -> str:
    word = function.lower()
    if any(sign in word for sign in ("download", "upload", "program", "umas", "unity")):
        return "engineering"
    if any(sign in word for sign in ("stop", "restart", "start plc", "plc control")):
        return "control"
    if "write" in word:
        return "write"
    return "read" if "read" in word else "other"


def _number(text: str, most: int = _MOST_PACKETS) -> int | None:
    """A whole number in plain digits up to `most`; None for anything else."""
    plain = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
    return int(text) if plain and int(text) <= most else None


def _later(one: AssetSeen, last_ns: int) -> AssetSeen:
    kept = {name: getattr(one, name) for name in one.__struct_fields__}
    return AssetSeen(**{**kept, "time_ns": min(one.time_ns, last_ns), "last_ns": max(one.last_ns, last_ns)})


def _longer(one: FlowSeen, other: FlowSeen) -> FlowSeen:
    first, second = sorted((one, other), key=lambda flow: (flow.time_ns, flow.frame))
    kept = {name: getattr(first, name) for name in first.__struct_fields__}
    return FlowSeen(
        **{**kept, "last_ns": max(first.last_ns, second.last_ns), "packets": first.packets + second.packets}
    )
