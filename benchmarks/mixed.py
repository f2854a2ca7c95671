"""Everything at once, as on a plant's server: samples come in at a steady pace, screens ask, the background seals and merges.

Each round gives every store the same stretch of time in turn. A writer appends 20,000 values a second in
batches of 2,000; meanwhile four questions of a screen are asked in turn, of what is a day old and of
what came a moment ago. Ours seals every few seconds here, far more often than a plant does, so that
seals, merges and rollups fall into every round; a second process asks the same questions of its files.
`late_ms` is how far behind its pace the writer was at worst; `errors` counts what failed, in any process.

InfluxDB and VictoriaMetrics get the same samples at the same pace and the same questions over loopback;
VictoriaMetrics keeps no promise about what it acknowledged (see historian).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

from reference import history as plant
from reference.questions import Ask, Asked, AskedInflux, AskedVictoria, load
from reference.report import Figures, disk_probe, line, say, tail
from reference.store import infos

from isthmus.model import query as q
from isthmus.model.errors import IsthmusError
from isthmus.model.samples import Batch
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, NS_PER_S
from isthmus.site.config import HistorianSection
from isthmus.site.historian.reader import Reader
from isthmus.site.historian.store import Store

T0: Final = plant.T0_MS * 1_000_000
RATE, BATCH, LOAD_BATCH = 20_000, 2_000, 50_000
SEAL_ROWS: Final = 60_000
TAG: Final = plant.group("second").first
TWENTY: Final = range(TAG, TAG + 20)
Asks = Mapping[str, Ask]


class Under(Protocol):
    """A store under this load."""

    def load(self, past: plant.History) -> None: ...
    def prepared(self, past: plant.History, first: int) -> object: ...
    def write(self, batch: Any) -> None: ...  # noqa: ANN401  what `prepared` made
    def asks(self, now_ns: int) -> Asks: ...
    def stop(self) -> None: ...


class Ours:
    """Our own, and a second process that reads it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-mixed-"))
        self.store = Store(self._folder / "history", HistorianSection(seal_rows=SEAL_ROWS))
        self.store.tags.intern_all(infos())
        self._seq = 0
        self.folder = self._folder

    def load(self, past: plant.History) -> None:
        for first in range(0, past.rows, LOAD_BATCH):
            self.store.append(self._batches(past, first, LOAD_BATCH))
        self.store.compact()

    def prepared(self, past: plant.History, first: int) -> list[Batch]:
        return self._batches(past, first, BATCH)

    def _batches(self, past: plant.History, first: int, rows: int) -> list[Batch]:
        received_ns = int(past.time_ms[first : first + rows].max() + 1000) * 1_000_000
        parts = plant.batches(past, first, first + rows)
        self._seq += len(parts)
        start = self._seq - len(parts)
        return [Batch(1, 1, start + number, received_ns, part) for number, part in enumerate(parts, 1)]

    def write(self, batch: list[Batch]) -> None:
        self.store.append(batch)

    def asks(self, now_ns: int) -> Asks:
        return questions(self.store, now_ns)

    def stop(self) -> None:
        self.store.close()
        shutil.rmtree(self._folder)


def questions(history: Store | Reader, now_ns: int) -> Asks:
    """What a screen asks."""
    minutes = q.Aggregate(bucket_ns=NS_PER_MINUTE)
    return {
        "last_hour": partial(history.query, q.Raw(), [TAG], now_ns - NS_PER_HOUR, now_ns),
        "last_values": partial(history.query, q.Last(), TWENTY, 0, 2**62),
        "day_by_the_minute": partial(history.query, minutes, [TAG], now_ns - NS_PER_DAY, now_ns),
        "plot_of_twenty_tags": partial(history.query, q.Decimate(points=600), TWENTY, T0, now_ns),
    }


