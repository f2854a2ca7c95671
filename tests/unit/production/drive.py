"""Drives folds over samples and records in memory, in the order that `model/fold.py` promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np

from isthmus.model import status as st
from isthmus.model.calendar import Calendar, Shift, shifts_between
from isthmus.model.fold import Fold
from isthmus.model.plant import KpiPolicy, Machine, Plant, Product, Reason
from isthmus.model.records import Record
from isthmus.model.records.site import Tick
from isthmus.model.samples import Samples, Series
from isthmus.model.time import NS_PER_MINUTE, NS_PER_S, parse

MONDAY = parse("2026-11-16T00:00:00Z")
PATH = "acme/northgate/machining/line-a/cnc-01"
DAY_SHIFT = Shift(name="Day", start="08:00", end="16:00", days="Mon-Sun")


def at(clock: str) -> int:
    """A moment of the Monday that most tests live in, ns; `clock` is HH:MM or HH:MM:SS."""
    return parse(f"2026-11-16T{clock if len(clock) > 5 else clock + ':00'}Z")


def series(points: Iterable[tuple[int, Any]], status: Mapping[int, int] | None = None) -> Series:
    """One tag's samples from (time_ns, value); None is a Bad sample."""
    rows = sorted(points, key=lambda point: point[0])
    codes = [st.BAD_NO_COMMUNICATION if value is None else st.GOOD for _, value in rows]
    codes = [(status or {}).get(time, code) for (time, _), code in zip(rows, codes, strict=True)]
    given = [value for _, value in rows if value is not None]
    kind: Any = object if any(isinstance(value, str) for value in given) else None
    fill = given[0] if given else 0.0
    values = [fill if value is None else value for _, value in rows]
    return Series(
        np.array([time for time, _ in rows], np.int64),
        np.array(codes, np.uint32),
        np.array(values, kind),
        np.array([value is not None for _, value in rows], np.bool_),
    )


def cut(samples: Mapping[str, Series], start_ns: int, end_ns: int) -> Samples:
    """The stretch [start_ns, end_ns) of every tag that has samples in it."""
    inside = {}
    for tag, one in samples.items():
        keep = (one.time_ns >= start_ns) & (one.time_ns < end_ns)
        if keep.any():
            inside[tag] = Series(one.time_ns[keep], one.status[keep], one.value[keep], one.has_value[keep])
    return Samples(start_ns, end_ns, inside)


def plant(  # noqa: PLR0913  a plant has many parts, and a test names one
    machine: Machine,
    *,
    shifts: Sequence[Shift] = (DAY_SHIFT,),
    products: Sequence[Product] = (),
    reasons: Sequence[Reason] = (),
    kpi: KpiPolicy | None = None,
    time_zone: str = "UTC",
) -> Plant:
    """A plant of one machine."""
    return Plant(
        name="Northgate Works",
        path="acme/northgate",
        time_zone=time_zone,
        currency="GBP",
        calendars={"usual": Calendar(name="usual", shifts=tuple(shifts))},
        machines={machine.path: machine},
        products={product.code: product for product in products},
        reasons={reason.code: reason for reason in reasons},
        kpi=kpi or KpiPolicy(),
    )


def ordered(folds: Sequence[Fold]) -> list[Fold]:
    """Folds so that who emits stands before who reads."""
    left, done = list(folds), list[Fold]()
    while left:
        ready = [
            fold
            for fold in left
            if not any(kind in other.emits for kind in fold.reads for other in left if other != fold)
        ]
        assert ready, "folds read one another in a ring"
        done += ready
        left = [fold for fold in left if fold not in ready]
    return done


