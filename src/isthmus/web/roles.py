"""Who may do what, and where each role begins its day: one small table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Role = Literal[
    "operator",
    "supervisor",
    "planner",
    "maintenance",
    "quality",
    "energy",
    "ot-engineer",
    "security",
    "programme",
    "administrator",
]
Act = Literal[
    "reason",
    "undo others",
    "job",
    "quantity",
    "lot",
    "parked",
    "sample",
    "accounts",
    "addresses",
    "asset details",
    "asset decisions",
    "cut",
    "lift cut",
]

ROLES: Final[Mapping[Role, tuple[str, str]]] = {
    "operator": ("Operator", "/plant"),
    "supervisor": ("Supervisor", "/plant"),
    "planner": ("Planner", "/orders"),
    "maintenance": ("Maintenance", "/plant?sort=state"),
    "quality": ("Quality", "/plant?sort=scrap"),
    "energy": ("Energy and finance", "/plant"),
    "ot-engineer": ("OT engineer", "/connections"),
    "security": ("Security officer", "/connections"),
    "programme": ("Programme owner", "/plant?sort=oee"),
    "administrator": ("Administrator", "/accounts"),
}
"""Each role's name as people say it, and the page on which it lands. An operator with a machine lands there."""

MAY: Final[Mapping[Act, frozenset[Role]]] = {
    "reason": frozenset({"operator", "supervisor", "maintenance"}),
    "undo others": frozenset({"supervisor"}),
    "job": frozenset({"operator", "supervisor", "planner"}),
    "quantity": frozenset({"operator", "supervisor", "quality"}),
    "lot": frozenset({"operator", "supervisor", "quality"}),
    "parked": frozenset({"supervisor", "planner"}),
    "sample": frozenset({"quality", "ot-engineer"}),
    "accounts": frozenset({"administrator"}),
    "addresses": frozenset({"ot-engineer", "security", "maintenance"}),
    "asset details": frozenset({"ot-engineer", "security", "administrator"}),
    "asset decisions": frozenset({"ot-engineer", "security"}),
    "cut": frozenset({"security", "administrator"}),
    "lift cut": frozenset({"security", "ot-engineer"}),
}
"""The administrator keeps accounts and sees what there is to protect: whoever may grant a right does not use it.
Cutting grants nobody anything."""

WHO: Final[Mapping[Act, str]] = {
    "reason": "give a reason",
    "undo others": "take back what somebody else said",
    "job": "start or stop a job",
    "quantity": "correct a quantity",
    "lot": "say which lot is made or used",
    "parked": "decide on a parked report",
    "sample": "put a sample right",
    "accounts": "keep accounts",
    "addresses": "see addresses",
    "cut": "cut the link to OT",
    "lift cut": "let the site take the link again",
    "asset details": "see firmware, addresses and findings of assets",
    "asset decisions": "decide on assets and findings",
}


def may(role: Role, act: Act) -> bool:
    """Whether a role may do it."""
    return role in MAY[act]


def who_may(act: Act) -> str:
    """The roles that may, as a sentence's end: "operator, supervisor or maintenance"."""
    names = [spoken(role) for role in ROLES if role in MAY[act]]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def spoken(role: Role) -> str:
    """A role's name within a sentence."""
    name = ROLES[role][0]
    return name if name.startswith("OT ") else name[0].lower() + name[1:]
