"""Facts of the asset record: what sources say of devices, what follows from it, what people decide.

The first two are said by captures, lists and our own sources; they are a growing set, so their order
never matters. The next three follow from that set by the asset wing. The last is a person's.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from isthmus.model.records.base import Record

How = Literal["observed", "queried", "declared", "accepted"]
"""Overheard on the wire; asked of the device; from a list of the plant's; said by a person of this record."""
Severity = Literal["high", "medium", "low", "note"]
"""A note is a fact of the inventory that stands with its asset and asks nobody for work."""
Answer = Literal["affected", "not affected", "unknown", "no data"]


class AssetSeen(Record, frozen=True, kw_only=True):
    """One source says these fields of one device. Path: plant#asset-seen/digest; time: when it was first said."""

    emitter: ClassVar[str] = "audit/import"

    source: str
    """Digest of the capture or list; its name stands in `SourceRead`."""
    frame: int = 0
    """Packet or row in the source, from 1; 0 where there is none."""
    last_ns: int
    how: How
    method: str
    """As a person says it: "CIP Identity object", "traffic", "spreadsheet"."""
    address: str = ""
    mac: str = ""
    child: str = ""
    """Which module behind the address; "" for the device itself."""
    fields: dict[str, str] = {}
    """By the names of `model/inventory.py`: maker, model, firmware, serial and others."""


class FlowSeen(Record, frozen=True, kw_only=True):
    """Somebody spoke with somebody, in one source. Path: plant#flow-seen/digest; time: when it began."""

    emitter: ClassVar[str] = "audit/import-flows"

    source: str
    frame: int = 0
    last_ns: int
    client: str
    """Address, or MAC below IP."""
    server: str
    client_mac: str = ""
    """As seen where it was caught: a router's, when the client is behind one."""
    server_mac: str = ""
    transport: str
    """tcp, udp, icmp, igmp, another protocol's number, or l2."""
    port: int = 0
    service: str = ""
    function: str = ""
    """What was asked of the server; "" for the conversation itself."""
    act: str = "other"
    """read, write, engineering, control, identify or other; "exposure" for what could be read by anybody."""
    packets: int = 0
    bytes: int = 0
    initiated: bool = False
    """True when the opening was seen, so that client and server are certain."""
    client_port: int = 0
    """Of the client, where it was the same throughout; 0 where it was not, or there is none."""


class SourceRead(Record, frozen=True, kw_only=True):
    """A capture, list or export was read. Path: plant#audit-source/digest."""

    emitter: ClassVar[str] = "audit/sources"

    name: str
    what: str
    by: str
    said_ns: int
    packets: int = 0
    not_fitting: tuple[str, ...] = ()
    """What could not be read, a sentence each."""


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One value of one field of an asset, and how it is known."""

    name: str
    value: str
    how: How
    method: str
    confidence: float
    """From 0 to 1; 0.5 is a reasoned guess."""
    first_ns: int
    last_ns: int
    source: str = ""
    frame: int = 0


class AssetKnown(Record, frozen=True, kw_only=True):
    """One device, joined from everything that was said of it. Path: plant#asset/id; time: when it was judged so."""

    emitter: ClassVar[str] = "assets/record"

    keys: tuple[str, ...]
    """By what it is known, the strongest first; a decision on any of their ids is a decision on it."""
    aliases: tuple[str, ...] = ()
    """The ids of all its keys."""
    parent: str = ""
    """Id of the device behind whose address it stands; "" mostly."""
    zone: str = ""
    fields: tuple[Field, ...] = ()
    """Every value ever said, by name and the best first."""
    role: str = ""
    role_why: str = ""
    first_ns: int
    last_ns: int
    filled: float = 0.0
    """Weighed share of the 32 attributes that have a value, from 0 to 1."""

    def best(self, name: str) -> str:
        """The value that stands for a field, "" where none is known."""
        return next((field.value for field in self.fields if field.name == name), "")

    def all(self, name: str) -> list[Field]:
        """Every value of a field, the best first."""
        return [field for field in self.fields if field.name == name]


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where it can be seen."""

    source: str
    frame: int
    time_ns: int
    what: str = ""


class AssetFinding(Record, frozen=True, kw_only=True):
    """Something that should not be so, or needs a look. Path: plant#finding/id; time: when it first showed."""

    emitter: ClassVar[str] = "assets/findings"

    what: str
    """One of `inventory.FINDINGS`."""
    title: str
    text: str
    next_step: str
    severity: Severity
    assets: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    serials: tuple[str, ...] = ()
    last_ns: int
    count: int = 1
    evidence: tuple[Evidence, ...] = ()
    conduit: str = ""
    """The section of the plant file that would allow it, where it may be allowed; "" mostly."""


class Advice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One advisory held against one asset."""

    advisory: str
    title: str
    answer: Answer
    why: str
    product: str
    product_id: str
    version: str
    certain: bool
    """True when the order number matched, False when only the family did."""
    cves: tuple[str, ...] = ()
    score: float = 0.0
    fix: str = ""
    patch: bool = False
    """True when the maker offers a corrected version."""
    released: str = ""


class AssetAdvised(Record, frozen=True, kw_only=True):
    """What the advisories say of an asset. Path: plant#asset/id; time: when they were held against it."""

    emitter: ClassVar[str] = "assets/advisories"

    answer: Answer
    newest: str
    """Date of the newest advisory of the folder, as 2024-10-10; "" when there was none."""
    advices: tuple[Advice, ...] = ()
    conduit: str = ""
    """The section of the plant file that is proposed where there is no patch; "" mostly."""
    of: str = ""
    """Digest of the maker, models and firmware that it speaks of; with others the answer no longer stands."""


class AssetDecided(Record, frozen=True, kw_only=True):
    """What a person decided. Path: plant#asset/id, plant#finding/id or plant#audit-baseline/flows."""

    emitter: ClassVar[str] = "web/assets"

    decision: Literal["accept", "dismiss", "reopen", "set", "advisory", "baseline"]
    fields: dict[str, str] = {}
    """For `set` the fields of the asset; for `advisory` advisory, product_id, status, and `of` as the answer had it."""
    talks: tuple[str, ...] = ()
    """For `baseline` what is held to be normal, each as `inventory.talk` writes it."""
    reason: str
    by: str
    said_ns: int
    until_ns: int = 0
    """For `accept` and `dismiss` when that ends and it is to be looked at again; 0 for never."""
