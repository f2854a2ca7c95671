"""Recognises machines among browsed nodes by the companion specifications' own browse names.

Machinery (OPC 40001-1), MachineTool (OPC 40501-1) and PackML (OPC 30050) fix the names below a
machine's node, so the nodes' paths and the server's namespaces are enough to propose which tag
plays which part. A person confirms; nothing is taken for granted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from isthmus.edge.source import TagFound

_SPEC: Final = "http://opcfoundation.org/UA/"
_NAMESPACE: Final = {
    "machine-tool": f"{_SPEC}MachineTool/",
    "machinery": f"{_SPEC}Machinery/",
    "packml": f"{_SPEC}PackML/",
}
_BLOCKS: Final = r"(?:MachineryBuildingBlocks/|Monitoring/(?:Status/)?)?"
_STATES: Final[Mapping[str, Mapping[str, str]]] = {
    "machine-tool": {
        "channel_state": r"Monitoring/(?!MachineTool/)[^/]+/ChannelState",
        "channel_mode": r"Monitoring/(?!MachineTool/)[^/]+/ChannelMode",
        "program_state": r"Production/ActiveProgram/State/CurrentState",
        "operation_mode": r"Monitoring/MachineTool/OperationMode",
    },
    "machinery": {
        "state": _BLOCKS + r"MachineryItemState/CurrentState",
        "mode": _BLOCKS + r"MachineryOperationMode/CurrentState",
    },
    "packml": {
        "state": r"Status/StateCurrent|BaseStateMachine/MachineState/ExecuteState/CurrentState",
        "mode": r"Status/UnitModeCurrent",
        "starved": r"Status/(?:EquipmentInterlock/)?(?:Equipment)?Starved",
        "blocked": r"Status/(?:EquipmentInterlock/)?(?:Equipment)?Blocked",
    },
}
"""By the names of the state profiles and of their signals, as the plant file's [machine.state] has them."""
_PARTS: Final[Mapping[str, str]] = {
    "good": r"Production/ActiveProgram/PartsGood",
    "total": r"Production/ActiveProgram/PartsCompleted|Admin/ProdProcessedCount",
    "scrap": r"Production/ActiveProgram/PartsScrap|Admin/ProdDefectiveCount",
    "order": r"(?:Production/ActiveProgram|Status)/(?:OrderIdentifier|JobIdentifier)",
    "stop_code": r"Admin/StopReason|Notification/ActiveAlert",
}
"""By the machine's own fields in the plant file."""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """One machine that was recognised, and the part that each of its nodes may play."""

    root: str
    """The path of its node: Objects/Machines/CNC1."""
    profile: str
    """machine-tool, machinery or packml: the name for `profile` in [machine.state]."""
    sure: bool
    """Whether the server also has the specification's namespace; names alone may be chance."""
    state: Mapping[str, TagFound]
    """The profile's signals and the nodes that carry them."""
    parts: Mapping[str, TagFound]
    """good, total, scrap, order and stop_code, where there are nodes for them."""


def propose(namespaces: Sequence[str], found: Sequence[TagFound]) -> list[Proposal]:
    """The machines among the nodes found, in the order of their paths, one proposal for each."""
    states: dict[str, dict[str, dict[str, TagFound]]] = {}
    parts: dict[str, dict[str, TagFound]] = {}
    for one in found:
        for profile, signals in _STATES.items():
            for root, signal in _parts_played(one, signals):
                states.setdefault(root, {}).setdefault(profile, {}).setdefault(signal, one)
        for root, part in _parts_played(one, _PARTS):
            parts.setdefault(root, {}).setdefault(part, one)
    out = []
    for root in sorted(states):
        best = _best(states[root])
        if best is not None:
            out.append(
                Proposal(
                    root=root,
                    profile=best,
                    sure=_NAMESPACE[best] in namespaces,
                    state=states[root][best],
                    parts=parts.get(root, {}),
                )
            )
    return out


def _parts_played(one: TagFound, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """The machine's path and the name, for each name whose pattern the node's path ends with."""
    if one.kind is None:
        return []
    matches = ((re.fullmatch(rf"(.+?)/(?:{pattern})", one.path), name) for name, pattern in names.items())
    return [(match.group(1), name) for match, name in matches if match]


def _best(profiles: Mapping[str, Mapping[str, TagFound]]) -> str | None:
    """The profile whose main signal is there; the most special first."""
    mains = {"machine-tool": "channel_state", "machinery": "state", "packml": "state"}
    return next((profile for profile, main in mains.items() if main in profiles.get(profile, {})), None)
