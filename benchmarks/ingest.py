"""From a batch at the edge to history on disk: CPU a value across edge, link and site, and how fast a fold is.

    stores   frames that lie ready, into ingest, the historian with fsync, the namespace; no link
    whole    20,000 changes a second of 1,000 tags through deadband, buffer, mutual TLS, ingest, to the synced log
    upkeep   what the same values cost afterwards in the historian's own threads, sealed into columns
    folds    one day of one machine, two tags at 1 Hz, through all folds of all wings, in memory
    control  the same values into SQLite, one durable transaction for each body (stores beside it)

ISTHMUS_BENCH_S sets for how long `whole` runs; edge and site share the process, so its size is both.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from isthmus.edge import reopen
from isthmus.edge.buffer import Buffer
from isthmus.edge.deadband import Deadband
from isthmus.edge.gate import Gate
from isthmus.edge.source import Tag
from isthmus.edge.uplink import Uplink
from isthmus.model.calendar import Calendar, Shift
from isthmus.model.plant import Counter, KpiPolicy, Machine, Plant, StateRules
from isthmus.model.query import Last
from isthmus.model.samples import Series, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.run.wings import folds_of
from isthmus.site.folding.folds import FoldRunner
from isthmus.site.folding.unit import Unit
from isthmus.site.historian.store import UPKEEP, Store
from isthmus.site.intake.certificates import Certificates
from isthmus.site.intake.ingest import Ingest
from isthmus.site.intake.link import LinkServer
from isthmus.site.site import Site
from isthmus.wire import frame as frames
from isthmus.wire.frame import Dictionary, source_id

TAGS, RATE, ROWS, BODIES = 1000, 20_000, 4_000, 250
SECONDS = float(os.environ.get("ISTHMUS_BENCH_S", "60"))
PATH = "bench/site/area/line/machine"
NAMES = [f"line/t{number}" for number in range(TAGS)]


def plant() -> Plant:
    shift = Shift(name="Day", start="00:00", end="24:00", days="Mon-Sun")
    machine = Machine(
        path=PATH,
        name="M",
        calendar="c",
        state=StateRules(tags={"on": "line/t0"}, rules=("RUN if on > 0", "IDLE")),
        good=Counter(tag="line/t1", reset="any"),
        ideal_cycle_s=1.0,
    )
    return Plant(
        name="Bench",
        path="bench/site",
        time_zone="UTC",
        currency="GBP",
        calendars={"c": Calendar(name="c", shifts=(shift,))},
        machines={PATH: machine},
        products={},
        reasons={},
        kpi=KpiPolicy(),
    )


class Bench:
    """A whole site without its doors."""

    def __init__(self, folder: Path) -> None:
        described = plant()
        self.store = Store(folder / "history")
        folds = {PATH: folds_of(described, described.machines[PATH])}
        self.site = Site(described, folder, self.store, self.store.tags, folds=folds)
        self.runner = FoldRunner(self.site, lateness_s=5.0)
        self.ingest = Ingest(self.site, future_s=300, arrived=self.runner.arrived)

    def rows(self) -> int:
        """How many tags have a value."""
        numbers = [number for name in NAMES if (number := self.store.tags.find(name)) is not None]
        return int(self.store.query(Last(), numbers, 0, 1 << 62).num_rows)

    def close(self) -> None:
        """Close all that is open."""
        for part in (self.runner, self.ingest, self.site, self.store):
            part.close()


def bodies(source: str) -> list[bytes]:
    """Bodies of 200 ms each, as an edge sends them at 20,000 changes a second."""
    chance, number = np.random.default_rng(5), source_id(source)
    tags = tuple((at, TagInfo(name=name, kind=ValueKind.F64)) for at, name in enumerate(NAMES))
    out = [frames.pack(frames.of_dictionary(number, 1, 1, Dictionary(source, "bench/site", tags)))]
    start = time.time_ns() - BODIES * ROWS * NS_PER_S // RATE
    for seq in range(1, BODIES + 1):
        times = start + (np.arange(ROWS) + ROWS * (seq - 1)) * (NS_PER_S // RATE)
        values = np.round(np.cumsum(chance.normal(size=ROWS)), 2)
        batch = columns(ValueKind.F64, np.arange(ROWS) % TAGS, times, np.zeros(ROWS), values)
        out.append(frames.pack(frames.of_samples(number, 1, seq, batch)))
    return out


def stores(folder: Path, sent: Sequence[bytes]) -> float:
    bench = Bench(folder)
    start = time.process_time()
    for body in sent:
        bench.ingest.take("bench", body)
    cpu = time.process_time() - start
    assert bench.rows() == TAGS
    bench.close()
    return cpu / (BODIES * ROWS) * 1e6


def sqlite(folder: Path, sent: Sequence[bytes]) -> float:
    db = sqlite3.connect(folder / "control.sqlite", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE sample (tag, time_ns, status, value, PRIMARY KEY (tag, time_ns)) WITHOUT ROWID")
    start = time.process_time()
    for body in sent[1:]:
        batch = frames.samples(frames.unpack_from(body)[0])
        db.execute("BEGIN")
        db.executemany(
            "INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)",
            zip(*(column.to_pylist() for column in batch.columns), strict=True),
        )
        db.execute("COMMIT")
    cpu = time.process_time() - start
    db.close()
    return cpu / (BODIES * ROWS) * 1e6


async def whole(folder: Path) -> dict[str, float]:
    bench = Bench(folder / "site")
    certificates = Certificates(folder / "site" / "tls", "bench/site")
    async with LinkServer("127.0.0.1:0", certificates, bench.ingest.take) as server:
        certificates.enrol_here(folder / "edge" / "tls", "bench")
        tags = [Tag(name=name.partition("/")[2]) for name in NAMES]
        infos = {"line": [TagInfo(name=name, kind=ValueKind.F64) for name in NAMES]}
        buffer = Buffer(folder / "edge" / "buffer", "bench/site", infos, most_bytes=2**30, most_days=1)
        gate = Gate(folder / "edge", "bench/site#conduit/uplink", buffer.tell, reopen.record)
        url = f"https://127.0.0.1:{server.port}"
        uplink = Uplink(url, folder / "edge" / "tls", "bench/site#conduit/uplink", buffer, gate)
        work = [asyncio.create_task(part.run()) for part in (buffer, gate, uplink)]
        deadband, walk = Deadband(tags), np.random.default_rng(7)
        every, size, sent, passed = 0.02, int(RATE * 0.02), 0, 0
        began, cpu, upkeep = time.monotonic(), time.process_time(), upkeep_s()
        while (spent := time.monotonic() - began) < SECONDS:
            while sent < spent * RATE:
                tag, now = (np.arange(size) + sent) % TAGS, time.time_ns()
                values = np.round(walk.normal(size=size), 3)
                made = columns(ValueKind.F64, tag, np.full(size, now) + np.arange(size), np.zeros(size), values)
                buffer.put("line", passing := deadband.passing(made))
                passed += passing.num_rows
                sent += size
            await asyncio.sleep(every)
        spent = time.monotonic() - began
        await asyncio.sleep(1.0)  # the last group is still in the making
        async with asyncio.timeout(60):
            while buffer.waiting_frames:  # noqa: ASYNC110  a worker thread empties it
                await asyncio.sleep(0.05)
        spent_cpu, upkeep = time.process_time() - cpu, upkeep_s() - upkeep
        for task in work:
            task.cancel()
        await asyncio.wait(work)
        buffer.close()
    kept = count(bench)
    bench.close()
    size_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "whole_cpu_us_per_value": round((spent_cpu - upkeep) / sent * 1e6, 2),
        "upkeep_cpu_us_per_value": round(upkeep / sent * 1e6, 2),
        "whole_values_per_s": round(sent / spent),
        "whole_lost": passed - kept,
        "whole_peak_mb": round(size_mb),
    }


def upkeep_s() -> float:
    """CPU that the historian's own threads took so far: sealing and rolling up, long after the acknowledgement."""
    own = [thread.ident for thread in threading.enumerate() if thread.name == UPKEEP and thread.ident]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in own)


