"""The audit on paper: one HTML file that stands by itself, for a board that reads two pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from isthmus.assets.cisa import by_zone
from isthmus.model.inventory import ATTRIBUTES, FINDINGS, ROLES, spoken
from isthmus.model.records.assets import AssetAdvised, AssetDecided, AssetFinding, AssetKnown
from isthmus.run.auditing.words import day, identity, moment

if TYPE_CHECKING:
    from isthmus.run.auditing.store import AuditStore

_STYLE: Final = """
:root{font:15px/1.5 system-ui,"Segoe UI",Roboto,sans-serif;color:#1C2429;font-variant-numeric:tabular-nums}
body{max-width:1000px;margin:24px auto;padding:0 24px} h1{font-size:26px;margin:0} h2{font-size:17px;margin:28px 0 8px}
p{margin:4px 0 8px} .muted,small{color:#55636D} table{border-collapse:collapse;width:100%;font-size:13.5px}
th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid #D9DEE2;vertical-align:top} th{font-weight:600;color:#55636D}
.n{text-align:right;padding-right:18px} .sum{display:flex;gap:12px;flex-wrap:wrap;margin:16px 0}
.sum div{border:1px solid #D9DEE2;border-radius:6px;padding:10px 16px;min-width:130px} .sum b{display:block;font-size:24px}
.high{color:#B3261E;font-weight:650} td.wrap{overflow-wrap:anywhere} @media print{body{margin:0;max-width:none} tr{break-inside:avoid}}
"""
_SHOWN: Final = 60


def report(store: AuditStore, now_ns: int) -> str:
    """The report as HTML."""
    assets, findings = store.all(AssetKnown), store.all(AssetFinding)
    states = {row["id"]: row["state"] for row in store.views.query("SELECT id, state FROM assets_findings")}
    work = [one for one in findings if one.severity != "note" and states[_id(one)] == "staged"]
    advised = {identity(one): one for one in store.all(AssetAdvised)}  # type: ignore[arg-type]  # both have a path
    scores = by_zone(assets)
    parts = [
        f"<h1>{escape(store.settings.name)}</h1>",
        (
            f'<p class="muted">OT asset audit, {escape(moment(now_ns))} UTC. Seen from {day(min((one.first_ns for one in assets), default=0)) or "no date"} '
            f"to {day(max((one.last_ns for one in assets), default=0)) or 'no date'}.</p>"
        ),
        _sums(assets, work, advised, scores[0].score),
        "<h2>What needs a decision, the worst first</h2>",
        _findings(work, store.source_names()),
        "<h2>What was accepted</h2>",
        _accepted(findings, states, store.all(AssetDecided)),
        "<h2>Known weaknesses</h2>",
        _advised(assets, advised),
        "<h2>What stands on the floor</h2>",
        _table(("Role", "Assets", "Makers"), _by_role(assets)),
        "<h2>How complete the record is</h2>",
        _table(
            ("Zone", "Assets", "All attributes", "The 14 of high priority"),
            ((_zone(one.zone), f"{one.assets:,}", _share(one.score), _share(one.high)) for one in scores),
        ),
        _table(
            ("Attribute", "Priority", "Filled", "Known"),
            (
                (
                    spoken(one.attribute),
                    ATTRIBUTES[one.attribute].priority,
                    f"{one.filled:,} of {one.of:,}",
                    ", ".join(f"{how} {count}" for how, count in sorted(one.by.items())) or "nothing yet",
                )
                for one in scores[0].shares
            ),
        ),
        "<h2>From what this follows</h2>",
        _table(
            ("Read", "What", "By", "Could not be read"),
            (
                (
                    one.name,
                    f"{one.what} {f'{one.packets:,} packets' if one.packets else ''}",
                    one.by,
                    str(len(one.not_fitting)),
                )
                for one in store.sources()
            ),
        ),
        (
            f'<p class="muted">Record: {store.log.position:,} facts, head {escape(store.log.head)}. '
            "What nobody sent while we listened is not in it; an answer is as old as its newest advisory.</p>"
        ),
    ]
    head = f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><title>{escape(store.settings.name)}: asset audit</title>'
    return f"{head}<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"


def _sums(
    assets: Sequence[AssetKnown], work: Sequence[AssetFinding], advised: dict[str, AssetAdvised], score: float | None
) -> str:
    answers = Counter(one.answer for one in advised.values())
    told = (
        (f"{len(assets):,}", "assets"),
        (f"{sum(one.severity == 'high' for one in work):,}", "findings of high severity"),
        (f"{sum(one.severity != 'high' for one in work):,}", "further findings"),
        (f"{answers['affected']:,}" if advised else "no data", "assets affected by advisories"),
        (_share(score), "of the record filled"),
    )
    return (
        '<div class="sum">' + "".join(f"<div><b>{escape(one)}</b>{escape(what)}</div>" for one, what in told) + "</div>"
    )


def _findings(work: Sequence[AssetFinding], names: dict[str, str]) -> str:
    if not work:
        return "<p>Nothing waits for a decision.</p>"
    rows = []
    for one in work[:_SHOWN]:
        proof = one.evidence[0] if one.evidence else None
        seen = f"{moment(proof.time_ns)}, {names.get(proof.source, proof.source)} frame {proof.frame}" if proof else ""
        rows.append(
            f'<tr><td class="{one.severity}">{one.severity}</td><td><b>{escape(one.title)}</b><br>{escape(one.text)}'
            f"<br><small>{escape(FINDINGS[one.what])}; {escape(seen)}</small></td><td>{escape(one.next_step)}</td></tr>"
        )
    more = f"<p>{len(work) - _SHOWN:,} more stand in the record.</p>" if len(work) > _SHOWN else ""
    return f"<table><tr><th>Severity</th><th>Finding</th><th>Next step</th></tr>{''.join(rows)}</table>{more}"


def _accepted(findings: Sequence[AssetFinding], states: dict[str, str], decided: Sequence[AssetDecided]) -> str:
    """What somebody answers for, with the reason and the day until which it holds."""
    newest = {one.path: one for one in decided if one.decision in ("accept", "dismiss")}
    rows = [
        (
            states[_id(one)],
            one.title,
            f"{said.by}, {day(said.said_ns)}: {said.reason}",
            day(said.until_ns - 1) if said.until_ns else "for ever",
        )
        for one in findings
        if states[_id(one)] != "staged" and (said := newest.get(one.path))
    ]
    if not rows:
        return "<p>Nothing was accepted or dismissed.</p>"
    more = f"<p>{len(rows) - _SHOWN:,} more stand in the record.</p>" if len(rows) > _SHOWN else ""
    return _table(("Decision", "Finding", "By whom and why", "Until"), rows[:_SHOWN]) + more


def _advised(assets: Sequence[AssetKnown], advised: dict[str, AssetAdvised]) -> str:
    if not advised:
        return "<p>No advisories have been held against this record, so nothing can be said.</p>"
    hit = [(one, advised[identity(one)]) for one in assets if identity(one) in advised]
    rows = []
    for asset, told in hit:
        affecting = [advice for advice in told.advices if advice.answer == "affected"]
        if affecting:
            worst = max(affecting, key=lambda advice: advice.score)
            rows.append(
                (
                    f"{worst.score:.1f}",
                    f"{asset.best('maker')} {asset.best('model')}",
                    str(len({advice.advisory for advice in affecting})),
                    worst.title,
                    "yes" if worst.patch else "no",
                )
            )
    rows.sort(key=lambda row: -float(row[0]))
    answers = Counter(told.answer for _, told in hit)
    newest = max(told.newest for told in advised.values())
    said = "; ".join(f"{answers[one]:,} {one}" for one in ("affected", "unknown", "not affected", "no data"))
    return f"<p>{said}. The newest advisory is of {escape(newest)}; what came out since then is not in it.</p>" + (
        _table(("Score", "Asset", "Advisories", "The gravest", "Corrected version"), rows[:_SHOWN]) if rows else ""
    )


def _by_role(assets: Sequence[AssetKnown]) -> Iterable[tuple[str, str, str]]:
    counts = Counter(one.role for one in assets)
    for role, count in counts.most_common():
        makers = Counter(one.best("maker") for one in assets if one.role == role and one.best("maker"))
        yield ROLES.get(role, role), f"{count:,}", ", ".join(f"{maker} {many}" for maker, many in makers.most_common(6))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f'<td class="wrap">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _share(share: float | None) -> str:
    return "no assets" if share is None else f"{share:.0%}"


def _zone(zone: str) -> str:
    return "Whole plant" if zone == "*" else zone or "No zone"


def _id(one: AssetFinding) -> str:
    return one.path.rpartition("/")[2]
