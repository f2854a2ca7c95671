"""What an audit reads and writes its facts by, wherever they stand: in a folder of its own, or in a site's log."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import msgspec

from isthmus.assets.addresses import Places
from isthmus.assets.csaf import Library
from isthmus.model.records import Record
from isthmus.model.records.assets import (
    AssetAdvised,
    AssetDecided,
    AssetFinding,
    AssetKnown,
    AssetSeen,
    FlowSeen,
)
from isthmus.model.records.edge import DeviceIdentified
from isthmus.model.zones import Conduit, Zone

PLANT: Final = "audit/site"
_TABLES: Final = {
    AssetSeen: "SELECT body FROM assets_seen ORDER BY path",
    FlowSeen: "SELECT body FROM assets_flows ORDER BY path",
    AssetKnown: "SELECT body FROM assets_body ORDER BY id",
    AssetFinding: "SELECT body FROM assets_findings ORDER BY rank, what, id",
    AssetAdvised: "SELECT body FROM assets_advised ORDER BY id",
    AssetDecided: "SELECT body FROM assets_decided ORDER BY said_ns, path",
    DeviceIdentified: "SELECT body FROM facts WHERE kind = 'DeviceIdentified' AND gone = 0 ORDER BY path, time_ns",
}
R = TypeVar("R", bound=Record)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the plant says of itself."""

    path: str = PLANT
    name: str = "Asset audit"
    internal: tuple[str, ...] = ()
    """Public ranges that the plant uses inside, CIDR."""
    zones: tuple[Zone, ...] = ()
    conduits: tuple[Conduit, ...] = ()
    time_zone: str = "UTC"
    sources: dict[str, str] = {}
    """Of a running site: by the path of a source what its device is called."""

    @property
    def places(self) -> Places:
        """Whose an address is."""
        return Places(self.zones, self.internal)


class AuditFacts(ABC):
    """Facts of an audit, as tables to read and a log to write."""

    settings: Settings

    @abstractmethod
    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Rows of the tables made from the facts, whose columns go by name."""

    @abstractmethod
    def append(self, records: Sequence[Record]) -> None:
        """Log facts; in the tables when this returns."""

    def all(self, kind: type[R]) -> list[R]:
        """Every fact of a kind that stands."""
        decoder: msgspec.json.Decoder[R] = msgspec.json.Decoder(kind)
        return [decoder.decode(row["body"]) for row in self.rows(_TABLES[kind])]

    def library(self) -> Library | None:
        """The advisories that were held against the record last; None where they are not kept."""
        return None

    def revision(self, record: Record) -> int:
        """The highest revision that the record's key ever had; -1 when it was never said."""
        rows = self.rows(
            "SELECT revision FROM facts WHERE kind = ? AND path = ? AND time_ns = ? AND ordinal = ?", record.key
        )
        return int(rows[0]["revision"]) if rows else -1
