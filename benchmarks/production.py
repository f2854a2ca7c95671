"""A day of one machine at 1 Hz over six tags, folded by the production wing; control: one sample at a time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.model.calendar import Calendar, Shift
from isthmus.model.fold import Fold
from isthmus.model.plant import Counter, KpiPolicy, Machine, Plant, StateRules
from isthmus.model.records import Record
from isthmus.model.records.site import Tick
from isthmus.model.samples import Samples, Series
from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE, NS_PER_S, parse
from isthmus.production import folds

BEGIN = parse("2026-11-16T00:00:00Z")
SECONDS = 86_400
ROUNDS = 5
"""Wing and control in turns; the least time of each stands."""
MACHINE = Machine(
    path="acme/northgate/machining/line-a/cnc-01",
    name="CNC-01",
    calendar="usual",
    state=StateRules(
        tags={"alarm": "d/alarm", "speed": "d/speed", "mode": "d/mode"},
        rules=("DOWN if alarm", "SETUP if mode == 'JOG'", "RUN if speed > 50 and mode in ('AUTO', 'MDI')", "IDLE"),
    ),
    total=Counter(tag="d/total", width=16),
    scrap=Counter(tag="d/scrap", width=16),
    order="d/order",
    ideal_cycle_s=18.0,
)
PLANT = Plant(
    name="Northgate Works",
    path="acme/northgate",
    time_zone="UTC",
    currency="GBP",
    calendars={
        "usual": Calendar(name="usual", shifts=(Shift(name="Day", start="06:00", end="22:00", days="Mon-Sun"),))
    },
    machines={MACHINE.path: MACHINE},
    products={},
    reasons={},
    kpi=KpiPolicy(micro_stop_s=60),
)


def samples() -> dict[str, Series]:
    """One sample of every tag each second; a stop of 3 min every 20 min, a piece every 20 s while it runs."""
    second = np.arange(SECONDS)
    runs = second % 1200 < 1020
    chance = np.random.default_rng(7)
    total = np.cumsum(runs & (second % 20 == 0))
    values: dict[str, Any] = {
        "d/alarm": ~runs & (second % 3600 < 1200),
        "d/speed": np.where(runs, 1200 + chance.normal(0, 5, SECONDS), 0.0),
        "d/mode": np.where(second % 7200 < 300, "JOG", "AUTO").astype(object),
        "d/total": total % 65_536,
        "d/scrap": total // 50,
        "d/order": (1000 + second // 14_400).astype(np.int64),
    }
    times = BEGIN + second * NS_PER_S
    good, every = np.zeros(SECONDS, np.uint32), np.ones(SECONDS, np.bool_)
    return {tag: Series(times, good, value, every) for tag, value in values.items()}


def day(wing: list[Fold], given: dict[str, Series]) -> tuple[list[Record], dict[str, float]]:
    """Every fold over the whole day, cut where its records stand; the time of each, s."""
    facts: list[Record] = [Tick(path=MACHINE.path, time_ns=BEGIN + minute * NS_PER_MINUTE) for minute in range(1440)]
    spent = {}
    for fold in wing:
        state = fold.State()
        records = sorted((one for one in facts if isinstance(one, tuple(fold.reads))), key=_order)
        begun = time.perf_counter()
        since = BEGIN
        for record in [*records, None]:
            until = BEGIN + NS_PER_DAY if record is None else record.time_ns + 1
            if fold.tags and until > since:
                facts += fold.step(state, _cut(given, fold, since, until))
                since = until
            if record is not None:
                facts += fold.step(state, record)
        spent[fold.name] = time.perf_counter() - begun
    return facts, spent


def _order(record: Record) -> tuple[int, str]:
    return record.time_ns, type(record).__name__


def _cut(given: dict[str, Series], fold: Fold, start_ns: int, end_ns: int) -> Samples:
    low, high = ((moment - BEGIN + NS_PER_S - 1) // NS_PER_S for moment in (start_ns, end_ns))
    inside = {}
    for tag in fold.tags if low < high else ():
        one = given[tag]
        inside[tag] = Series(one.time_ns[low:high], one.status[low:high], one.value[low:high], one.has_value[low:high])
    return Samples(start_ns, end_ns, inside)


def one_by_one(given: dict[str, Series]) -> tuple[int, int]:
    """What a loop over samples costs: the same rules and counters, nothing else. Changes of state, pieces."""
    held: dict[str, Any] = {}
    rule: Callable[[dict[str, Any]], str] = _rule
    state, changes, pieces, last = "", 0, 0, None
    columns = {tag: one.value.tolist() for tag, one in given.items()}
    for index in range(SECONDS):
        for tag, column in columns.items():
            held[tag] = column[index]
        found = rule(held)
        if found != state:
            state, changes = found, changes + 1
        total = held["d/total"]
        if last is not None and total != last:
            pieces += (total - last) % 65_536
        last = total
    return changes, pieces


def _rule(held: dict[str, Any]) -> str:
    if held["d/alarm"]:
        return "DOWN"
    if held["d/mode"] == "JOG":
        return "SETUP"
    return "RUN" if held["d/speed"] > 50 and held["d/mode"] in ("AUTO", "MDI") else "IDLE"


def main() -> None:
    """Print the figures."""
    given = samples()
    wing = list(folds(PLANT, MACHINE))
    whole_s = loop_s = first = float("inf")
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        facts, spent = day(wing, given)
        whole_s = min(whole_s, time.perf_counter() - begun)
        first = min(first, spent["production/states"] + spent["production/counts"])
        begun = time.perf_counter()
        changes, pieces = one_by_one(given)
        loop_s = min(loop_s, time.perf_counter() - begun)
    kinds: dict[str, int] = {}
    for fact in facts:
        kinds[type(fact).__name__] = kinds.get(type(fact).__name__, 0) + 1
    assert kinds["StateChanged"] == changes
    assert (
        sum(getattr(fact, "good", 0) + getattr(fact, "scrap", 0) for fact in facts if type(fact).__name__ == "Counted")
        == pieces
    )
    for name, one in spent.items():
        print(f"{name:28} {one * 1000:8.1f} ms")
    print(kinds)
    rows = SECONDS * len(given)
    figures = {
        "day_s": round(whole_s, 3),
        "us_per_sample": round(whole_s / rows * 1e6, 3),
        "states_and_counts_s": round(first, 4),
        "states_and_counts_us_per_sample": round(first / rows * 1e6, 4),
    }
    print(
        json.dumps(
            {
                "bench": "production",
                "figures": figures,
                "control": {"loop_states_and_counts_s": round(loop_s, 3)},
                "ratio": {"states_and_counts": round(loop_s / first, 1)},
            }
        )
    )


if __name__ == "__main__":
    main()
