"""What needs a person now, the worst first, each in plain words: one line per cause, not per consequence."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Literal

import msgspec

from isthmus.model.equipment import named
from isthmus.model.states import State
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.web import words
from isthmus.web.figures import orders, refusals, sources
from isthmus.web.figures.machines import MachineNow
from isthmus.web.figures.sources import Source
from isthmus.web.house import House


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that needs a person."""

    key: str
    kind: Literal["down", "silent", "tag", "parked", "erp", "cut", "link", "certificate", "unheard", "stopped"]
    title: str
    text: str
    link: str
    link_text: str
    urgent: bool = False


def needs(house: House, machines: Sequence[MachineNow], now_ns: int) -> list[Need]:
    """Everything that needs a person, in order."""
    told = sources.all_sources(house)
    return [
        *_stopped(house),
        *_down(house, machines, now_ns),
        *_unheard(house, told, now_ns),
        *(_silent(house, source, now_ns) for source in told if not source.up and source.unheard_since_ns is None),
        *_gates(house, now_ns),
        *_erp(house, now_ns),
        *_buses(house, now_ns),
        *(_faulty(source) for source in told if source.up and source.faults),
        *_certificates(house, now_ns),
    ]


def _unheard(house: House, told: Sequence[sources.Source], now_ns: int) -> list[Need]:
    """One need for a silent edge, not one for each of its sources."""
    silent = [source for source in told if source.unheard_since_ns is not None]
    if not silent:
        return []
    since_ns = min(source.unheard_since_ns or now_ns for source in silent)
    machines = sorted({machine for source in silent for machine in source.machines})
    return [
        Need(
            key="unheard",
            kind="silent",
            title=f"The edge is not heard since {house.local.moment(since_ns, now_ns)}",
            text=f"What {', '.join(machines) or 'its machines'} do is not known here. The edge goes on reading and keeps "
            "everything; look at its own page on the OT side, and at the link.",
            link="/connections",
            link_text="Look at the connections",
            urgent=True,
        )
    ]


def _stopped(house: House) -> list[Need]:
    """Machines whose figures stand still because a fold failed."""
    return [
        Need(
            key=f"stopped-{house.below(path)}",
            kind="stopped",
            title=f"The figures of {house.site.plant.machines[path].name} stand still",
            text=f"{sentence}. Samples and what people say are kept, and count once the fault is mended.",
            link=f"/machine/{house.below(path)}",
            link_text="Look at the machine",
            urgent=True,
        )
        for path, sentence in sorted(house.site.stopped.items())
        if path in house.site.plant.machines
    ]


def silent_words(house: House, source: Source, now_ns: int) -> tuple[str, str]:
    """A source that does not deliver, as a title and what is known of it."""
    heard = source.last_contact_ns
    if source.state == "connecting" and heard is None:
        title = f"{source.name} is being connected for the first time"
    elif source.state == "stopped":
        title = f"{source.name} was stopped at {house.local.moment(source.since_ns, now_ns)}"
    elif source.state == "refused":
        title = f"{source.name} refuses us since {house.local.moment(source.since_ns, now_ns)}"
    elif heard is None:
        title = f"{source.name} has never answered"
    else:
        title = f"{source.name} silent since {house.local.moment(heard, now_ns)}"
    parts = [source.cause.rstrip(".") + "."] if source.cause else []
    if heard is not None:
        parts.append(f"Last contact {words.duration(now_ns - heard)} ago.")
    if source.next_try_ns is not None and source.state != "stopped":
        wait = source.next_try_ns - now_ns
        parts.append(f"Next try in {-(-wait // NS_PER_S)} s." if wait > 0 else "Trying now.")
    if source.tags:
        parts.append(f"{words.plural(source.tags, 'tag')} marked bad; nothing counted since.")
    return title, " ".join(parts)


def _down(house: House, machines: Sequence[MachineNow], now_ns: int) -> list[Need]:
    down = [machine for machine in machines if machine.state is State.DOWN and machine.since_ns is not None]
    out = []
    for machine in sorted(down, key=lambda one: one.since_ns or 0):
        since = machine.since_ns or now_ns
        code = f"Stop code {machine.stop_code}. " if machine.stop_code else ""
        job = f"Order {machine.job.order} waits. " if machine.job else "No order runs on it. "
        out.append(
            Need(
                key=f"down-{machine.slug}",
                kind="down",
                title=f"{machine.name} down {words.duration(now_ns - since)}",
                text=f"{code}{job}Since {house.local.moment(since, now_ns)}.",
                link=f"/machine/{machine.below}?stop={since}#reason",
                link_text="Give reason",
                urgent=True,
            )
        )
    return out


def _silent(house: House, source: Source, now_ns: int) -> Need:
    title, text = silent_words(house, source, now_ns)
    reads = f" {', '.join(source.machines)} cannot be seen." if source.machines else ""
    return Need(
        key=f"silent-{source.name}",
        kind="silent",
        title=title,
        text=text + reads,
        link=f"/connections#source-{source.name}",
        link_text="Look at the connection",
    )


def _faulty(source: Source) -> Need:
    names = ", ".join(f"{fault.tag} ({fault.why})" for fault in source.faults[:3])
    more = f" and {len(source.faults) - 3} more" if len(source.faults) > 3 else ""  # noqa: PLR2004  the three named
    return Need(
        key=f"tag-{source.name}",
        kind="tag",
        title=f"{words.plural(len(source.faults), 'tag')} of {source.name} cannot be read",
        text=f"{names}{more}. Its other tags go on.",
        link=f"/connections#source-{source.name}",
        link_text="Look at the tags",
    )


