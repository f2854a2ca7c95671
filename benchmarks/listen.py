"""Whether listening on a mirror port loses packets, at 500,000 a second for ten seconds.

Two interfaces joined by a virtual cable stand in a network namespace that this run makes and takes
away. A sender in C, compiled here, is held to the first core; `isthmus audit listen`, with the ring
and the ear as a plant has them, to the last. What comes out is what the kernel says it had no room
for, and what the listening says it heard. Needs root and a C compiler, and says so otherwise.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HERE = "isthmus-bench"


def frames(path: Path) -> float:
    """Write what is sent: every protocol we read among plain polling; gives the mean length."""
    sys.path.insert(0, str(ROOT / "tests" / "unit" / "decode"))
    samples: Any = importlib.import_module("samples")
    wire: Any = importlib.import_module("wire")
    polls: list[bytes] = []
    for index in range(2000):
        unit = 10_000 + index % 40
        polls.append(wire.tcp((wire.A, unit), (wire.B, 502), samples.mbap(index, 1, b"\x03\0\0\0\x3c"), index * 12))
        answer = samples.mbap(index, 1, b"\x03\x78" + bytes(120))
        polls.append(wire.tcp((wire.B, 502), (wire.A, unit), answer, index * 129))
    block = [*(packet for sample in samples.ALL for packet in sample() if len(packet) <= 1514), *polls]
    path.write_bytes(b"".join(struct.pack("=I", len(packet)) + packet for packet in block))
    return sum(map(len, block)) / len(block)


def lacking() -> str:
    """Why it cannot run here; "" when it can."""
    if os.geteuid():
        return "it makes a network namespace, which needs root"
    return "" if shutil.which("ip") and shutil.which("cc") else "it needs ip (iproute2) and cc"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=10)


def measured(folder: Path, rate: int, seconds: int) -> dict[str, float]:
    """One run; sender and listener each on a core of its own."""
    first, last = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))
    sender = folder / "sender"
    subprocess.run(["cc", "-O2", "-o", sender, ROOT / "benchmarks" / "sender.c"], check=True, timeout=60)
    size = frames(folder / "frames")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "isthmus",
        "audit",
        "listen",
        "--interface",
        "rx0",
        "--into",
        folder / "audit",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    inside = ["ip", "netns", "exec", HERE]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    listener = subprocess.Popen(
        [*inside, "taskset", "-c", str(last), *command],
        stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert listener.stdout is not None
        if "listening" not in listener.stdout.readline():
            sys.exit("the listening did not begin")
        time.sleep(0.5)
        words: list[str | Path] = [sender, "tx0", folder / "frames", str(rate), str(seconds), str(first)]
        said = subprocess.run(
            [*inside, *words], check=True, timeout=seconds * 4 + 30, stdout=subprocess.PIPE, text=True
        )
        time.sleep(1)
        listener.send_signal(signal.SIGTERM)
        told, _ = listener.communicate(timeout=120)
    finally:
        listener.kill()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    sent, took_s, sender_s = map(float, said.stdout.split())
    found = re.search(r"([\d,]+) packets, [\d.,]+ MB, ([\d,]+) missed", told.rpartition("packets,")[0] and told)
    if not found:
        sys.exit(f"the listening did not say what it heard:\n{told}")
    heard, missed = (int(part.replace(",", "")) for part in found.groups())
    both_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "sent": sent, "sent_per_s": round(sent / took_s), "heard": heard, "missed": missed, "mean_bytes": round(size),
        "seconds": round(took_s, 2), "sender_cpu_s": round(sender_s, 2), "listener_cpu_s": round(both_s - sender_s, 2),
        "sender_core": first, "listener_core": last,
    }  # fmt: skip


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--rate", type=int, default=500_000, help="packets a second")
    given.add_argument("--seconds", type=int, default=10)
    args = given.parse_args()
    if why := lacking():
        print(f"not measured: {why}")
        print(json.dumps({"bench": "listen", "figures": {}, "skipped": why}))
        return
    subprocess.run(["ip", "netns", "del", HERE], check=False, stderr=subprocess.DEVNULL, timeout=10)
    ip("netns", "add", HERE)
    try:
        ip("-n", HERE, "link", "add", "tx0", "type", "veth", "peer", "name", "rx0")
        for name in ("tx0", "rx0"):
            ip("-n", HERE, "link", "set", name, "up")
        with tempfile.TemporaryDirectory() as folder:
            figures = measured(Path(folder), args.rate, args.seconds)
    finally:
        ip("netns", "del", HERE)
    print(f"{figures['sent']:,.0f} packets sent from core {figures['sender_core']}, {figures['missed']:,.0f} missed")
    print(json.dumps({"bench": "listen", "figures": figures}))


if __name__ == "__main__":
    main()
