"""What a decoder learns from a packet: who a device is, what was asked of it, and what gave itself away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from isthmus.assets.decode.capture import Window
from isthmus.assets.decode.headers import Headers


class Packet(NamedTuple):
    """One packet that deserves a deep look. Addresses are text; "" where the packet has none."""

    frame: int
    time_ns: int
    source: str
    target: str
    source_mac: str
    target_mac: str
    ether_type: int
    protocol: int
    """IP protocol; 0 below IP."""
    source_port: int
    target_port: int
    payload: bytes
    """Of TCP the stream from this packet on, as far as it was put together; else the packet's own."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A device says who it is. "" where it does not say."""

    packet_frame: int
    time_ns: int
    address: str
    """IP address, else ""; `mac` then says which device."""
    mac: str = ""
    child: str = ""
    """Which module behind the address, for example "slot 3" or a serial number; "" for the device itself."""
    method: str
    """For example "CIP Identity object"."""
    maker: str = ""
    model: str = ""
    firmware: str = ""
    serial: str = ""
    name: str = ""
    os: str = ""
    role: str = ""
    more: dict[str, str] = {}


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """A client used a function of a server."""

    packet_frame: int
    time_ns: int
    client: str
    server: str
    port: int
    service: str
    """The protocol's name, for example "modbus"."""
    function: str
    act: Literal["read", "write", "engineering", "control", "identify", "other"] = "other"


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """Something went over the wire that anyone there could read: a password, a community string."""

    packet_frame: int
    time_ns: int
    client: str
    server: str
    port: int
    service: str
    what: str


Said = Identity | Use | Exposure


class Look(NamedTuple):
    """A window's packets as the vectorised first look sees them."""

    window: Window
    headers: Headers
    lead: NDArray[np.uint8]
    """The first LEAD bytes of each payload, zeros behind its end; shape (packets, LEAD)."""


LEAD = 64


class Decoder(Protocol):
    """One protocol. A file of decode/protocols/ with these names is a decoder; nothing else is edited."""

    SERVICE: str
    """The protocol's name, as flows carry it."""
    PORTS: frozenset[int]
    """Ports that hint at it; content decides."""

    def wanted(self, look: Look) -> NDArray[np.bool_]:
        """Which packets deserve a deep look, by their content; shape (packets,)."""
        ...

    def length(self, payload: bytes) -> int:
        """How many bytes the message at the beginning of `payload` has in all; 0 when it is none of this protocol."""
        ...

    def read(self, packet: Packet) -> Iterable[Said]:
        """What the message says. Anything malformed is nothing said; never raises."""
        ...
