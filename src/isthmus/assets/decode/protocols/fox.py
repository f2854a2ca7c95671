"""Niagara Fox: station, host, version and operating system in the hello, which is in clear.

Not published by Tridium; its hello is lines of key=type:value, as captures and the nmap script fox-info show.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.protocols._words import begins, identity, text, use
from isthmus.assets.decode.said import Look, Packet, Said

SERVICE: Final = "fox"
PORTS: Final = frozenset({1911})
OVER: Final = frozenset({"tcp"})
ALONE: Final = True
TELLS: Final = False

_BEGIN, _END = b"fox ", b"};;"
_MOST: Final = 16_384


def length(payload: bytes) -> int:
    """From "fox " to "};;"."""
    if not payload.startswith(_BEGIN):
        return 0
    end = payload.find(_END)
    return end + len(_END) if end > 0 else min(len(payload) + 1, _MOST)


def kinds(look: Look) -> NDArray[np.int32]:
    """Hellos are read; all else counted."""
    mine = begins(look, _BEGIN)
    hello = (look.lead[:, 4:32] == ord("h")).any(1) & mine
    return np.where(hello, -1, np.where(mine, 1, 0)).astype(np.int32)


def read(packet: Packet) -> Iterator[Said]:
    """One frame: its kind, number and channel stand in the first line."""
    head, _, rest = packet.payload.partition(b"\n")
    if b"hello" not in head:
        return
    fields: dict[str, str] = {}
    for line in rest.split(b"\n")[:64]:
        key, _, value = line.partition(b"=")
        _, colon, word = value.partition(b":")
        if colon:
            fields[text(key)] = text(word)
    if packet.asks:
        yield use(packet, SERVICE, "Hello")
    more = {
        key: fields[key] for key in ("fox.version", "app.name", "brandId", "hostId", "hostAddress") if fields.get(key)
    }
    if not fields.get("app.name") and not fields.get("hostName"):
        return
    os = " ".join(fields[key] for key in ("os.name", "os.version") if fields.get(key))
    yield identity(
        packet, SERVICE, "Fox hello", maker="Tridium" if fields.get("app.name") == "Station" else "",
        model=f"Niagara {fields['app.name']}" if fields.get("app.name") else "", firmware=fields.get("app.version", ""),
        name=fields.get("station.name") or fields.get("hostName", ""), os=os,
        role="building controller" if fields.get("app.name") == "Station" else "", more=more,
    )  # fmt: skip
