"""Joins captures that follow one another: what is said across the cut between them becomes facts of both.

The packets next to each capture's ends are kept in the audit's folder, so that pieces may come in any
order. They are bytes from the wire and stay there: they are not in the log and are not handed over.

    audit/ends/<first ns>-<last ns>-<digest>
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from isthmus.assets.decode.ends import NEAR_NS, Ends, chains, hear_across
from isthmus.assets.heard import facts_of
from isthmus.assets.ledger import Fact, Ledger, both
from isthmus.model.records.assets import AssetSeen, FlowSeen
from isthmus.run.auditing.store import AuditStore

_FOLDER: Final = "ends"
_MOST: Final = 4_096
"""Captures whose ends are kept; of more the oldest go."""
_AHEAD: Final = 8


def across(store: AuditStore, ends: Ends, known: Sequence[Fact]) -> list[Fact]:
    """Keep a capture's ends and give what it and those around it say together; `known` is what it says alone."""
    facts = {one.path: one for one in known}
    fresh: dict[str, Fact] = {}
    for run in chains([ends, *_around(store.folder / _FOLDER, ends)], ends.source):
        for source, heard in hear_across(run):
            seen, flows = facts_of(store.settings.path, heard, source)
            said: list[Fact] = [*seen, *flows]
            for one in said:
                before = fresh.get(one.path)
                fresh[one.path] = one if before is None else both(before, one)
    _keep(store.folder / _FOLDER, ends)
    ledger = Ledger()
    had = [facts.get(path) or _logged(store, one) for path, one in fresh.items()]
    ledger.given([one for one in had if one is not None])
    whole = [one if old is None else both(old, one) for one, old in zip(fresh.values(), had, strict=True)]
    return ledger.due(whole, everything=True)


def _logged(store: AuditStore, fact: Fact) -> Fact | None:
    """The fact with this path as the folder has it."""
    if isinstance(fact, AssetSeen):
        rows = store.views.query("SELECT body FROM assets_seen WHERE path = ?", (fact.path,))
        return msgspec.json.decode(rows[0]["body"], type=AssetSeen) if rows else None
    rows = store.views.query("SELECT body FROM assets_flows WHERE path = ?", (fact.path,))
    return msgspec.json.decode(rows[0]["body"], type=FlowSeen) if rows else None


def _around(folder: Path, ends: Ends) -> Iterator[Ends]:
    """The ends of captures that may follow, or be followed, through a few short ones."""
    reach = NEAR_NS * _AHEAD
    for path in sorted(folder.glob("*-*-*")):
        first, last, source = path.name.split("-")
        if source == ends.source:
            continue
        near = int(first) <= ends.last_ns + reach and int(last) >= ends.first_ns - reach
        if near:
            try:
                yield msgspec.msgpack.decode(path.read_bytes(), type=Ends)
            except msgspec.MsgspecError:  # another version's, or a torn one: that cut is not joined
                path.unlink(missing_ok=True)


def _keep(folder: Path, ends: Ends) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    kept = sorted(folder.glob("*-*-*"))
    for path in kept[: max(len(kept) - _MOST + 1, 0)]:
        path.unlink(missing_ok=True)
    waiting = folder / f"{ends.source}.new"
    waiting.write_bytes(msgspec.msgpack.encode(ends))
    waiting.replace(folder / f"{max(ends.first_ns, 0):020}-{max(ends.last_ns, 0):020}-{ends.source}")
