"""Puts directions together: who is the client, which service it is, and one row for all its connections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.addresses import ip_text, mac_text
from isthmus.assets.decode.found import decoders, hinted
from isthmus.assets.decode.headers import TCP, UDP
from isthmus.assets.decode.heard import Conversation, Initiation
from isthmus.assets.decode.labels import Labels

_MOST: Final = 50_000
_NAMES: Final = {0: "l2", 1: "icmp", 2: "igmp", TCP: "tcp", UDP: "udp", 58: "icmpv6"}
_KNOWN_ETHER_TYPES: Final = {
    0x0806: "arp", 0x8100: "vlan", 0x88CC: "lldp", 0x8892: "profinet", 0x88A4: "ethercat", 0x88AB: "powerlink",
    0x88B8: "goose", 0x88BA: "sampled-values", 0x88E3: "mrp", 0x88F7: "ptp", 0x888E: "eapol", 0x9000: "loopback",
    0x88E1: "homeplug", 0x893A: "ieee1905", 0x8899: "realtek-rrcp",
}  # fmt: skip
_PORTED: Final = (TCP, UDP)
_FIRST_EPHEMERAL: Final = 32_768


class _Side(NamedTuple):
    """A direction's client and what told it."""

    asks: bool
    initiation: Initiation


class _Talk:
    """A conversation that grows by its directions."""

    def __init__(self) -> None:
        self.macs = ["", ""]
        self.initiation: Initiation = "port"
        self.service: str = ""
        self.labelled: Literal["content", "port", ""] = ""
        self.vlan = self.packets = self.octets = self.last_ns = 0
        self.first_frame = self.first_ns = 2**62
        self.client_ports: set[int] = set()
        self.asked = self.answered = False


_Name = tuple[str, str, str, int]


def conversations(rows: NDArray[Any], opposite: NDArray[np.int64], labels: Labels) -> tuple[list[Conversation], int]:
    """One for each (client, server, transport, port), and how many more there were than are kept."""
    talks: dict[_Name, _Talk] = {}
    chosen = np.arange(len(rows))
    if len(rows) > 2 * _MOST:
        chosen = np.sort(np.argsort(-rows["packets"], kind="stable")[: 2 * _MOST])
    for direction in chosen.tolist():
        row, back = rows[direction], int(opposite[direction])
        if row["protocol"] in _PORTED and not row["source_port"] and not row["target_port"]:
            continue  # later fragments; the first one counts the conversation
        side = _side(row, rows[back] if back >= 0 else None, direction, back, labels)
        _add(talks, row, side, *_service(row, direction, back, labels, asks=side.asks))
    out = sorted(_built(talks), key=lambda one: (one.first_frame, one.client, one.port))
    return out, len(rows) - len(chosen)


def _side(row: Any, back: Any, direction: int, opposite: int, labels: Labels) -> _Side:  # noqa: ANN401  numpy rows
    if row["opened"] or (back is not None and back["accepted"]):
        return _Side(asks=True, initiation="syn")
    if row["accepted"] or (back is not None and back["opened"]):
        return _Side(asks=False, initiation="syn")
    role = int(labels.roles[direction])
    if role:
        return _Side(asks=role > 0, initiation="role")
    source, target = int(row["source_port"]), int(row["target_port"])
    transport = _NAMES.get(int(row["protocol"]), "")
    if transport in {"tcp", "udp"} and source != target:
        number = int(labels.decoder[direction])
        known = decoders()[number].PORTS if number >= 0 else frozenset[int]()
        for is_source, is_target in (
            (source in known, target in known),
            (bool(hinted(transport, source)), bool(hinted(transport, target))),
        ):
            if is_source != is_target:
                return _Side(asks=is_target, initiation="port")
        return _Side(asks=target < source, initiation="port")
    return _Side(asks=back is None or direction < opposite, initiation="port")


def _service(
    row: Any,  # noqa: ANN401  a numpy row
    direction: int,
    back: int,
    labels: Labels,
    *,
    asks: bool,
) -> tuple[str, Literal["content", "port", ""]]:
    for one in (direction, back):
        if one >= 0 and labels.decoder[one] >= 0 and labels.content[one]:
            return decoders()[int(labels.decoder[one])].SERVICE, "content"
    if not row["protocol"]:
        known = _KNOWN_ETHER_TYPES.get(int(row["ether_type"]), "")
        return known, "content" if known else ""
    transport = _NAMES.get(int(row["protocol"]), "")
    if transport in {"tcp", "udp"}:
        hints = hinted(transport, int(row["target_port" if asks else "source_port"]))
        return (decoders()[hints[0]].SERVICE, "port") if hints else ("", "")
    return (transport, "content") if transport else ("", "")


def _add(
    talks: dict[_Name, _Talk],
    row: Any,  # noqa: ANN401  a numpy row
    side: _Side,
    service: str,
    labelled: Literal["content", "port", ""],
) -> None:
    from_end, to_end = ("source", "target") if side.asks else ("target", "source")
    if row["protocol"]:
        client, server = (ip_text(int(row[f"{end}_high"]), int(row[f"{end}_low"])) for end in (from_end, to_end))
        port = int(row[f"{to_end}_port"])
        transport = _NAMES.get(int(row["protocol"]), str(int(row["protocol"])))
    else:
        client, server = mac_text(int(row[f"{from_end}_mac"])), mac_text(int(row[f"{to_end}_mac"]))
        port, transport = int(row["ether_type"]), "l2"
        port = port if port >= 1536 else 0  # noqa: PLR2004  below it is the length of an 802.3 frame
        if not port:
            service = service or "802.3"
    talk = talks.setdefault((client, server, f"{transport}/{service if not port else ''}", port), _Talk())
    if not talk.packets:
        talk.macs = [mac_text(int(row[f"{from_end}_mac"])), mac_text(int(row[f"{to_end}_mac"]))]
        talk.vlan = int(row["vlan"])
    if labelled == "content" or not talk.service:
        talk.service, talk.labelled = service, labelled
    order: tuple[Initiation, ...] = ("port", "role", "syn")
    talk.initiation = max(talk.initiation, side.initiation, key=order.index)
    if row["protocol"] and len(talk.client_ports) < 2:  # noqa: PLR2004  two are several
        talk.client_ports.add(int(row[f"{from_end}_port"]))
    talk.asked, talk.answered = talk.asked or side.asks, talk.answered or not side.asks
    talk.packets += int(row["packets"])
    talk.octets += int(row["bytes"])
    talk.first_frame = min(talk.first_frame, int(row["first_frame"]))
    talk.first_ns = min(talk.first_ns, int(row["first_ns"]))
    talk.last_ns = max(talk.last_ns, int(row["last_ns"]))


def _built(talks: dict[_Name, _Talk]) -> Iterator[Conversation]:
    for (client, server, transport, port), talk in talks.items():
        yield Conversation(
            client=client, server=server, mac_client=talk.macs[0], mac_server=talk.macs[1],
            transport=transport.partition("/")[0], port=port, service=talk.service, labelled=talk.labelled,
            initiation=talk.initiation, vlan=talk.vlan, packets=talk.packets, octets=talk.octets,
            first_frame=talk.first_frame, first_ns=talk.first_ns, last_ns=talk.last_ns,
            asked=talk.asked, answered=talk.answered, client_port=next(iter(talk.client_ports)) if len(talk.client_ports) == 1 else 0,
        )  # fmt: skip
