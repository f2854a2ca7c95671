"""What the benchmarks of history share: progress for who waits, medians of rounds, how slow the disk itself is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

Figures = dict[str, float]
_BEGAN = time.monotonic()
_PROBE = """
import os, sys, time
taken = []
with open(sys.argv[1], "wb", buffering=0) as file:
    print("ready", flush=True)
    while not os.path.exists(sys.argv[1] + ".stop"):
        file.write(bytes(65536))
        start = time.perf_counter()
        os.fdatasync(file.fileno())
        taken.append(time.perf_counter() - start)
        time.sleep(0.05)
taken.sort()
print(taken[len(taken) * 99 // 100] * 1e3, taken[-1] * 1e3)
"""


def say(what: str) -> None:
    """Tell whoever waits; on the error stream, since the other is read at the end."""
    print(f"  {time.monotonic() - _BEGAN:5.0f} s  load {os.getloadavg()[0]:4.1f}  {what}", file=sys.stderr, flush=True)


def middle(runs: Sequence[Mapping[str, float]]) -> Figures:
    """The median of each figure over the rounds."""
    return {name: round(float(median(run[name] for run in runs)), 4) for name in runs[0]}


def tail(taken_s: Sequence[float], name: str = "") -> Figures:
    """Median, ninety-ninth and longest of what was waited, in ms."""
    parts = {"p50": 50.0, "p99": 99.0, "max": 100.0}
    return {f"{name}{part}_ms": round(float(np.percentile(taken_s, at)) * 1e3, 2) for part, at in parts.items()}


@contextmanager
def disk_probe(folder: Path) -> Iterator[Figures]:
    """Beside what is measured another process puts 64 KB on the same disk, twenty times a second: what the disk alone costs."""
    path = folder / "probe"
    command = [sys.executable, "-c", _PROBE, str(path)]
    found: Figures = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield found
        finally:
            path.with_suffix(".stop").touch()
            words = process.stdout.read().split()
    found.update(disk_p99_ms=round(float(words[0]), 2), disk_max_ms=round(float(words[1]), 2))
    path.unlink()
    path.with_suffix(".stop").unlink()


def line(
    bench: str, figures: Mapping[str, Any], control: Mapping[str, Any], ratio: Mapping[str, Any], **more: float
) -> None:
    """The last line of a benchmark, which the docs quote."""
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"bench": bench, **more, "load": load, "figures": figures, "control": control, "ratio": ratio}))
