"""Who asked whom, where a capture alone could not tell: what another capture of the same talk saw decides.

A capture that begins within a connection guesses by port, or by who spoke first. Cut into pieces, one
conversation may so be told in both directions. Judged together it has one: that of a piece which
saw the opening or the messages' roles; where none did, that of the earliest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from isthmus.model.records.assets import FlowSeen

_Talk = tuple[str, str, str, int]
"""Client, server, transport and the server's port."""


def oriented(flows: Iterable[FlowSeen]) -> list[FlowSeen]:
    """The same flows, each conversation in one direction and with one service. Any order gives the same."""
    said = sorted(flows, key=lambda one: (one.time_ns, one.source, one.frame, one.path))
    talks = [one for one in said if not one.function]
    sure: dict[_Talk, str] = {}
    for one in talks:
        if one.initiated:
            sure[_talk(one)] = sure.get(_talk(one)) or one.service
    first: dict[_Talk, FlowSeen] = {}
    for one in talks:
        first.setdefault(_talk(one), one)
    turned = {one.path: _turned(one, sure, first) for one in talks if not one.initiated}
    ports = {(one.source, *_ends(one)): turned[one.path].port for one in talks
             if one.path in turned and turned[one.path].client != one.client}  # fmt: skip
    out = []
    for one in said:
        port = ports.get((one.source, *_ends(one)), -1) if one.function else -1
        out.append(turned.get(one.path, one) if port < 0 else _swapped(one, port, one.service))
    return _named(out)


def _talk(one: FlowSeen) -> _Talk:
    return one.client, one.server, one.transport, one.port


def _ends(one: FlowSeen) -> tuple[str, str, int]:
    return one.client, one.server, one.port


def _turned(one: FlowSeen, sure: dict[_Talk, str], first: dict[_Talk, FlowSeen]) -> FlowSeen:
    mine = _talk(one)
    if mine in sure:
        return one
    if one.client_port and (other := (one.server, one.client, one.transport, one.client_port)) in sure:
        return _swapped(one, other[3], sure[other] or one.service)
    back = (one.server, one.client, one.transport, one.port)
    if back in sure:
        return _swapped(one, one.port, one.service)
    before = first.get(back)
    if before is not None and (before.time_ns, before.frame) < (first[mine].time_ns, first[mine].frame):
        return _swapped(one, one.port, one.service)
    return one


def _swapped(one: FlowSeen, port: int, service: str) -> FlowSeen:
    ends = {
        "client": one.server, "server": one.client, "client_mac": one.server_mac, "server_mac": one.client_mac,
        "client_port": one.port if port != one.port else one.client_port, "port": port,
        "service": service,
    }  # fmt: skip
    return _with(one, **ends)


def _named(flows: Sequence[FlowSeen]) -> list[FlowSeen]:
    """A conversation that one capture knew by its content is that in a piece that could not tell."""
    names: dict[_Talk, set[str]] = defaultdict(set)
    for one in flows:
        if not one.function and one.service:
            names[_talk(one)].add(one.service)
    return [
        _with(one, service=next(iter(names[_talk(one)])))
        if not one.function and not one.service and len(names[_talk(one)]) == 1
        else one
        for one in flows
    ]


def _with(one: FlowSeen, **changes: object) -> FlowSeen:
    return FlowSeen(**{**{name: getattr(one, name) for name in one.__struct_fields__}, **changes})
