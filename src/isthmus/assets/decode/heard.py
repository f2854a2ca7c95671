"""What a capture says in all: who is there, who spoke with whom, what was used, what gave itself away."""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.assets.decode.said import Exposure, Identity, Use

Initiation = Literal["syn", "role", "port"]


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A client and a service of a server; its connections one after another count together."""

    client: str
    """IP address; below IP the MAC address."""
    server: str
    mac_client: str
    mac_server: str
    """MAC addresses as seen where it was caught: a router's, when the other side is behind one."""
    transport: str
    """"tcp", "udp", "icmp", "igmp", another IP protocol's number, or "l2"."""
    port: int
    """The server's; below IP the EtherType; 0 for none."""
    service: str
    """"" when neither content nor port tells it."""
    labelled: Literal["content", "port", ""]
    """What told the service."""
    initiation: Initiation
    """How client and server were told apart: the opening was seen, the messages' roles, or a guess by port."""
    vlan: int
    packets: int
    octets: int
    first_frame: int
    first_ns: int
    last_ns: int
    client_port: int = 0
    """The client's, where it was the same throughout; 0 else."""
    asked: bool = True
    """The client sent something."""
    answered: bool = False
    """The server did."""


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """An IP address was seen behind a MAC address; a router's MAC has many."""

    address: str
    mac: str
    first_frame: int
    first_ns: int
    last_ns: int
    packets: int
    claimed: bool
    """Said by ARP or neighbour discovery, so that it is the device's own MAC and no router's."""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """All of one capture; frames are counted from 1 as Wireshark does."""

    identities: list[Identity]
    """One for each thing said by a device and each change of it, in the order of the capture."""
    uses: list[Use]
    """One per client, server, port, service and function."""
    exposures: list[Exposure]
    """One per client, server, port and what."""
    conversations: list[Conversation]
    neighbours: list[Neighbour]
    told: list[str]
    """What could not be read, in sentences."""
    packets: int
    first_ns: int
    last_ns: int