def ticks(where: Plant, machine: Machine, start_ns: int, end_ns: int) -> list[Record]:
    """Whole minutes and shift edges of [start_ns, end_ns)."""
    moments = set(range(-(-start_ns // NS_PER_MINUTE) * NS_PER_MINUTE, end_ns, NS_PER_MINUTE))
    for shift in shifts_between(where.calendar_of(machine), where.zone, start_ns, end_ns):
        moments |= {edge for edge in (shift.start_ns, shift.end_ns) if start_ns <= edge < end_ns}
    return [Tick(path=machine.path, time_ns=moment) for moment in sorted(moments)]


class Run:
    """Folds with their states, taken on part by part; each state is stored and read back between parts."""

    def __init__(self, folds: Sequence[Fold], where: Plant) -> None:
        self.folds = ordered(folds)
        self.plant = where
        self.machine = next(iter(where.machines.values()))
        self.states: dict[str, Any] = {fold.name: fold.State() for fold in self.folds}
        self.facts: list[Record] = []

    def on(self, samples: Mapping[str, Series], records: Iterable[Record], start_ns: int, end_ns: int) -> None:
        """Fold one part, [start_ns, end_ns)."""
        given = [record for record in records if start_ns <= record.time_ns < end_ns]
        given += ticks(self.plant, self.machine, start_ns, end_ns)
        for fold in self.folds:
            state = self.states[fold.name]
            reads = sorted((one for one in given if isinstance(one, fold.reads)), key=_order)
            facts: list[Record] = []
            since = start_ns
            for record in [*reads, None]:
                until = end_ns if record is None else record.time_ns + 1
                if fold.tags and until > since:
                    facts += fold.step(
                        state, cut({tag: samples[tag] for tag in fold.tags if tag in samples}, since, until)
                    )
                    since = until
                if record is not None:
                    facts += fold.step(state, record)
            outside = [fact for fact in facts if not start_ns <= fact.time_ns < end_ns]
            assert not outside, f"{fold.name} speaks outside the stretch being folded: {outside}"
            given += facts
            self.facts += facts
            packed = msgspec.msgpack.encode(state, order="deterministic")
            self.states[fold.name] = msgspec.msgpack.decode(packed, type=fold.State)

    def fold(
        self, samples: Mapping[str, Series], records: Iterable[Record], start_ns: int, end_ns: int
    ) -> list[Record]:
        """Fold one part and give its facts."""
        before = len(self.facts)
        self.on(samples, records, start_ns, end_ns)
        return self.facts[before:]

    def checkpoint(self) -> bytes:
        """The states of all folds; equal states give equal bytes, by which the runner knows that a rerun arrived."""
        return msgspec.msgpack.encode(self.states, order="deterministic")

    def restore(self, checkpoint: bytes) -> None:
        """Go back to a checkpoint."""
        stored = msgspec.msgpack.decode(checkpoint)
        self.states = {fold.name: msgspec.convert(stored[fold.name], type=fold.State) for fold in self.folds}

    def preview(self, now_ns: int) -> list[Record]:
        """What every fold has open."""
        return [record for fold in self.folds for record in fold.preview(self.states[fold.name], now_ns)]


def _order(record: Record) -> tuple[int, str, str, int]:
    return (record.time_ns, type(record).__name__, record.path, record.ordinal)


def fold_all(  # noqa: PLR0913  what a run is made of
    folds: Sequence[Fold],
    where: Plant,
    samples: Mapping[str, Series],
    records: Sequence[Record] = (),
    *,
    start_ns: int,
    end_ns: int,
    cuts: Iterable[int] = (),
) -> list[Record]:
    """All facts of [start_ns, end_ns), folded in the parts that `cuts` make."""
    run = Run(folds, where)
    edges = [start_ns, *sorted({moment for moment in cuts if start_ns < moment < end_ns}), end_ns]
    for begin, end in pairwise(edges):
        run.on(samples, records, begin, end)
    return run.facts


def revised(before: Iterable[Record], after: Iterable[Record]) -> list[Record]:
    """What folding again changes in the log: compared by key, a higher revision for what differs or is gone."""
    old, new = ({fact.key: fact for fact in facts} for facts in (before, after))
    out = [
        msgspec.structs.replace(new.get(key, fact), revision=fact.revision + 1, gone=key not in new)
        for key, fact in old.items()
        if new.get(key) != fact
    ]
    return out + [fact for key, fact in new.items() if key not in old]


def of(kind: type[Any], facts: Iterable[Record]) -> list[Any]:
    """The facts of one kind, in order of time."""
    return sorted((fact for fact in facts if isinstance(fact, kind)), key=_order)


def seconds(time_ns: float) -> float:
    """ns as s."""
    return time_ns / NS_PER_S
