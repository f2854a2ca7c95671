"""How fast a capture becomes an inventory, beside tshark's identity filter and nDPI in interleaved rounds of one run.

Packets a second of wall time; `cpu` the same by processor time. Each reader is a process of its own, measured
from its start to its end: interpreter, imports, decoders and, for nfstream, its metering process all count. Before
the rounds each reads the capture once unmeasured, so that all find the file in memory and their modules compiled,
as a package's installer leaves them; and all run with the environment that `isthmus` gives itself. By
`_after_start` the time of the same reader for a capture of a few packets is taken off. tshark prints the fields in
which devices identify themselves; nfstream labels flows and knows no model or firmware. The last capture, of 400 MB,
is too long for tshark, and tells the memory that reading takes. Captures are made of frames of every protocol we read
among plain polling, unless --capture names one.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NFSTREAM = ROOT / ".peers" / "nfstream" / "bin" / "python"
IDENTITY_FILTER = (
    "enip.lir.name || cip.id.product_name || s7comm.szl.001c.0001.name || modbus.object_str_value || pn_dcp.suboption_device || "
    "lldp.tlv.system.desc || cdp.platform || bacapp.vendor_identifier || omron.controller.model || mms.vendorName || hart_ip.pt.rsp.device_id || snmp.name == 1.3.6.1.2.1.1.1.0 || opcua.servicenodeid.numeric || "
    "browser.windows_version || dhcp.option.hostname || mqtt.clientid"
)
OURS = "import sys; from pathlib import Path; from isthmus.assets.decode.audit import hear; print(hear(Path(sys.argv[1])).packets)"
THEIRS = "import sys; from nfstream import NFStreamer\nif __name__ == '__main__':\n    print(sum(f.bidirectional_packets for f in NFStreamer(source=sys.argv[1], n_meters=1)))"
MANY_MB = 400
SOME_BYTES = 100_000
"""A capture so short that reading it is the start alone."""


def traffic(path: Path, least_bytes: int) -> int:
    """Write a capture of at least so many bytes; gives its packets."""
    sys.path.insert(0, str(ROOT / "tests" / "unit" / "decode"))
    samples: Any = importlib.import_module("samples")  # the frames of the tests
    wire: Any = importlib.import_module("wire")
    one, other = wire.A, wire.B
    polls: list[bytes] = []
    for index in range(2000):
        unit = 10_000 + index % 40
        polls.append(wire.tcp((one, unit), (other, 502), samples.mbap(index, 1, b"\x03\0\0\0\x3c"), index * 12))
        polls.append(wire.tcp((other, 502), (one, unit), samples.mbap(index, 1, b"\x03\x78" + bytes(120)), index * 129))
    block = [*(packet for sample in samples.ALL for packet in sample()), *polls]
    raw = b"".join(struct.pack("<II", len(packet), len(packet)) + packet for packet in block)
    packets = 0
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 1))
        written = 0
        while written < least_bytes:
            at, parts = 0, list[bytes]()
            while at < len(raw):
                (size,) = struct.unpack_from("<I", raw, at)
                now = wire.BEGIN_NS + packets * 2_000
                parts.append(struct.pack("<II", now // 10**9, now % 10**9) + raw[at : at + 8 + size])
                at, packets = at + 8 + size, packets + 1
            written += file.write(b"".join(parts))
    return packets


class Bench:
    """Readers and the folder where their compiled modules are kept."""

    def __init__(self, folder: Path) -> None:
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONPYCACHEPREFIX": str(folder / "pyc")}
        self._environment |= {"OPENBLAS_NUM_THREADS": "1"}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def timed(self, command: Sequence[str]) -> tuple[float, float, str]:
        """Wall and processor seconds of a process, and what it printed last."""
        begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=self._environment, timeout=900)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
        return wall, cpu, done.stdout.strip().rpartition("\n")[2]

    def largest_mb(self, path: Path) -> float:
        """Resident memory at most while a capture is read."""
        code = f"{OURS}; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        return int(self.timed([sys.executable, "-c", code, str(path)])[2]) / 1024

    def rounds(self, commands: dict[str, list[str]], count: int) -> tuple[dict[str, float], dict[str, float]]:
        """Median wall and processor seconds of each, measured in turns."""
        walls: dict[str, list[float]] = {name: [] for name in commands}
        cpus: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(count + 1):
            for name, command in commands.items():
                wall, cpu, _ = self.timed(command)
                if number:
                    walls[name].append(wall)
                    cpus[name].append(cpu)
        return {name: median(each) for name, each in walls.items()}, {name: median(each) for name, each in cpus.items()}


def readers(path: Path, *, tshark: bool = True) -> dict[str, list[str]]:
    """The commands that read a capture."""
    out = {"isthmus": [sys.executable, "-c", OURS, str(path)]}
    if tshark and shutil.which("tshark"):
        out["tshark"] = ["tshark", "-n", "-r", str(path), "-Y", IDENTITY_FILTER, "-T", "fields", "-e", "frame.number"]
    if NFSTREAM.exists():
        out["nfstream"] = [str(NFSTREAM), "-c", THEIRS, str(path)]
    return out


def measured(bench: Bench, captures: dict[str, tuple[Path, int]], start: Path, rounds: int) -> dict[str, Any]:
    """Packets a second of each reader by capture, and how many times a peer's ours are."""
    starts, _ = bench.rounds(readers(start), rounds)
    figures: dict[str, dict[str, int]] = {}
    for name, (path, packets) in captures.items():
        walls, cpus = bench.rounds(readers(path, tshark=path.stat().st_size < MANY_MB * 1_000_000), rounds)
        for reader, wall in walls.items():
            mine = figures.setdefault(reader, {})
            mine[f"packets_per_s_{name}"] = round(packets / wall)
            mine[f"packets_per_cpu_s_{name}"] = round(packets / cpus[reader])
            mine[f"packets_per_s_{name}_after_start"] = round(packets / max(wall - starts[reader], 1e-3))
    ours = figures.pop("isthmus")
    ratio = {
        f"{peer}{key.removeprefix('packets_per_s').replace('packets_per_cpu_s', '_cpu')}": round(ours[key] / value, 2)
        for peer, theirs in figures.items()
        for key, value in theirs.items()
    }
    control = {f"{peer}_{key}": value for peer, theirs in figures.items() for key, value in theirs.items()}
    return {"figures": ours, "control": control, "ratio": ratio}


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--capture", type=Path, help="measure on this one instead")
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument(
        "--megabytes", type=int, nargs="+", default=[40, 100, MANY_MB], help="sizes of the captures that are made"
    )
    args = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench, captures = Bench(folder), dict[str, tuple[Path, int]]()
        for size in [] if args.capture else args.megabytes:
            path = folder / f"{size}.pcap"
            captures[f"{size}_mb"] = path, traffic(path, size * 1_000_000)
        if args.capture:
            captures["given"] = args.capture, int(bench.timed(readers(args.capture)["isthmus"])[2])
        start, many = folder / "start.pcap", folder / f"{MANY_MB}.pcap"
        traffic(start, SOME_BYTES)
        out = measured(bench, captures, start, args.rounds)
        if not many.exists():
            traffic(many, MANY_MB * 1_000_000)
        out["figures"]["rss_mb_400"] = round(bench.largest_mb(many))
    print("; ".join(f"{name}: {packets} packets" for name, (_, packets) in captures.items()))
    print(json.dumps({"bench": "capture", **out}))


if __name__ == "__main__":
    main()
