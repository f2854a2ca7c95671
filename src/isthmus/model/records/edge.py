"""Facts from the OT side: how its sources, its buffer and its conduits fare."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from isthmus.model.records.base import Record


class TagFault(msgspec.Struct, frozen=True):
    """One tag that cannot be read, and why, in words."""

    tag: str
    status: int
    why: str


class SourceChanged(Record, frozen=True, kw_only=True):
    """A source came, went, or is refused. Path: plant#source/name."""

    emitter: ClassVar[str] = "edge/runner"

    state: Literal["connecting", "up", "away", "refused", "stopped"]
    cause: str = ""
    """In a plant engineer's words; "" when all is well."""
    last_contact_ns: int | None = None
    next_try_ns: int | None = None
    address: str = ""
    security: str = ""
    """For example "Basic256Sha256, signed and encrypted"; "none" where the protocol has none."""
    tags: int = 0
    faults: tuple[TagFault, ...] = ()


class SamplesDropped(Record, frozen=True, kw_only=True):
    """Frames that never reach the site: exactly these. Path: plant#source/name.

    The buffer was full and let its oldest go, or bytes on its disk turned bad, or the site cannot read them.
    """

    emitter: ClassVar[str] = "edge/buffer"

    start_ns: int
    frames: int
    rows: int
    first_seq: int
    last_seq: int
    why: Literal["size", "age", "disk full", "damaged", "refused"]
    detail: str = ""
    """What a person needs to know beside the numbers; "" mostly."""


class Nameplate(msgspec.Struct, frozen=True, kw_only=True):
    """What one thing behind a connection says of itself: a machine, a device or a component. "" where it does not."""

    name: str
    """Kind and name, by which it is told from the others behind the same connection: "machine CNC1"."""
    maker: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    more: dict[str, str] = {}


class DeviceIdentified(Record, frozen=True, kw_only=True):
    """What a device said of itself when asked. Path: plant#source/name."""

    emitter: ClassVar[str] = "edge/identity"

    address: str
    protocol: str
    maker: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    security: str = ""
    more: dict[str, str] = {}
    parts: tuple[Nameplate, ...] = ()
    """What stands behind the device and has a nameplate of its own."""


class LinkChanged(Record, frozen=True, kw_only=True):
    """The edge reached the site, or no longer does. Path: plant#conduit/name."""

    emitter: ClassVar[str] = "edge/uplink"

    up: bool
    cause: str = ""
    waiting_frames: int = 0


class ConduitCut(Record, frozen=True, kw_only=True):
    """A conduit was closed on the OT side. Path: plant#conduit/name."""

    emitter: ClassVar[str] = "edge/gate"

    level: int
    by: str
    reason: str
    verified: str = ""
    """How the cut was proved, for example "connect refused after 4 ms"."""


class ConduitReopened(Record, frozen=True, kw_only=True):
    """A conduit was opened again, locally, by two people. Path: plant#conduit/name."""

    emitter: ClassVar[str] = "edge/reopen"

    by: tuple[str, str]
    reason: str
