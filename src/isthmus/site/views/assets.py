"""The asset record as tables: what stands, what is found, what the advisories say, what people decided.

`assets_known` has a row per asset with the columns that a person filters by, and nothing long, so that many
are looked through quickly; what is searched stands in `assets_words`, the fact as JSON in `assets_body`.
`state` follows from the newest decision on the asset under any of its ids, or on the finding.
"""

from __future__ import annotations

import sqlite3
from typing import ClassVar, Final

import msgspec

from isthmus.model.records import Record
from isthmus.model.records.assets import (
    AssetAdvised,
    AssetDecided,
    AssetFinding,
    AssetKnown,
    AssetSeen,
    FlowSeen,
    SourceRead,
)

_STATES: Final = {"accept": "accepted", "dismiss": "dismissed", "reopen": "staged"}
_COLUMNS: Final = ("maker", "model", "firmware", "serial", "name", "address", "mac", "os", "owner", "location", "tags")
_MAC_COLONS: Final = 5
_RANK: Final = {"high": 0, "medium": 1, "low": 2, "note": 3}


class Assets:
    """Tables `assets_<what>`: seen, flows, sources, known, words, body, alias, place, findings, finding_of, advised, decided."""

    name: ClassVar[str] = "assets"
    reads: ClassVar[tuple[type[Record], ...]] = (
        AssetSeen,
        FlowSeen,
        SourceRead,
        AssetKnown,
        AssetFinding,
        AssetAdvised,
        AssetDecided,
    )
    schema: ClassVar[str] = f"""
        CREATE TABLE assets_seen (path TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE assets_flows (
            path TEXT PRIMARY KEY, client TEXT NOT NULL, server TEXT NOT NULL, service TEXT NOT NULL,
            last_ns INTEGER NOT NULL, body TEXT NOT NULL
        );
        CREATE INDEX assets_flows_by_client ON assets_flows (client, server, service);
        CREATE INDEX assets_flows_by_server ON assets_flows (server);
        CREATE TABLE assets_sources (
            path TEXT PRIMARY KEY, name TEXT NOT NULL, what TEXT NOT NULL, by TEXT NOT NULL, said_ns INTEGER NOT NULL,
            packets INTEGER NOT NULL, not_fitting TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE assets_known (
            id TEXT PRIMARY KEY, {", ".join(f"{name} TEXT NOT NULL" for name in _COLUMNS)}, zone TEXT NOT NULL,
            role TEXT NOT NULL, parent TEXT NOT NULL, filled REAL NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL,
            known_ns INTEGER NOT NULL, state TEXT NOT NULL, revision INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE assets_words (id TEXT PRIMARY KEY, words TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE assets_body (id TEXT PRIMARY KEY, body TEXT NOT NULL);
        CREATE INDEX assets_known_by_zone ON assets_known (zone, role);
        CREATE INDEX assets_known_by_role ON assets_known (role);
        CREATE INDEX assets_known_by_maker ON assets_known (maker, model);
        CREATE INDEX assets_known_by_name ON assets_known ((name = ''), name, id);
        CREATE INDEX assets_known_by_state ON assets_known (state);
        CREATE INDEX assets_known_by_seen ON assets_known (last_ns);
        CREATE INDEX assets_known_by_parent ON assets_known (parent);
        CREATE TABLE assets_alias (alias TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (alias, id)) WITHOUT ROWID;
        CREATE INDEX assets_alias_by_id ON assets_alias (id);
        CREATE TABLE assets_place (place TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (place, id)) WITHOUT ROWID;
        CREATE INDEX assets_place_by_id ON assets_place (id);
        CREATE TABLE assets_findings (
            id TEXT PRIMARY KEY, what TEXT NOT NULL, severity TEXT NOT NULL, rank INTEGER NOT NULL,
            title TEXT NOT NULL, time_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, state TEXT NOT NULL,
            revision INTEGER NOT NULL, body TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX assets_findings_by_state ON assets_findings (state, rank, last_ns);
        CREATE TABLE assets_finding_of (
            asset TEXT NOT NULL, finding TEXT NOT NULL, PRIMARY KEY (asset, finding)
        ) WITHOUT ROWID;
        CREATE INDEX assets_finding_of_finding ON assets_finding_of (finding);
        CREATE TABLE assets_advised (
            id TEXT PRIMARY KEY, answer TEXT NOT NULL, newest TEXT NOT NULL, score REAL NOT NULL, body TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX assets_advised_by_answer ON assets_advised (answer, score);
        CREATE TABLE assets_decided (
            path TEXT NOT NULL, time_ns INTEGER NOT NULL, ordinal INTEGER NOT NULL, of TEXT NOT NULL,
            decision TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, said_ns INTEGER NOT NULL, body TEXT NOT NULL,
            PRIMARY KEY (path, time_ns, ordinal)
        ) WITHOUT ROWID;
        CREATE INDEX assets_decided_by_of ON assets_decided (of, said_ns);
    """

    def apply(self, db: sqlite3.Connection, position: int, record: Record) -> None:
        """Put what the record says in its place."""
        del position
        if isinstance(record, AssetSeen | FlowSeen) and record.gone:
            table = "assets_seen" if isinstance(record, AssetSeen) else "assets_flows"
            db.execute(f"DELETE FROM {table} WHERE path = ?", (record.path,))  # noqa: S608  one of two names
        elif isinstance(record, AssetSeen):
            db.execute("INSERT OR REPLACE INTO assets_seen VALUES (?, ?)", (record.path, _body(record)))
        elif isinstance(record, FlowSeen):
            values = (record.path, record.client, record.server, record.service, record.last_ns, _body(record))
            db.execute("INSERT OR REPLACE INTO assets_flows VALUES (?, ?, ?, ?, ?, ?)", values)
        elif isinstance(record, SourceRead):
            not_fitting = msgspec.json.encode(record.not_fitting).decode()
            db.execute(
                "INSERT OR REPLACE INTO assets_sources VALUES (?, ?, ?, ?, ?, ?, ?)",
                (record.path, record.name, record.what, record.by, record.said_ns, record.packets, not_fitting),
            )
        elif isinstance(record, AssetKnown):
            _known(db, record)
        elif isinstance(record, AssetFinding):
            _finding(db, record)
        elif isinstance(record, AssetAdvised):
            _advised(db, record)
        elif isinstance(record, AssetDecided):
            _decided(db, record)


