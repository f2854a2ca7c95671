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

from isthmus.model.query import Aggregate, Decimate, Last, StateDurations
from isthmus.model.time import NS_PER_DAY, NS_PER_MINUTE, Interval
from isthmus.site.historian.store import Store
from reference.stream import START_NS, intern, stream

BATCH, SPAN_NS = 10_000, 3 * NS_PER_DAY


def measured(tags: int, rows: int) -> dict[str, float]:
    """Highest and last resident memory in MB of such a process, everything in it counted."""
    command = [sys.executable, "-m", "reference.resident", str(tags), str(rows)]
    folder = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900, cwd=folder)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _main(tags: int, rows: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-resident-"))
    with Store(folder) as store:
        first = intern(store, tags)
        for batch in stream(first, tags, rows, BATCH, SPAN_NS):
            store.append([batch])
            if batch.seq % 50 == 0:
                _ask(store, first, tags, batch.received_ns)
        store.maintain()
        _ask(store, first, tags, START_NS + SPAN_NS)
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    shutil.rmtree(folder)
    kept = (("peak_mb", "VmHWM"), ("end_mb", "VmRSS"))
    print(json.dumps({name: round(int(status[key].split()[0]) / 1024, 1) for name, key in kept}))


def _ask(store: Store, first: int, tags: int, end_ns: int) -> None:
    hundred = range(first, first + 100)
    store.query(Last(), range(first, first + tags), 0, 2**62)
    store.query(Aggregate(bucket_ns=NS_PER_MINUTE), hundred, end_ns - NS_PER_DAY, end_ns)
    store.query(Decimate(points=1200), hundred[:20], START_NS, end_ns)
    store.query(StateDurations(windows=(Interval(START_NS, end_ns),)), hundred, START_NS, end_ns)


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
