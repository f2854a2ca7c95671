"""The operators of history over what two sites shipped: DuckDB, Sail, and Spark with two workers, on the same files.

Each site is the reference plant (2,000 tags) for `--days`; both share its arrivals, so the group has
4,000 tags. Engines answer in turn, up to three rounds; the best of each is printed in ms, Spark's and Sail's
sessions being up already. Every answer is held against DuckDB's: equal counts, sums to 1e-9, or the
benchmark fails. Spark runs as a standalone cluster on loopback: one master, two workers of one core
each. On a machine of two cores that says what a cluster costs, not how far it grows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from reference import history as plant
from reference.spark import SAIL, SMALL, SPARK, SparkCluster
from reference.store import opened

from isthmus.centre.centre import Asks, Centre
from isthmus.centre.cluster import Cluster
from isthmus.centre.session import Session
from isthmus.centre.stock import TAG_BITS
from isthmus.model import query as q
from isthmus.model.samples import Batch
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, Interval
from isthmus.site.historian.shipping import shipped
from isthmus.site.historian.shipping.ship import Shipper

T0 = plant.T0_MS * 1_000_000
SITES = ("group/north", "group/south")
BATCH, ROUNDS, ENOUGH_S = 50_000, 3, 200.0
"""On a busy machine a cluster is slow: no round is begun after so many seconds."""
SECOND, COUNTER, STATE = (plant.group(name).first for name in ("second", "counter", "state"))


def write_and_ship(folder: Path, group: Path, site: str, past: plant.History) -> dict[str, float]:
    with opened(folder) as store:
        seq = 0
        for first in range(0, past.rows, BATCH):
            received_ns = int(past.time_ms[first : first + BATCH].max() + 1000) * 1_000_000
            parts = plant.batches(past, first, first + BATCH)
            store.append([Batch(1, 1, seq + number, received_ns, part) for number, part in enumerate(parts, 1)])
            seq += len(parts)
        store.compact()
        shipper = Shipper(folder, shipped.place(str(group), create=True), site)
        start = time.perf_counter()
        done = shipper.ship()
        first_s = time.perf_counter() - start
        start = time.perf_counter()
        shipper.ship()
        return {"ship_mb_s": done.bytes / 1e6 / first_s, "ship_nothing_new_ms": (time.perf_counter() - start) * 1e3}


def questions(days: float) -> dict[str, tuple[q.Operator, list[int], int, int]]:
    """Name, operator, the site's tags that are asked, and the stretch."""
    end = T0 + int(days * NS_PER_DAY)
    shifts = tuple(Interval(at, min(at + 8 * NS_PER_HOUR, end)) for at in range(T0, end, 8 * NS_PER_HOUR))
    hundred = list(range(plant.group("half-minute").first, plant.group("half-minute").first + 100))
    states, seconds = list(range(STATE, STATE + 200)), list(range(SECOND, SECOND + 20))
    every = list(range(1, 2001))
    middle = T0 + int(days * NS_PER_DAY / 2)
    return {
        "last": (q.Last(), every, T0, end),
        "raw_hour_of_twenty": (q.Raw(before=True), seconds, middle, middle + NS_PER_HOUR),
        "hours_of_all": (q.Aggregate(bucket_ns=NS_PER_HOUR), every, T0, end),
        "minutes_of_hundred": (q.Aggregate(bucket_ns=NS_PER_MINUTE), hundred, T0, end),
        "weighted_hours": (q.TimeWeightedMean(bucket_ns=NS_PER_HOUR), seconds, T0, end),
        "states_by_shift": (q.StateDurations(windows=shifts), states, T0, end),
        "as_of": (q.AsOf(at_ns=(middle, end - 1)), every, T0, end),
        "plot_of_twenty": (q.Decimate(points=1200), seconds, T0, end),
        "counted_hours": (q.CounterDelta(bucket_ns=NS_PER_HOUR, width=32), list(range(COUNTER, COUNTER + 80)), T0, end),
        "integral_hours": (q.Integral(bucket_ns=NS_PER_HOUR), hundred, T0, end),
        "coverage": (q.Coverage(bucket_ns=NS_PER_DAY), hundred, T0, end),
        "gaps": (q.Gaps(longer_ns=NS_PER_MINUTE), states, T0, end),
        "top_states": (q.TopReasons(limit=6), states, T0, end),
    }


