"""What the free text says in which network devices describe themselves (sysDescr, LLDP, CDP).

Each pattern is a form that a maker uses for its whole line of products.
"""

from __future__ import annotations

import re
from typing import Final

_IOS: Final = re.compile(
    r"Cisco (?:IOS|Internetwork Operating System)[^,]*,\s*(?:IOS \(tm\) )?(\S+) Software \(\S+\),[^,]*?Version ([^,\s]+)"
)
_SIEMENS: Final = re.compile(
    r"(?:Siemens,? )?(?:SIMATIC NET,? )?(?P<model>[A-Z][^,]{2,60}),\s*(?P<order>6[A-Z]{2}\d ?[\w-]{3,6}-\w{5}-\w{4}),?.*?"
    r"(?:FW|Firmware): ?(?:Version )?(?P<fw>V?[\w.]+)"
)
_HIRSCHMANN: Final = re.compile(r"Hirschmann (?P<model>[\w .-]+?) - SW: ?(?P<fw>[\w.-]+)")
_LINUX: Final = re.compile(r"^Linux (\S+) (\d+\.\S+) ")
_WINDOWS: Final = re.compile(r"Software: Windows Version (\S+)")


def described(text: str) -> dict[str, str]:
    """Fields of Identity that a description gives; a text of no known form gives none."""
    flat = " ".join(text.split())
    return _network(flat) or _system(flat)


def _network(flat: str) -> dict[str, str]:
    if found := _IOS.search(flat):
        return {"maker": "Cisco", "model": found[1], "firmware": found[2], "os": "Cisco IOS"}
    if found := _HIRSCHMANN.search(flat):
        return {"maker": "Hirschmann", "model": found["model"].strip(), "firmware": found["fw"], "role": "switch"}
    if found := _SIEMENS.search(flat):
        role = "switch" if "SCALANCE X" in found["model"] else ""
        return {"maker": "Siemens", "model": found["model"].strip(), "order_number": found["order"],
                "firmware": found["fw"], "role": role}  # fmt: skip
    return {"maker": "Siemens"} if flat.startswith("Siemens") else {}


def _system(flat: str) -> dict[str, str]:
    if found := _LINUX.search(flat):
        return {"os": flat[:160], "firmware": found[2], "name": found[1]}
    if found := _WINDOWS.search(flat):
        return {"maker": "Microsoft", "os": f"Windows {found[1]}"}
    return {}
