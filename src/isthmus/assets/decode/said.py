"""What a decoder learns from a packet: who a device is, what was asked of it, and what gave itself away."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

Act = Literal["read", "write", "engineering", "control", "identify", "other"]
LEAD = 64
"""How many bytes of a payload the vectorised first look sees."""


class Packet(NamedTuple):
    """One message that deserves a deep look. Addresses are text; "" where the packet has none."""

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
    """Of TCP and UDP one message as `length` cut it, put together where it was split; below IP what stands behind the EtherType
    or length field."""
    asks: bool = True
    """Its sender is the client, as far as is known: it opened the connection, or sends to the known port."""
    asked: bytes = b""
    """The last message read deep in the other direction before this one; b"" for none."""

    @property
    def client(self) -> str:
        """The client's address."""
        return self.source if self.asks else self.target

    @property
    def server(self) -> str:
        """The server's address."""
        return self.target if self.asks else self.source

    @property
    def port(self) -> int:
        """The server's port."""
        return self.target_port if self.asks else self.source_port


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A device says who it is. "" where it does not say."""

    packet_frame: int
    time_ns: int
    address: str
    """IP address, else ""; `mac` then says which device."""
    mac: str = ""
    """The sender's own MAC, set only where the protocol gives it or the packet cannot have been routed."""
    child: str = ""
    """Which module behind the address, for example "slot 3" or "serial 0051aec3"; "" for the device itself."""
    service: str = ""
    method: str
    """For example "CIP Identity object"."""
    maker: str = ""
    model: str = ""
    order_number: str = ""
    firmware: str = ""
    serial: str = ""
    name: str = ""
    os: str = ""
    role: str = ""
    """One of the words of `ROLES`, or ""."""
    more: dict[str, str] = {}
    last_ns: int = 0
    """When it was last said the same; 0 where it was said once, as a decoder leaves it."""


ROLES = (
    "controller", "remote I/O", "communications adapter", "drive", "HMI", "SCADA server", "engineering station",
    "historian", "switch", "router", "safety controller", "building controller", "field device", "server",
    "workstation", "client",
)  # fmt: skip


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """A client used a function of a server, `count` times."""

    packet_frame: int
    time_ns: int
    client: str
    server: str
    port: int
    service: str
    """The protocol's name, for example "modbus"."""
    function: str
    act: Act = "other"
    count: int = 1
    last_frame: int = 0
    """0 until several are put together."""
    last_ns: int = 0


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
    """Packets of directions that speak one protocol, as the vectorised first look sees them."""

    lead: NDArray[np.uint8]
    """The first LEAD bytes of each payload, zeros behind its end; shape (packets, LEAD)."""
    length: NDArray[np.int64]
    """Captured bytes of each payload; shape (packets,)."""
    source_port: NDArray[np.uint16]
    target_port: NDArray[np.uint16]


class Decoder(Protocol):
    """One protocol. A file of decode/protocols/ with these names is a decoder; nothing else is edited."""

    SERVICE: str
    """The protocol's name, as conversations carry it."""
    PORTS: frozenset[int]
    """TCP and UDP ports that hint at it, EtherTypes below IP; content decides."""
    OVER: frozenset[str]
    """What it runs on, of "tcp", "udp" and "l2"."""
    ALONE: bool
    """Its content tells it on any port; False: only on PORTS."""
    TELLS: bool
    """Its messages themselves say who asks; False: `Packet.asks` is believed."""

    def length(self, payload: bytes) -> int:
        """How many bytes the message at the beginning of `payload` has in all; 0 when it is none of this protocol.

        More than `payload` holds when the rest comes in later segments. This is the content signature:
        it must be strict enough that bytes of another protocol give 0.
        """
        ...

    def kinds(self, look: Look) -> NDArray[np.int32]:
        """What each packet of such a direction is, as a small number of the decoder's own; shape (packets,).

        0 is of no interest. Of a positive kind the first few per direction are read, the rest counted with
        what those said; of a negative kind every packet is read.
        """
        ...

    def read(self, packet: Packet) -> Iterable[Said]:
        """What the message says. Anything malformed is nothing said; raises only IndexError, ValueError, struct.error."""
        ...
