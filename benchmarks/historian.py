"""Ingest into history, beside InfluxDB, VictoriaMetrics and PostgreSQL in interleaved rounds of one run.

Rows a second and CPU µs a row (client and server together) from the first batch to the last
acknowledgement, in batches of 10,000 and, with InfluxDB alone, of 1,000; encoding for the peers is not
charged to them. Our own figures are from the same interface that the link's server calls, in process;
the peers are asked over loopback. Then ours alone:

    tail       how long an append takes while the background seals, merges and rolls up: at a plant's
               pace, and as fast as it goes; beside it what the disk alone takes at that moment
    bytes      a sample on disk after a week, with and without rollups, beside `floor_bytes`, what pcodec
               makes of times and numbers alone, tag by tag
    memory     the highest resident memory of a process that keeps 2,000 tags, and 50,000

`--small` runs everything in about a minute, to see that it runs.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pcodec import ChunkConfig, standalone
from reference import history as plant
from reference.peers import InfluxDb, Peer, PostgreSql, VictoriaMetrics
from reference.report import Figures, disk_probe, line, middle, say, tail
from reference.resident import measured
from reference.store import opened
from reference.stream import intern, stream

from isthmus.model.samples import Batch
from isthmus.model.time import NS_PER_DAY
from isthmus.site.config import HistorianSection
from isthmus.site.historian.store import Store

PEERS: dict[str, Callable[[], Peer]] = {"influxdb": InfluxDb, "victoria": VictoriaMetrics, "postgres": PostgreSql}
OURS = "fsync before the acknowledgement"


class Size(NamedTuple):
    """How much is done."""

    rows: int
    small_batch_rows: int
    tail_rows: int
    tail_s: float
    days: float
    memory_rows: int


FULL = Size(3_000_000, 500_000, 12_000_000, 45.0, plant.DAYS, 8_000_000)
SMALL = Size(200_000, 50_000, 1_000_000, 5.0, 0.2, 500_000)


def batches(past: plant.History, size: int) -> Iterator[list[Batch]]:
    """What is appended at a time."""
    seq = 0
    for first in range(0, past.rows, size):
        received_ns = int(past.time_ms[first : first + size].max() + 1000) * 1_000_000
        parts = plant.batches(past, first, first + size)
        yield [Batch(1, 1, seq + number, received_ns, part) for number, part in enumerate(parts, 1)]
        seq += len(parts)


def ours(work: Sequence[list[Batch]], rows: int) -> Figures:
    """Append everything, then send it again."""
    folder = Path(tempfile.mkdtemp(prefix="bench-historian-"))
    with opened(folder) as store:
        figures = timed(work, store.append, time.process_time, rows)
        start = time.process_time()
        for each in work:
            store.append(each)
        figures["resend_share"] = (time.process_time() - start) / rows * 1e6 / figures["cpu_us"]
    shutil.rmtree(folder)
    return figures


def peer(make: Callable[[], Peer], payloads: Sequence[bytes], rows: int) -> Figures:
    server = make()
    try:
        return timed(payloads, server.write, lambda: time.process_time() + server.cpu_s(), rows)
    finally:
        server.stop()


def timed(work: Sequence[Any], write: Callable[[Any], None], cpu_s: Callable[[], float], rows: int) -> Figures:
    taken = []
    start_cpu, start = cpu_s(), time.perf_counter()
    for each in work:
        before = time.perf_counter()
        write(each)
        taken.append(time.perf_counter() - before)
    wall, cpu = time.perf_counter() - start, cpu_s() - start_cpu
    return {"rows_per_s": rows / wall, "cpu_us": cpu / rows * 1e6, **tail(taken)}


def payloads(make: Callable[[], Peer], past: plant.History, size: int) -> list[bytes]:
    """What is sent to a peer at a time, made before the clock runs."""
    server = make()
    try:
        return [server.payload(past, first, min(first + size, past.rows)) for first in range(0, past.rows, size)]
    finally:
        server.stop()


def ingest(rows: int, batch: int, rounds: int, peers: Sequence[str]) -> dict[str, Figures]:
    """Medians of interleaved rounds."""
    past = plant.cut(plant.make(rows / plant.ROWS_A_DAY), 0, rows)
    work = list(batches(past, batch))
    runs: dict[str, Callable[[], Figures]] = {"isthmus": partial(ours, work, past.rows)}
    for name in peers:
        runs[name] = partial(peer, PEERS[name], payloads(PEERS[name], past, batch), past.rows)
    found: dict[str, list[Figures]] = {name: [] for name in runs}
    for number in range(rounds):
        for name, run in runs.items():
            found[name].append(run())
        speeds = ", ".join(f"{name} {its[-1]['rows_per_s'] / 1e3:.0f}k" for name, its in found.items())
        say(f"batches of {batch}, round {number + 1} of {rounds}: {speeds} rows/s")
    return {name: middle(its) for name, its in found.items()}


def tails(rows: int, paced_s: float) -> dict[str, Figures]:
    """What an append waits while everything happens in the background: three short days, one row in a hundred late."""
    paced = int(paced_s * 20_000)
    kinds = {
        "paced": (paced, 2_000, 20_000, HistorianSection(seal_rows=max(paced // 12, 1_000))),
        "full": (rows, 10_000, 0, HistorianSection(seal_rows=max(rows // 12, 1_000))),
    }
    out = {}
    for name, (count, batch, rate, section) in kinds.items():
        folder = Path(tempfile.mkdtemp(prefix="bench-tail-"))
        taken = []
        with Store(folder / "history", section) as store, disk_probe(folder) as disk:
            start = time.perf_counter()
            for each in stream(intern(store, 2_000), 2_000, count, batch, 3 * NS_PER_DAY):
                if rate:
                    time.sleep(max(start + each.seq * batch / rate - time.perf_counter(), 0))
                before = time.perf_counter()
                store.append([each])
                taken.append(time.perf_counter() - before)
            store.maintain()
        shutil.rmtree(folder)
        out[name] = {**tail(taken), **disk}
        say(f"append, {name}: {out[name]}")
    return out


def room(days: float) -> Figures:
    """Bytes a sample of the reference plant, everything merged."""
    past = plant.make(days)
    folder = Path(tempfile.mkdtemp(prefix="bench-room-"))
    with opened(folder) as store:
        for each in batches(past, 50_000):
            store.append(each)
        say(f"{past.rows} rows taken in")
        store.compact()
        with store.view() as view:
            samples = sum(each.bytes for each in view.segments) / past.rows
            rollups = sum(each.bytes for each in view.rollups) / past.rows
    shutil.rmtree(folder)
    return {
        "bytes": round(samples, 4),
        "bytes_with_rollups": round(samples + rollups, 4),
        "floor_bytes": round(floor_bytes(past), 4),
    }


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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--small", action="store_true", help="a minute's work, to see that everything runs")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--peers", default=",".join(PEERS), help="which peers, by comma; none for ours alone")
    arguments.add_argument("--only", default="ingest,tail,bytes,memory", help="which parts, by comma")
    given = arguments.parse_args()
    peers = [name for name in given.peers.split(",") if name in PEERS]
    parts, size = given.only.split(","), SMALL if given.small else FULL
    figures: dict[str, Any] = {"durability": OURS}
    control: dict[str, Any] = {name: {"durability": getattr(PEERS[name], "durability", "")} for name in peers}
    ratio: dict[str, float] = {}
    if "ingest" in parts:
        for batch, rows in ((10_000, size.rows), (1_000, size.small_batch_rows)):
            found = ingest(
                rows, batch, given.rounds, peers if batch == 10_000 else [n for n in peers if n == "influxdb"]
            )
            mine = found.pop("isthmus")
            figures[f"batch_{batch}"] = mine
            for name, its in found.items():
                control[name][f"batch_{batch}"] = its
                ratio[f"rows_per_s_{name}_{batch}"] = round(mine["rows_per_s"] / its["rows_per_s"], 3)
                ratio[f"cpu_{name}_{batch}"] = round(its["cpu_us"] / mine["cpu_us"], 3)
    if "tail" in parts:
        figures["append"] = tails(size.tail_rows, size.tail_s)
    if "bytes" in parts:
        figures |= room(size.days)
        say(f"{figures['bytes']} bytes a sample, {figures['bytes_with_rollups']} with rollups")
    if "memory" in parts:
        for tags in (2_000, 50_000):
            figures[f"memory_{tags}_tags"] = measured(tags, size.memory_rows)
            say(f"{tags} tags: {figures[f'memory_{tags}_tags']}")
    line("historian", figures, control, ratio, rounds=given.rounds, rows=size.rows)


if __name__ == "__main__":
    main()
