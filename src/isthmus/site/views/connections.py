"""How every source and conduit fares: cause, last contact, next try, tags that cannot be read, and what was lost."""

from __future__ import annotations

import sqlite3
from typing import Any, ClassVar

import msgspec

from isthmus.model.records import Record
from isthmus.model.records.edge import (
    ConduitCut,
    ConduitReopened,
    DeviceIdentified,
    LinkChanged,
    SamplesDropped,
    SourceChanged,
)
from isthmus.model.records.people import SiteCut
from isthmus.model.records.site import CertificateExpiring, SamplesQuarantined, SourceRefused
from isthmus.site.records import tables


class Connections:
    """Tables `connections_<what>`: source, link, device, gate, site_cut, certificate (a row per path); dropped, quarantined, refused."""

    name: ClassVar[str] = "connections"
    reads: ClassVar[tuple[type[Record], ...]] = (
        SourceChanged,
        LinkChanged,
        ConduitCut,
        ConduitReopened,
        SiteCut,
        DeviceIdentified,
        SamplesDropped,
        SamplesQuarantined,
        CertificateExpiring,
        SourceRefused,
    )
    schema: ClassVar[str] = (
        tables.latest(
            "connections_source",
            "state TEXT NOT NULL, cause TEXT NOT NULL, last_contact_ns INTEGER, next_try_ns INTEGER, "
            "address TEXT NOT NULL, security TEXT NOT NULL, tags INTEGER NOT NULL, faults TEXT NOT NULL",
        )
        + tables.latest("connections_link", "up INTEGER NOT NULL, cause TEXT NOT NULL, waiting_frames INTEGER NOT NULL")
        + tables.latest(
            "connections_device",
            "address TEXT NOT NULL, protocol TEXT NOT NULL, maker TEXT NOT NULL, model TEXT NOT NULL, "
            "serial TEXT NOT NULL, firmware TEXT NOT NULL, security TEXT NOT NULL",
        )
        + tables.latest(
            "connections_gate", "cut INTEGER NOT NULL, level INTEGER, by TEXT NOT NULL, reason TEXT NOT NULL"
        )
        + tables.latest(
            "connections_site_cut",
            "step TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, asked_by TEXT NOT NULL",
        )
        + tables.latest("connections_certificate", "subject TEXT NOT NULL, ends_ns INTEGER NOT NULL")
        + tables.facts("connections_dropped", "start_ns INTEGER NOT NULL, rows INTEGER NOT NULL, why TEXT NOT NULL")
        + tables.facts(
            "connections_refused",
            "edge TEXT NOT NULL, source TEXT NOT NULL, why TEXT NOT NULL, frames INTEGER NOT NULL",
        )
        + tables.facts("connections_quarantined", "rows INTEGER NOT NULL, why TEXT NOT NULL, tags TEXT NOT NULL")
    )

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put what the record says in its place."""
        del position
        if isinstance(record, SourceChanged):
            tables.put_latest(db, "connections_source", record, _source(record))
        elif isinstance(record, LinkChanged):
            values: dict[str, Any] = {"up": int(record.up), "cause": record.cause}
            tables.put_latest(db, "connections_link", record, {**values, "waiting_frames": record.waiting_frames})
        elif isinstance(record, DeviceIdentified):
            tables.put_latest(db, "connections_device", record, _device(record))
        elif isinstance(record, CertificateExpiring):
            values = {"subject": record.subject, "ends_ns": record.ends_ns}
            tables.put_latest(db, "connections_certificate", record, values)
        elif isinstance(record, ConduitCut | ConduitReopened):
            tables.put_latest(db, "connections_gate", record, _gate(record))
        elif isinstance(record, SiteCut):
            said = {"step": record.step, "reason": record.reason, "by": record.by, "asked_by": record.asked_by}
            tables.put_latest(db, "connections_site_cut", record, said)
        elif isinstance(record, SamplesDropped):
            values = {"start_ns": record.start_ns, "rows": record.rows, "why": record.why}
            tables.put(db, "connections_dropped", record, values)
        elif isinstance(record, SourceRefused):
            values = {"edge": record.edge, "source": record.source, "why": record.why, "frames": record.frames}
            tables.put(db, "connections_refused", record, values)
        elif isinstance(record, SamplesQuarantined):
            tags = msgspec.json.encode(record.tags).decode()
            tables.put(db, "connections_quarantined", record, {"rows": record.rows, "why": record.why, "tags": tags})


def _source(record: SourceChanged) -> dict[str, Any]:
    return {
        "state": record.state,
        "cause": record.cause,
        "last_contact_ns": record.last_contact_ns,
        "next_try_ns": record.next_try_ns,
        "address": record.address,
        "security": record.security,
        "tags": record.tags,
        "faults": msgspec.json.encode(record.faults).decode(),
    }


def _device(record: DeviceIdentified) -> dict[str, Any]:
    return {
        "address": record.address,
        "protocol": record.protocol,
        "maker": record.maker,
        "model": record.model,
        "serial": record.serial,
        "firmware": record.firmware,
        "security": record.security,
    }


def _gate(record: ConduitCut | ConduitReopened) -> dict[str, Any]:
    if isinstance(record, ConduitCut):
        return {"cut": 1, "level": record.level, "by": record.by, "reason": record.reason}
    return {"cut": 0, "level": None, "by": " and ".join(record.by), "reason": record.reason}