def _gates(house: House, now_ns: int) -> list[Need]:
    cut = {row["path"]: row for row in house.site.views.query("SELECT * FROM connections_gate WHERE cut <> 0")}
    down = house.site.views.query("SELECT * FROM connections_link WHERE up = 0")
    here = refusals.refused(house)
    return [
        *(_refused(house, path, row, now_ns) for path, row in here.items()),
        *(_cut(house, path, row, now_ns) for path, row in cut.items() if path not in here),
        *(_link(house, row, now_ns) for row in down if row["path"] not in cut.keys() | here.keys()),
    ]


def _refused(house: House, path: str, row: sqlite3.Row, now_ns: int) -> Need:
    name = named(path, "conduit") or path
    return Need(
        key=f"refused-{name}",
        kind="cut",
        title=f"This site refuses conduit {name} since {house.local.moment(row['time_ns'], now_ns)}",
        text=f"{refusals.refusal_words(row)} Two people here lift it; then two people open it on the OT side.",
        link="/connections#conduits",
        link_text="Look at the conduit",
    )


def _cut(house: House, path: str, row: sqlite3.Row, now_ns: int) -> Need:
    name = named(path, "conduit") or path
    return Need(
        key=f"cut-{name}",
        kind="cut",
        title=f"Conduit {name} was cut at {house.local.moment(row['time_ns'], now_ns)}",
        text=f"By {row['by']}, level {row['level']}: {row['reason']}. "
        "It is opened again on the OT side, by two people.",
        link="/connections#conduits",
        link_text="Look at the conduit",
    )


def _link(house: House, row: sqlite3.Row, now_ns: int) -> Need:
    name = named(row["path"], "conduit") or row["path"]
    return Need(
        key=f"link-{name}",
        kind="link",
        title=f"Conduit {name} is down since {house.local.moment(row['time_ns'], now_ns)}",
        text=f"{row['cause'].rstrip('.')}. The edge keeps what it reads; "
        f"{words.plural(row['waiting_frames'], 'frame')} waited.",
        link="/connections#conduits",
        link_text="Look at the conduit",
    )


def _erp(house: House, now_ns: int) -> list[Need]:
    out = []
    up, cause, since = orders.erp_link(house)
    if up is False:
        waiting = sum(1 for report in orders.all_reports(house) if report.state in orders.WAITING)
        out.append(
            Need(
                key="erp",
                kind="erp",
                title=f"The ERP does not answer since {house.local.moment(since, now_ns)}",
                text=f"{cause.rstrip('.')}. {words.plural(waiting, 'report')} wait and go out when it is back.",
                link="/connections#erp",
                link_text="Look at the connection",
            )
        )
    return out + [_parked(report) for report in orders.all_reports(house) if orders.needs_person(report)]


def _buses(house: House, now_ns: int) -> list[Need]:
    """Nothing of the plant waits for its bus, but what reads from it does."""
    rows = house.site.views.query("SELECT * FROM buses WHERE up = 0 ORDER BY path")
    missed = house.site.views.query(
        "SELECT sum(count) AS n, max(time_ns) AS last_ns FROM buses_missed WHERE time_ns > ?", (now_ns - NS_PER_DAY,)
    )
    out = [
        Need(
            key=f"bus-{row['path']}",
            kind="link",
            title=f"Nothing is published on the plant's bus since {house.local.moment(row['time_ns'], now_ns)}",
            text=f"{row['cause'].rstrip('.')}. What is to be published waits on this site's disk.",
            link="/connections",
            link_text="Look at the connections",
        )
        for row in rows
    ]
    if missed and missed[0]["n"]:
        text = "They are stored here and will never be there; the log of facts says why (BusMissed)."
        out.append(
            Need(
                key="bus-missed",
                kind="link",
                title=f"{words.plural(int(missed[0]['n']), 'message')} did not reach the plant's bus",
                text=text,
                link="/connections",
                link_text="Look at the connections",
            )
        )
    return out


def _parked(report: orders.Report) -> Need:
    cause = report.message.rstrip(".") or "No cause was given"
    return Need(
        key=f"parked-{report.key}",
        kind="parked",
        title=f"Order {report.order}: the ERP did not take a report ({report.command})",
        text=f"{cause}. Nothing more of this order is sent until somebody decides.",
        link=f"/orders?order={report.order}#parked",
        link_text="Decide",
    )


def _certificates(house: House, now_ns: int) -> list[Need]:
    rows = house.site.views.query("SELECT * FROM connections_certificate ORDER BY ends_ns")
    return [
        Need(
            key=f"certificate-{row['path']}",
            kind="certificate",
            title=f"The certificate of {row['subject']} {_ends(row['ends_ns'] - now_ns)}",
            text=f"On {house.local.day(row['ends_ns'])}. The link goes on; renew it with isthmus enrol.",
            link="/connections#conduits",
            link_text="Look at the conduit",
        )
        for row in rows
    ]


def _ends(left_ns: int) -> str:
    return f"ends in {words.plural(left_ns // NS_PER_DAY, 'day')}" if left_ns > 0 else "has ended"
