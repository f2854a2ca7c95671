"""Who asked and who answered, where one capture could only guess and another knows.

A piece of a capture may begin in the middle of a conversation, with an answer. What another piece or
capture saw for certain turns that guess round, so that the record does not depend on where a file was cut.
"""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.model.records.assets import FlowSeen

_Name = tuple[str, str, int, str]


def settled(flows: Iterable[FlowSeen]) -> list[FlowSeen]:
    """The same flows, with each guess that is contradicted turned round."""
    given = list(flows)
    certain = {_name(one.client, one.server, one) for one in given if one.initiated}
    return [_turned(one) if _contradicted(one, certain) else one for one in given]


def _name(client: str, server: str, flow: FlowSeen) -> _Name:
    return client, server, flow.port, flow.service


def _contradicted(flow: FlowSeen, certain: set[_Name]) -> bool:
    if flow.initiated or _name(flow.client, flow.server, flow) in certain:
        return False
    return _name(flow.server, flow.client, flow) in certain


def _turned(flow: FlowSeen) -> FlowSeen:
    kept = {name: getattr(flow, name) for name in flow.__struct_fields__}
    ends = {
        "client": flow.server,
        "server": flow.client,
        "client_mac": flow.server_mac,
        "server_mac": flow.client_mac,
    }
    return FlowSeen(**{**kept, **ends})
