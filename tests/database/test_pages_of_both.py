"""Every page and every answer of the API is the same whichever engine keeps its tables."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient

import web_world as worlds
from isthmus.model.equipment import beside
from isthmus.model.records import Record
from isthmus.model.records.assets import (
    Advice,
    AssetAdvised,
    AssetDecided,
    AssetFinding,
    AssetKnown,
    Field,
    FlowSeen,
    SourceRead,
)
from isthmus.model.records.production import LotPart, LotUsed, RunSettled
from isthmus.model.records.site import BusChanged, BusMissed, SourceRefused
from isthmus.model.time import NS_PER_S
from isthmus.site import views as folder_of_views
from isthmus.site.records.database import Parameters
from isthmus.site.records.postgresql import PostgresDatabase
from isthmus.site.records.views_db import Views
from postgres import Cluster
from web_world import Visitor

PAGES = [
    "/lots",
    "/lots?lot=S-1",
    "/lots?lot=HEAT-1",
    "/assets",
    "/assets?answer=affected",
    "/assets?zone=safety",
    "/assets?zone=-",
    "/assets?q=sn000007",
    "/assets?q=SIEMENS",
    "/assets?sort=weak",
    "/assets?sort=address",
    "/assets?sort=maker&page=2",
    "/assets/map",
    "/assets/findings",
    "/assets/findings?state=accepted",
    "/asset/a0001",
    "/asset/old-a0002",
]


class Both:
    """Asks both engines, and gives what SQLite says."""

    def __init__(self, site: Any, files: Views) -> None:  # noqa: ANN401
        self._far, self._files = site.views, files
        self.asked: set[str] = set()
        self.rows = 0

    def query(self, sql: str, parameters: Parameters = ()) -> list[sqlite3.Row]:
        wanted, found = self._files.query(sql, parameters), self._far.query(sql, parameters)
        mine, theirs = ([plain(row) for row in rows] for rows in (wanted, found))
        if "ORDER BY" not in sql:
            mine, theirs = sorted(mine, key=repr), sorted(theirs, key=repr)
        assert theirs == mine, (sql, parameters)
        self.asked.add(sql)
        self.rows += len(wanted)
        return wanted

    def catch_up(self, log: Any) -> int:  # noqa: ANN401
        self._far.catch_up(log)
        return self._files.catch_up(log)

    def close(self) -> None:
        self._far.close()
        self._files.close()


def plain(row: sqlite3.Row) -> dict[str, Any]:
    """A row; in what order texts were joined is nobody's promise."""
    out = dict(row)
    if out.get("services"):
        out["services"] = sorted(out["services"].split(","))
    return out


@pytest.fixture
def both(tmp_path: Path, postgres: Cluster) -> Iterator[worlds.World]:
    with worlds.world(tmp_path, database=PostgresDatabase(postgres.database())) as made:
        made.site.append(list(assets()))
        files = Views(tmp_path / "views.sqlite", folder_of_views.found())
        files.catch_up(made.site.log)
        made.site.views = Both(made.site, files)  # type: ignore[assignment]
        yield made


@pytest.mark.peer("postgresql")
def test_every_page_reads_the_same_rows_in_the_same_order(both: worlds.World) -> None:
    machines = [worlds.below(name) for name in ("CNC-01", "CNC-02", "Press-2", "Paint", "Pack")]
    pages = ["/plant", "/connections", "/orders", "/accounts", "/plant?line=line-a&sort=state", *PAGES]
    pages += [f"/machine/{name}" for name in machines] + [f"/machine/{machines[0]}?shift=previous"]
    answers = ["/api/machines", "/api/orders", "/api/needs", "/api/reports", "/api/connections"]
    answers += [f"/api/{what}/{name}" for what in ("shift", "states", "stops", "counts", "tags") for name in machines]
    views: Any = both.site.views
    with TestClient(both.app) as client:
        visitor = Visitor(client, "administrator")
        for page in pages:
            assert visitor.get(page).status_code == 200, page
        for answer in answers:
            assert visitor.get(answer).status_code == 200, answer
        plain_page = visitor.get("/plant").text
    assert "Nothing is published on the plant&#39;s bus" in plain_page
    assert "7 messages did not reach the plant&#39;s bus" in plain_page
    assert len(views.asked) > 50
    assert views.rows > 500


