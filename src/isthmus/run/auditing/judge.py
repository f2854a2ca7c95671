"""Judges what an audit's folder holds: the record, the findings, the advisories; logs only what changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from isthmus.assets.advisories import Matcher, advise, subject_of
from isthmus.assets.cisa import scored
from isthmus.assets.csaf import Library
from isthmus.assets.decided import baseline, with_decisions
from isthmus.assets.findings import Look, find
from isthmus.assets.oriented import oriented
from isthmus.assets.record import record
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
from isthmus.run.auditing.facts import AuditFacts
from isthmus.run.auditing.own import asked


class Judged(NamedTuple):
    """What follows from everything said."""

    assets: list[AssetKnown]
    findings: list[AssetFinding]
    changed: int
    """Facts that were logged because they are new or otherwise."""


def judge(store: AuditFacts, now_ns: int | None = None) -> Judged:
    """Judge anew and log what changed. The same statements give the same record."""
    now = time.time_ns() if now_ns is None else now_ns
    settings = store.settings
    flows = oriented(store.all(FlowSeen))
    decided = store.all(AssetDecided)
    statements = [*store.all(AssetSeen), *asked(settings.path, store.all(DeviceIdentified), settings.sources)]
    assets = scored(with_decisions(record(settings.path, statements, flows, settings.places), decided))
    look = Look(
        settings.path,
        assets,
        flows,
        settings.places,
        conduits=settings.conduits,
        baseline=baseline(decided),
        today_ns=now,
    )
    findings = find(look)
    fresh = [
        *changes(assets, store.all(AssetKnown), now),
        *changes(findings, store.all(AssetFinding), None, store.revision),
        *changes(*_advised(store, assets), now),
    ]
    if fresh:
        store.append(fresh)
    return Judged(assets, findings, len(fresh))


def _advised(store: AuditFacts, assets: Sequence[AssetKnown]) -> tuple[list[AssetAdvised], list[AssetAdvised]]:
    """The answers that stand, and those that were logged: one of another model or firmware is no answer.

    What is new or otherwise is held against the advisories that were held last; where those are not kept, the
    answer is withdrawn.
    """
    known = store.all(AssetAdvised)
    by_path = {one.path: one for one in known}
    out: list[AssetAdvised] = []
    owed: list[AssetKnown] = []
    for asset in assets:
        told = by_path.get(asset.path)
        if told is not None and told.of == subject_of(asset).digest:
            out.append(told)
        else:
            owed.append(asset)
    library = store.library() if known and owed else None
    if library is None:
        return [*out, *(by_path[one.path] for one in owed if one.path in by_path and not by_path[one.path].of)], known
    matcher = Matcher(library)
    return [*out, *(advise(one, library, matcher, store.settings.places) for one in owed)], known


def hold_advisories(store: AuditFacts, library: Library, now_ns: int | None = None) -> list[AssetAdvised]:
    """Hold the advisories against every asset and log what changed."""
    now = time.time_ns() if now_ns is None else now_ns
    matcher = Matcher(library)
    answers = [advise(asset, library, matcher, store.settings.places) for asset in store.all(AssetKnown)]
    fresh = changes(answers, store.all(AssetAdvised), now)
    if fresh:
        store.append(fresh)
    return answers


def changes(
    fresh: Sequence[Record],
    known: Sequence[Record],
    now_ns: int | None,
    revision: Callable[[Record], int] = lambda _: -1,
) -> list[Record]:
    """What is new or otherwise, stamped `now_ns` where that is given; and what is no longer so.

    `revision` tells the highest that a fact's key ever had, -1 for none: what was gone may come back.
    """
    before = {one.path: one for one in known}
    out: list[Record] = []
    for one in fresh:
        old = before.pop(one.path, None)
        if old is None or _content(old, timed=now_ns is None) != _content(one, timed=now_ns is None):
            stamped = _with(one, now_ns, 0)
            before_it = revision(stamped)
            if old is not None and old.time_ns == stamped.time_ns:
                before_it = max(before_it, old.revision)
            out.append(_with(stamped, None, before_it + 1))
    out += [_with(one, None, one.revision + 1, gone=True) for one in before.values()]
    return out


def _content(one: Record, *, timed: bool) -> dict[str, object]:
    left_out = {"revision", "gone"} if timed else {"revision", "gone", "time_ns"}
    return {name: getattr(one, name) for name in one.__struct_fields__ if name not in left_out}


def _with(one: Record, time_ns: int | None, revision: int, *, gone: bool = False) -> Record:
    kept = {name: getattr(one, name) for name in one.__struct_fields__}
    stamped = one.time_ns if time_ns is None else time_ns
    return type(one)(**{**kept, "time_ns": stamped, "revision": revision, "gone": gone})


def captures_below(paths: Sequence[Path]) -> list[Path]:
    """The files themselves; of a folder every capture in it."""
    out: list[Path] = []
    for path in paths:
        if path.is_dir():
            out += sorted(one for one in path.rglob("*") if one.suffix in (".pcap", ".pcapng", ".cap", ".gz"))
        else:
            out.append(path)
    return out