def count(bench: Bench) -> int:
    from isthmus.model.query import Aggregate  # noqa: PLC0415  asked once

    numbers = [number for name in NAMES if (number := bench.store.tags.find(name)) is not None]
    table = bench.store.query(Aggregate(bucket_ns=NS_PER_DAY), numbers, 0, 1 << 62)
    return int(sum(table.column("n").to_pylist()))


def folding() -> dict[str, float]:
    described = plant()
    unit = Unit(described, described.machines[PATH], folds_of(described, described.machines[PATH]))
    start = 20_000 * NS_PER_DAY
    rows = NS_PER_DAY // NS_PER_S
    times, status, has = start + np.arange(rows) * NS_PER_S, np.zeros(rows, np.uint32), np.ones(rows, np.bool_)
    state = (np.arange(rows) % 600 < 540).astype(np.float64)
    parts = np.floor(np.cumsum(state) / 30)
    series = {"line/t0": Series(times, status, state, has), "line/t1": Series(times, status, parts, has)}
    began = time.process_time()
    folded = unit.fold(unit.fresh(start), start + NS_PER_DAY, series, [])
    spent = time.process_time() - began
    return {"fold_day_s": round(spent, 3), "fold_day_facts": len(folded.facts)}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = asyncio.run(whole(folder / "whole"))
        sent = bodies("line")
        figures["stores_cpu_us_per_value"] = round(stores(folder / "stores", sent), 2)
        control = {"stores_cpu_us_per_value": round(sqlite(folder, sent), 2)}
        figures |= folding()
    ratio = {key: round(value / figures[key], 1) for key, value in control.items()}
    print(json.dumps({"bench": "ingest", "figures": figures, "control": control, "ratio": ratio}))


if __name__ == "__main__":
    main()
