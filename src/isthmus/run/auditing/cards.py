"""Who made a network card, by the first bytes of its MAC address: never the maker of the device.

Read from the list that Wireshark or the IEEE's data package puts on a system, where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

_LISTS: Final = (
    Path("/usr/share/wireshark/manuf"),
    Path("/usr/share/wireshark/manuf.txt"),
    Path("/var/lib/ieee-data/oui.txt"),
    Path("/usr/share/ieee-data/oui.txt"),
)


@cache
def card_makers() -> Callable[[str], str]:
    """Tells the maker of a MAC address's card; "" where no list knows it."""
    known = next((_read(path) for path in _LISTS if path.is_file()), {})

    def maker(mac: str) -> str:
        return known.get(mac[:8].lower(), "")

    return maker


def _read(path: Path) -> dict[str, str]:
    out: dict[str, str] = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return out
    for line in text.splitlines():
        if "(hex)" in line:
            head, _, name = line.partition("(hex)")
            out[head.strip().replace("-", ":").lower()] = name.strip()
            continue
        cells = line.split("\t")
        if len(cells) > 1 and len(cells[0].strip()) == 8:  # noqa: PLR2004  three octets
            out[cells[0].strip().lower()] = cells[-1].strip()
    return out
