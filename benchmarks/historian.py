"""Ingest into history, beside InfluxDB, VictoriaMetrics and PostgreSQL in interleaved rounds of one run.

Rows a second and CPU µs a row (client and server together) from the first batch to the last
acknowledgement; encoding for the peers is not charged to them. `bytes` is a sample on disk after the
merge, beside `floor_bytes`, what pcodec makes of times and numbers alone, tag by tag. Our own figures are from the same
interface that the link's server calls, in process; the peers are asked over loopback.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from pcodec import ChunkConfig, standalone
from reference import history as plant
from reference.peers import InfluxDb, Peer, PostgreSql, VictoriaMetrics
from reference.store import opened

from isthmus.model.samples import Batch

PEERS: dict[str, Callable[[], Peer]] = {"influxdb": InfluxDb, "victoria": VictoriaMetrics, "postgres": PostgreSql}


def ours(past: plant.History, batch: int) -> dict[str, float]:
    """Append everything, then re-send the last part of it, then merge."""
    work: list[list[Batch]] = []
    seq = 0
    for first in range(0, past.rows, batch):
        received_ns = int(past.time_ms[first : first + batch].max() + 1000) * 1_000_000
        parts = plant.batches(past, first, first + batch)
        work.append([Batch(1, 1, seq + number, received_ns, part) for number, part in enumerate(parts, 1)])
        seq += len(parts)
    folder = Path(tempfile.mkdtemp(prefix="bench-historian-"))
    with opened(folder) as store:
        figures = timed(work, store.append, time.process_time)
        start = time.process_time()
        for each in work:
            store.append(each)
        figures["resend_share"] = (time.process_time() - start) / past.rows * 1e6 / figures["cpu_us"]
        store.compact()
        with store.view() as view:
            figures["bytes"] = sum(each.bytes for each in view.segments) / past.rows
        figures["rss_mb"] = resident_mb()
    shutil.rmtree(folder)
    return figures


def floor_bytes(past: plant.History) -> float:
    """Bytes a sample when each tag's times (ms) and numbers are packed by themselves; no status, no texts, no index."""
    order = np.lexsort((past.time_ms, past.tag))
    edges = np.flatnonzero(np.diff(past.tag[order], prepend=-1, append=-1))
    total = 0
    for first, last in pairwise(edges.tolist()):
        rows = order[first:last]
        total += len(standalone.simple_compress(past.time_ms[rows], ChunkConfig()))
        if past.tag[rows[0]] < plant.group("text").first:
            total += len(standalone.simple_compress(past.value[rows], ChunkConfig()))
    return total / past.rows


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def peer(make: Callable[[], Peer], past: plant.History, batch: int) -> dict[str, float]:
    server = make()
    try:
        work = [server.payload(past, first, min(first + batch, past.rows)) for first in range(0, past.rows, batch)]
        figures = timed(work, server.write, lambda: time.process_time() + server.cpu_s())
    finally:
        server.stop()
    return figures


def timed(work: Sequence[Any], write: Callable[[Any], None], cpu_s: Callable[[], float]) -> dict[str, float]:
    latencies = []
    start_cpu, start = cpu_s(), time.perf_counter()
    for each in work:
        before = time.perf_counter()
        write(each)
        latencies.append(time.perf_counter() - before)
    wall, cpu = time.perf_counter() - start, cpu_s() - start_cpu
    rows = timed.rows  # type: ignore[attr-defined]
    return {
        "rows_per_s": rows / wall,
        "cpu_us": cpu / rows * 1e6,
        "p99_ms": float(np.percentile(latencies, 99)) * 1e3,
        "max_ms": max(latencies) * 1e3,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=3_000_000)
    arguments.add_argument("--batch", type=int, default=10_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--peers", default=",".join(PEERS), help="which peers, by comma; none for ours alone")
    given = arguments.parse_args()
    peers = [name for name in given.peers.split(",") if name in PEERS]
    past = plant.make(given.rows / plant.ROWS_A_DAY)
    past = plant.cut(past, 0, given.rows)
    timed.rows = past.rows  # type: ignore[attr-defined]
    found: dict[str, list[dict[str, float]]] = {"isthmus": [], **{name: [] for name in peers}}
    for number in range(given.rounds):
        found["isthmus"].append(ours(past, given.batch))
        for name in peers:
            found[name].append(peer(PEERS[name], past, given.batch))
        print(f"round {number + 1} of {given.rounds}, load {os.getloadavg()[0]:.1f}", flush=True)
    figures = {who: {key: round(median(r[key] for r in runs), 4) for key in runs[0]} for who, runs in found.items()}
    figures["isthmus"]["floor_bytes"] = round(floor_bytes(past), 4)
    for who, its in figures.items():
        durability = "fsync before the acknowledgement" if who == "isthmus" else getattr(PEERS[who], "durability", "")
        print(f"{who:10} {its['rows_per_s']:>10.0f} rows/s  {its['cpu_us']:6.2f} µs/row  {durability}")
    ratio = {
        f"{key}_{who}": round(figures["isthmus"][key] / its[key], 3)
        for who, its in figures.items()
        if who != "isthmus"
        for key in ("rows_per_s", "cpu_us")
    }
    control = {who: its for who, its in figures.items() if who != "isthmus"}
    line = {
        "bench": "historian",
        "batch": given.batch,
        "rows": past.rows,
        "rounds": given.rounds,
        "load": round(os.getloadavg()[0], 1),
        "figures": figures["isthmus"],
        "control": control,
        "ratio": ratio,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