def assets() -> Iterator[Record]:
    """Seventy-five devices with what was found on them, advised and decided."""
    plant = worlds.path("CNC-01").rsplit("/", 3)[0]
    for n in range(75):
        yield device(plant, n)
        ends = (f"10.4.0.{n}", f"10.4.0.{(n + 1) % 75}" if n % 5 else "203.0.113.9")
        yield FlowSeen(
            path=beside(plant, "flow", f"f{n}"),
            time_ns=5,
            client=ends[0],
            server=ends[1],
            service="modbus" if n % 2 else "",
            last_ns=6,
            source="s",
            transport="tcp",
        )
    bus = beside(plant, "bus", "nats")
    yield BusChanged(path=bus, time_ns=worlds_now(), up=False, cause="it syncs when it likes")
    yield BusMissed(path=bus, time_ns=worlds_now(), count=7, why="too large")
    for n, lot in enumerate(("S-1", "S-2")):
        used = (LotUsed(material="BAR", lot=f"HEAT-{n}"),)
        yield RunSettled(
            path=worlds.path("CNC-01"),
            time_ns=worlds_now() + n,
            start_ns=1,
            order="1045",
            product="SHAFT",
            good=10,
            lots=(LotPart(lot=lot, good=6, used=used), LotPart(good=4)),
        )
    yield RunSettled(
        path=worlds.path("CNC-02"),
        time_ns=worlds_now(),
        start_ns=1,
        order="1047",
        product="PUMP",
        good=1,
        lots=(LotPart(lot="P-1", good=1, used=(LotUsed(material="SHAFT", lot="S-1"),)),),
    )
    for source in ("press-1", "press-2"):
        conduit = beside(plant, "conduit", "uplink")
        refused = SourceRefused(
            path=conduit,
            time_ns=worlds_now(),
            ordinal=len(source) + ord(source[-1]),
            edge="e",
            source=source,
            why="w",
            frames=3,
        )
        yield refused
    yield SourceRead(
        path=beside(plant, "assets", "s"), time_ns=4, name="line.pcap", what="capture", by="ann", said_ns=4
    )
    for n, severity in enumerate(("high", "low", "medium")):
        yield AssetFinding(
            path=beside(plant, "finding", f"f{n}"),
            time_ns=5,
            what="drift",
            title=f"plc-{n:04d} changed",
            text="1.0 then 1.1",
            next_step="Compare.",
            severity=severity,  # type: ignore[arg-type]
            assets=(f"a{n:04d}",),
            addresses=(f"10.4.0.{n}",),
            last_ns=6,
        )
    advice = Advice(
        advisory="ICSA-1",
        title="T",
        answer="affected",
        why="w",
        product="p",
        product_id="P",
        version="<2",
        certain=True,
    )
    yield AssetAdvised(
        path=beside(plant, "asset", "a0003"), time_ns=6, answer="affected", newest="2026", advices=(advice,)
    )
    for name, decision in (("f1", "accept"), ("old-a0005", "dismiss"), ("old-a0005", "reopen"), ("a0006", "accept")):
        yield AssetDecided(
            path=beside(plant, "asset", name),
            time_ns=7 + (decision == "reopen"),
            decision=decision,  # type: ignore[arg-type]
            reason="seen",
            by="ann",
            said_ns=7 + (decision == "reopen"),
        )


def worlds_now() -> int:
    return time.time_ns() - NS_PER_S


def device(plant: str, n: int) -> AssetKnown:
    told = {
        "name": f"plc-{n:04d}" if n % 4 else "",
        "maker": "Siemens" if n % 2 else "Omron",
        "model": "CP1L",
        "address": f"10.4.0.{n}",
        "serial": f"SN{n:06d}",
    }
    fields = tuple(
        Field(name=name, value=value, how="observed", method="CIP", confidence=0.9, first_ns=1, last_ns=2, source="s")
        for name, value in told.items()
        if value
    )
    return AssetKnown(
        path=beside(plant, "asset", f"a{n:04d}"),
        time_ns=10,
        keys=(f"address {n}",),
        aliases=(f"a{n:04d}", f"old-a{n:04d}"),
        zone=("control", "safety", "")[n % 3],
        role="controller",
        fields=fields,
        first_ns=1,
        last_ns=2 + n % 7,
        filled=0.4,
    )