class Other:
    """A peer."""

    def __init__(self, asked: Asked) -> None:
        self._asked, self._server = asked, asked.server

    def load(self, past: plant.History) -> None:
        load(self._server, past)

    def prepared(self, past: plant.History, first: int) -> bytes:
        return self._server.payload(past, first, min(first + BATCH, past.rows))

    def write(self, batch: bytes) -> None:
        self._server.write(batch)

    def asks(self, now_ns: int) -> Asks:
        width_ns = max((now_ns - T0) // 300 // NS_PER_S, 1) * NS_PER_S
        return {
            "last_hour": self._asked.raw(TAG, now_ns - NS_PER_HOUR, now_ns),
            "last_values": self._asked.last(TWENTY, now_ns),
            "day_by_the_minute": self._asked.buckets([TAG], now_ns - NS_PER_DAY, now_ns, NS_PER_MINUTE),
            "plot_of_twenty_tags": self._asked.buckets(TWENTY, T0, now_ns, width_ns, mean=False),
        }

    def stop(self) -> None:
        self._server.stop()


STORES: Final[Mapping[str, Callable[[], Under]]] = {
    "isthmus": Ours,
    "influxdb": lambda: Other(AskedInflux()),
    "victoria": lambda: Other(AskedVictoria()),
}


class Round:
    """One stretch of time of one store: what was waited, and what failed."""

    def __init__(self) -> None:
        self.appends: list[float] = []
        self.late_s = 0.0
        self.answers: dict[str, list[float]] = {}
        self.errors = 0
        self._over = threading.Event()

    def run(self, store: Under, past: plant.History, first: int, seconds: float) -> int:
        """Write from the sample at `first` on, while another thread asks; where the next round begins."""
        work = [(at, store.prepared(past, at)) for at in range(first, first + int(seconds * RATE), BATCH)]
        asking = threading.Thread(target=self._ask, args=(store, past, first, first + int(seconds * RATE), seconds))
        asking.start()
        start = time.perf_counter()
        for number, (_, batch) in enumerate(work):
            due = start + number * BATCH / RATE
            time.sleep(max(due - time.perf_counter(), 0))
            before = time.perf_counter()
            self.late_s = max(self.late_s, before - due)
            try:
                store.write(batch)
            except (OSError, IsthmusError):
                self.errors += 1
            self.appends.append(time.perf_counter() - before)
        self._over.set()
        asking.join()
        return first + len(work) * BATCH

    def _ask(self, store: Under, past: plant.History, first: int, last: int, seconds: float) -> None:
        start = time.perf_counter()
        while not self._over.is_set():
            share = min((time.perf_counter() - start) / seconds, 1.0)
            now_ms = int(past.time_ms[min(first + int(share * (last - first)), past.rows - 1)])
            for name, ask in store.asks(now_ms * 1_000_000).items():
                before = time.perf_counter()
                try:
                    ask()
                except (OSError, IsthmusError):
                    self.errors += 1
                self.answers.setdefault(name, []).append(time.perf_counter() - before)
            self._over.wait(0.1)


def _read(folder: Path, now_ns: int) -> None:
    """The second process: asks until its input ends, then says how often it asked and how often it failed."""
    over = threading.Event()

    def until_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=until_the_end, daemon=True).start()
    asked, errors, taken = 0, 0, []
    with Reader(folder) as reader:
        print("ready", flush=True)
        while not over.wait(0.2):
            for ask in questions(reader, now_ns).values():
                before = time.perf_counter()
                try:
                    ask()
                except (OSError, IsthmusError) as error:
                    print(error, file=sys.stderr)
                    errors += 1
                taken.append(time.perf_counter() - before)
                asked += 1
    print(json.dumps({"asked": asked, "errors": errors, **tail(taken)}))


def measured(store: Under, past: plant.History, first: int, seconds: float) -> tuple[Figures, int]:
    """The figures of one round, and where the next begins."""
    one = Round()
    if isinstance(store, Ours):
        command = [
            sys.executable,
            __file__,
            "--read",
            str(store.folder / "history"),
            str(int(past.time_ms[first]) * 10**6),
        ]
        with (
            disk_probe(store.folder) as disk,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        ):
            assert process.stdout is not None
            process.stdout.readline()
            after = one.run(store, past, first, seconds)
            other = json.loads(process.communicate()[0].splitlines()[-1])
        extra: Figures = {
            "errors": one.errors + other["errors"],
            **{f"other_process_{name}": value for name, value in other.items() if name != "errors"},
        }
    else:
        after, disk, extra = one.run(store, past, first, seconds), {}, {"errors": one.errors}
    asked = {f"{name}_ms": round(median(taken) * 1e3, 2) for name, taken in one.answers.items()}
    slowest = {f"{name}_max_ms": round(max(taken) * 1e3, 2) for name, taken in one.answers.items()}
    return {**tail(one.appends, "append_"), "late_ms": one.late_s * 1e3, **asked, **slowest, **disk, **extra}, after


def together(runs: list[Figures]) -> Figures:
    """Of the rounds the median; of what was worst the worst, of what was counted the sum."""
    out = {}
    for name in runs[0]:
        found = [run[name] for run in runs]
        which = max if "max" in name or name == "late_ms" else sum if name.endswith(("errors", "asked")) else median
        out[name] = round(float(which(found)), 2)
    return out


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=float, default=1.0, help="history that is there before")
    arguments.add_argument("--seconds", type=float, default=30.0, help="of each store in each round")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--peers", default="influxdb,victoria", help="which peers, by comma; none for ours alone")
    arguments.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.read:
        _read(Path(given.read[0]), int(given.read[1]))
        return
    rows = int(given.seconds * RATE) * given.rounds
    past = plant.make(given.days + rows / plant.ROWS_A_DAY * 1.05)
    first = past.rows - rows
    before = plant.cut(past, 0, first)
    stores: dict[str, Under] = {}
    try:
        for name in ("isthmus", *(each for each in given.peers.split(",") if each in STORES)):
            stores[name] = STORES[name]()
            stores[name].load(before)
            say(f"{name} has {first} rows")
        found: dict[str, list[Figures]] = {name: [] for name in stores}
        for number in range(given.rounds):
            for name, store in stores.items():
                figures, after = measured(store, past, first, given.seconds)
                found[name].append(figures)
                p99, worst = figures["append_p99_ms"], figures["append_max_ms"]
                say(f"round {number + 1} of {given.rounds}, {name}: append p99 {p99} ms, max {worst} ms")
            first = after
        if isinstance(ours := stores["isthmus"], Ours):
            with ours.store.view() as view:
                merged = {"segments": len(view.segments), "rollups": len(view.rollups)}
    finally:
        for store in stores.values():
            store.stop()
    control = {name: together(its) for name, its in found.items()}
    figures = {**control.pop("isthmus"), **merged}
    ratio = {
        f"{name}_{who}": round(its[name] / figures[name], 2)
        for who, its in control.items()
        for name in its
        if name.endswith("_ms") and figures.get(name)
    }
    line("mixed", figures, control, ratio, rounds=given.rounds, rate=RATE)


if __name__ == "__main__":
    main()
