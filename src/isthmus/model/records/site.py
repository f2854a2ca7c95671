"""Facts that the site itself adds: what came late, and what could not be taken in."""

from __future__ import annotations

from typing import ClassVar

from isthmus.model.records.base import Record


class Tick(Record, frozen=True, kw_only=True):
    """Time went on. Given to folds at each whole minute; never stored, as it follows from the rest."""

    emitter: ClassVar[str] = "site/folds"


class Recomputed(Record, frozen=True, kw_only=True):
    """Late or corrected data changed the past of a work unit. Path: the work unit."""

    emitter: ClassVar[str] = "site/folds"

    start_ns: int
    facts_changed: int
    why: str


class SamplesQuarantined(Record, frozen=True, kw_only=True):
    """Samples that arrived but cannot be true or cannot be read. Path: plant#source/name."""

    emitter: ClassVar[str] = "site/ingest"

    rows: int
    why: str
    tags: tuple[str, ...] = ()


class FramesMissing(Record, frozen=True, kw_only=True):
    """A source's frames jumped over some numbers. Path: plant#source/name; ordinal: the first number.

    The edge let them go (its SamplesDropped says so), or they come later, carried by hand.
    """

    emitter: ClassVar[str] = "site/ingest"

    epoch: int
    first_seq: int
    last_seq: int


class SourceRefused(Record, frozen=True, kw_only=True):
    """A peer spoke for a source that is not its own; nothing of it was taken in. Path: plant#conduit/name."""

    emitter: ClassVar[str] = "site/ingest"

    edge: str
    """Name in the certificate of who spoke: an edge, or a relay."""
    source: str
    why: str
    frames: int
    """Frames refused since this was told last."""


class CertificateExpiring(Record, frozen=True, kw_only=True):
    """A certificate of the link ends soon or has ended. Path: plant#conduit/name."""

    emitter: ClassVar[str] = "site/certificates"

    subject: str
    ends_ns: int


class BusChanged(Record, frozen=True, kw_only=True):
    """The plant's bus was lost for longer than a moment, came back, or is not fit. Path: plant#bus/kind."""

    emitter: ClassVar[str] = "site/publisher"

    up: bool
    cause: str


class BusMissed(Record, frozen=True, kw_only=True):
    """Something was stored here and will never be on the bus. Path: plant#bus/kind."""

    emitter: ClassVar[str] = "site/publisher"

    count: int
    """Frames or records."""
    why: str
