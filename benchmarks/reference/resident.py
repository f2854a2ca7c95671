"""How much memory one process takes that keeps history: everything of it, at its highest.

Run as a process of its own, so that nobody else's arrays are counted: samples are made batch by batch,
taken in, sealed, merged and rolled up in the background over three short days, while the questions of a
screen are asked of them. The plant is made larger by tags, not by samples.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from isthmus.model.query import Aggregate, Decimate, Last, StateDurations
from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE, Interval
from isthmus.site.historian.store import Store
from reference.history import T0_MS

BATCH, DAYS = 10_000, 3


def measured(tags: int, rows: int) -> dict[str, float]:
    """Highest and last resident memory in MB of such a process, everything in it counted."""
    command = [sys.executable, __file__, str(tags), str(rows)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _main(tags: int, rows: int) -> None:
    start_ns, span_ns = T0_MS * 1_000_000, DAYS * NS_PER_DAY
    chance = np.random.default_rng(7)
    level = chance.normal(50, 10, tags)
    folder = Path(tempfile.mkdtemp(prefix="bench-resident-"))
    with Store(folder) as store:
        names = [TagInfo(name=f"plant/{number}", kind=ValueKind.F64) for number in range(tags)]
        first = store.tags.intern_all(names)[0]
        for seq in range(1, rows // BATCH + 1):
            now_ns = start_ns + span_ns * seq // (rows // BATCH)
            number = (seq * BATCH + np.arange(BATCH)) % tags
            level[number] += chance.normal(0, 0.5, BATCH)
            late = np.where(chance.random(BATCH) < 0.01, chance.integers(0, 3_600_000, BATCH), 0)
            times = (now_ns // 1_000_000 - late + np.sort(chance.integers(0, 1000, BATCH))) * 1_000_000
            batch = columns(ValueKind.F64, first + number, times, np.zeros(BATCH), np.round(level[number], 2))
            store.append([Batch(1, 1, seq, now_ns + NS_PER_MINUTE, batch)])
            if seq % 50 == 0:
                _ask(store, first, tags, start_ns, now_ns)
        store.maintain()
        _ask(store, first, tags, start_ns, start_ns + span_ns)
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    shutil.rmtree(folder)
    found = {
        name: round(int(status[key].split()[0]) / 1024, 1) for name, key in (("peak_mb", "VmHWM"), ("end_mb", "VmRSS"))
    }
    print(json.dumps(found))


def _ask(store: Store, first: int, tags: int, start_ns: int, end_ns: int) -> None:
    hundred = range(first, first + 100)
    store.query(Last(), range(first, first + tags), 0, 2**62)
    store.query(Aggregate(bucket_ns=NS_PER_MINUTE), hundred, end_ns - NS_PER_DAY, end_ns)
    store.query(Decimate(points=1200), hundred[:20], start_ns, end_ns)
    store.query(StateDurations(windows=(Interval(start_ns, end_ns),)), hundred, start_ns, end_ns)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