def hold_against(name: str, found: pa.Table, wanted: pa.Table) -> None:
    """Equal in every count, time and text; numbers to 1e-9."""
    assert found.num_rows == wanted.num_rows, (name, found.num_rows, wanted.num_rows)
    for column in wanted.column_names:
        one, other = found[column], wanted[column]
        if pa.types.is_floating(one.type):
            assert one.null_count == other.null_count, (name, column)
            pair = [pc.fill_null(each, math.nan).to_numpy() for each in (one, other)]
            np.testing.assert_allclose(pair[0], pair[1], rtol=1e-9, atol=1e-9, err_msg=f"{name} {column}")
        else:
            assert one.combine_chunks().equals(other.combine_chunks()), (name, column)


@contextmanager
def engines(folder: Path, wanted: list[str]) -> Iterator[dict[str, tuple[Asks | None, float]]]:
    """By name the engine, and how long it took until it could be asked."""
    with ExitStack() as stack:
        out: dict[str, tuple[Asks | None, float]] = {"duckdb": (None, 0.0)}
        if "sail" in wanted:
            start = time.perf_counter()
            session = stack.enter_context(Session("sail", SAIL / "bin" / "python"))
            out["sail"] = Cluster(session), time.perf_counter() - start
        if "spark" in wanted:
            start = time.perf_counter()
            cluster = stack.enter_context(SparkCluster(folder))
            settings = {key: value for key, value in SMALL.items() if "adaptive" not in key}
            python = SPARK / "bin" / "python"
            session = stack.enter_context(Session("spark", python, master=cluster.master, settings=settings))
            out["spark"] = Cluster(session), time.perf_counter() - start
        yield out


def measure(centre: Centre, found: dict[str, tuple[Asks | None, float]], days: float) -> dict[str, dict[str, float]]:
    sites = [each.number << TAG_BITS for each in centre.stock.sites()]
    best: dict[str, dict[str, float]] = {name: {} for name in found}
    began = time.perf_counter()
    for number in range(ROUNDS):
        if number and time.perf_counter() - began > ENOUGH_S:
            break
        for question, (operator, its, start, end) in questions(days).items():
            tags = [offset + tag for offset in sites for tag in its]
            answers: dict[str, pa.Table] = {}
            for name, (engine, _) in found.items():
                start_s = time.perf_counter()
                answers[name] = centre.query(operator, tags, start, end, engine=engine)
                took = round((time.perf_counter() - start_s) * 1e3, 1)
                best[name][question] = min(took, best[name].get(question, math.inf))
            for name in found:
                hold_against(f"{question} {name}", answers[name], answers["duckdb"])
    return best


def milliseconds(what: Callable[[], object]) -> float:
    start = time.perf_counter()
    what()
    return round((time.perf_counter() - start) * 1e3, 1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=float, default=0.5)
    arguments.add_argument("--engines", default="sail,spark", help="beside DuckDB, by comma")
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-cluster-"))
    past = plant.make(given.days)
    figures: dict[str, Any] = {}
    for site in SITES:
        figures |= write_and_ship(folder / site.replace("/", "-"), folder / "group", site, past)
    with (
        Centre(folder / "centre", folder / "group") as centre,
        engines(folder, [name for name in given.engines.split(",") if name]) as found,
    ):
        start = time.perf_counter()
        taken = centre.take()
        assert not any(each.refused for each in taken)
        size = sum(centre.stock.size(each.number).bytes for each in centre.stock.sites())
        figures["take_stock_mb_s"] = size / 1e6 / (time.perf_counter() - start)
        figures["take_stock_nothing_new_ms"] = milliseconds(centre.take)
        figures = {name: round(value, 1) for name, value in figures.items()}
        best = measure(centre, found, given.days)
        up = {name: round(seconds, 1) for name, (_, seconds) in found.items()}
    shutil.rmtree(folder, ignore_errors=True)
    for name, its in best.items():
        print(f"{name:8} up {up[name]:g} s  " + "  ".join(f"{question} {ms:g}" for question, ms in its.items()))
    print("  ".join(f"{name} {value:g}" for name, value in figures.items()))
    line = {"bench": "cluster", "days": given.days, "sites": len(SITES), "rows": past.rows * len(SITES)}
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({**line, "load": load, "up_s": up, "figures": figures, "ms": best, "equal": True}))


if __name__ == "__main__":
    main()