def _known(db: sqlite3.Connection, record: AssetKnown) -> None:
    name = _id(record)
    db.execute("DELETE FROM assets_alias WHERE id = ?", (name,))
    db.execute("DELETE FROM assets_place WHERE id = ?", (name,))
    if record.gone:
        for table in ("assets_known", "assets_words", "assets_body", "assets_advised"):
            db.execute(f"DELETE FROM {table} WHERE id = ?", (name,))  # noqa: S608  our own names
        return
    db.executemany("INSERT OR IGNORE INTO assets_alias VALUES (?, ?)", [(one, name) for one in record.aliases])
    places = {field.value for field in record.fields if field.name in ("address", "mac")}
    addressed = any(field.name == "address" for field in record.fields)
    # A device with an address is found by it; its card may be a router's before many.
    kept = [place for place in places if not addressed or place.count(":") != _MAC_COLONS or "." in place]
    db.executemany("INSERT OR IGNORE INTO assets_place VALUES (?, ?)", [(place, name) for place in kept])
    values = {column: record.best(column) for column in _COLUMNS}
    if not values["address"] and not values["mac"] and record.best("behind"):
        values["address"] = f"behind {record.best('behind')}"
    words = " ".join(dict.fromkeys(field.value for field in record.fields)).lower()
    marks = ", ".join("?" * (len(_COLUMNS) + 10))
    db.execute(
        f"INSERT OR REPLACE INTO assets_known VALUES ({marks})",  # noqa: S608  marks alone
        (
            name,
            *values.values(),
            record.zone,
            record.role,
            record.parent,
            record.filled,
            record.first_ns,
            record.last_ns,
            record.time_ns,
            _state(db, [name, *record.aliases]),
            record.revision,
        ),
    )
    db.execute("INSERT OR REPLACE INTO assets_words VALUES (?, ?)", (name, words))
    db.execute("INSERT OR REPLACE INTO assets_body VALUES (?, ?)", (name, _body(record)))


def _finding(db: sqlite3.Connection, record: AssetFinding) -> None:
    name = _id(record)
    db.execute("DELETE FROM assets_finding_of WHERE finding = ?", (name,))
    if record.gone:
        db.execute("DELETE FROM assets_findings WHERE id = ?", (name,))
        return
    db.executemany("INSERT OR IGNORE INTO assets_finding_of VALUES (?, ?)", [(one, name) for one in record.assets])
    db.execute(
        "INSERT OR REPLACE INTO assets_findings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            name,
            record.what,
            record.severity,
            _RANK[record.severity],
            record.title,
            record.time_ns,
            record.last_ns,
            _state(db, [name]),
            record.revision,
            _body(record),
        ),
    )


def _advised(db: sqlite3.Connection, record: AssetAdvised) -> None:
    if record.gone:
        db.execute("DELETE FROM assets_advised WHERE id = ?", (_id(record),))
        return
    score = max((one.score for one in record.advices if one.answer == record.answer), default=0.0)
    db.execute(
        "INSERT OR REPLACE INTO assets_advised VALUES (?, ?, ?, ?, ?)",
        (_id(record), record.answer, record.newest, score, _body(record)),
    )


def _decided(db: sqlite3.Connection, record: AssetDecided) -> None:
    key = (record.path, record.time_ns, record.ordinal)
    name = _id(record)
    if record.gone:
        db.execute("DELETE FROM assets_decided WHERE path = ? AND time_ns = ? AND ordinal = ?", key)
    else:
        db.execute(
            "INSERT OR REPLACE INTO assets_decided VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*key, name, record.decision, record.reason, record.by, record.said_ns, _body(record)),
        )
    for (one,) in db.execute("SELECT id FROM assets_alias WHERE alias = ?", (name,)).fetchall():
        aliases = [row[0] for row in db.execute("SELECT alias FROM assets_alias WHERE id = ?", (one,))]
        db.execute("UPDATE assets_known SET state = ? WHERE id = ?", (_state(db, [one, *aliases]), one))
    db.execute("UPDATE assets_findings SET state = ? WHERE id = ?", (_state(db, [name]), name))


def _state(db: sqlite3.Connection, names: list[str]) -> str:
    """Where the newest decision left it; staged until somebody decides."""
    newest = db.execute(
        "SELECT decision FROM assets_decided WHERE of IN (SELECT value FROM json_each(?)) "
        "AND decision IN ('accept', 'dismiss', 'reopen') ORDER BY said_ns DESC, ordinal DESC LIMIT 1",
        (msgspec.json.encode(names).decode(),),
    ).fetchone()
    return _STATES[newest[0]] if newest else "staged"


def _id(record: Record) -> str:
    return record.path.rpartition("/")[2]


def _body(record: Record) -> str:
    return msgspec.json.encode(record).decode()
