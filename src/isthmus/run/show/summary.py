"""Truth beside measured: what a bounded demonstration prints as its last line."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from isthmus.enterprise.config import opened
from isthmus.model.query import Raw
from isthmus.model.records import Record
from isthmus.model.records.business import ErpItem
from isthmus.model.records.edge import SamplesDropped
from isthmus.model.records.production import Counted, RunEnded, StateChanged
from isthmus.model.records.site import FramesMissing
from isthmus.model.states import State
from isthmus.run.show.stage import Stage
from isthmus.sim.northgate import MACHINES, PATH
from isthmus.site.historian.store import Store
from isthmus.site.views import facts

R = TypeVar("R", bound=Record)


class Facts:
    """The facts of a site that has stopped, by kind."""

    def __init__(self, stage: Stage) -> None:
        db = sqlite3.connect(f"file:{stage.file.site.data / 'views.sqlite'}?mode=ro", uri=True)
        db.row_factory = sqlite3.Row
        self._known = facts.records(db.execute("SELECT body FROM facts WHERE gone = 0 ORDER BY time_ns, ordinal"))
        db.close()

    def of(self, kind: type[R], path: str | None = None) -> list[R]:
        """Every fact of a kind, of one path or of all, in the order of time."""
        return [each for each in self._known if isinstance(each, kind) and (path is None or each.path == path)]


def summary(stage: Stage, end_ns: int) -> dict[str, Any]:
    """Counts, times in states, orders and recoveries, each with its truth. The site must have stopped."""
    known = Facts(stage)
    dropped = sum(record.rows for record in known.of(SamplesDropped))
    missing = sum(record.last_seq - record.first_seq + 1 for record in known.of(FramesMissing))
    orders = [_order(stage, known, job.number) for job in stage.jobs]
    return {
        "machines": len(MACHINES),
        "samples": _samples(stage, end_ns),
        "lost": dropped + missing,
        "counts": [_count(stage, known, spec.name, f"{PATH}/{spec.path}", end_ns) for spec in MACHINES],
        "states": [_states(stage, known, spec.name, f"{PATH}/{spec.path}", end_ns) for spec in MACHINES],
        "orders": [order for order, _ in orders],
        "duplicates": sum(duplicates for _, duplicates in orders),
        "recovered_s": stage.recovered_s,
    }


def _samples(stage: Stage, end_ns: int) -> int:
    with Store(stage.file.site.data / "history", stage.file.historian) as store:
        return int(store.query(Raw(), sorted(store.tags.all()), stage.start_ns, end_ns).num_rows)


def _count(stage: Stage, known: Facts, machine: str, path: str, end_ns: int) -> dict[str, Any]:
    good_truth, scrap_truth = stage.plant.world.machines[machine].truth.made(stage.start_ns, end_ns)
    counted = [record for record in known.of(Counted, path) if record.time_ns < end_ns]
    return {
        "path": path,
        "good": _number(sum(record.good for record in counted)),
        "good_truth": good_truth,
        "scrap": _number(sum(record.scrap for record in counted)),
        "scrap_truth": scrap_truth,
    }


def _states(stage: Stage, known: Facts, machine: str, path: str, end_ns: int) -> dict[str, Any]:
    truth = stage.plant.world.machines[machine].truth.state_ns(stage.start_ns, end_ns)
    measured = _durations(known.of(StateChanged, path), stage.start_ns, end_ns)
    out: dict[str, Any] = {"path": path}
    for state in State:
        seconds, seconds_truth = (round(spent.get(state, 0) / 1e9, 2) for spent in (measured, truth))
        if seconds or seconds_truth:
            name = state.value.lower()
            out[f"{name}_s"], out[f"{name}_s_truth"] = seconds, seconds_truth
    return out


def _durations(changes: Sequence[StateChanged], start_ns: int, end_ns: int) -> Mapping[State, int]:
    out: dict[State, int] = {}
    ends = [change.time_ns for change in changes[1:]] + [end_ns]
    first = changes[0].time_ns if changes else end_ns
    out[State.UNKNOWN] = max(min(first, end_ns) - start_ns, 0)
    for change, stop in zip(changes, ends, strict=False):
        length = min(stop, end_ns) - max(change.time_ns, start_ns)
        if length > 0:
            out[change.state] = out.get(change.state, 0) + length
    return out


def _order(stage: Stage, known: Facts, number: str) -> tuple[dict[str, Any], int]:
    """What came of one order here and in the ERP, and how many reports the ERP has more than once."""
    runs = [record for record in known.of(RunEnded) if record.order == number]
    out: dict[str, Any] = {
        "order": number,
        "good": _number(sum(record.good for record in runs)),
        "good_erp": None,
        "scrap": _number(sum(record.scrap for record in runs)),
        "scrap_erp": None,
        "state_erp": "",
    }
    if stage.file.erp is None:
        return out, 0
    os.environ["ISTHMUS_ERP_KEY"] = stage.erp_key
    erp = opened(stage.file.erp, stage.file.plant)
    try:
        booked = erp.booked(number)
    finally:
        erp.close()
    if booked is None:
        return out, 0
    out |= {"good_erp": _number(booked.good), "scrap_erp": _number(booked.scrap), "state_erp": booked.state}
    sent = [item for item in known.of(ErpItem) if item.order == number and item.command == "time"]
    return out, max(booked.reports - sum(item.state == "confirmed" for item in sent), 0)


def _number(value: float) -> float:
    return int(value) if float(value).is_integer() else value
