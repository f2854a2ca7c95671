"""How fast a capture becomes an inventory, beside tshark's identity filter and nDPI in interleaved rounds of one run.

Packets a second of wall time, each reader in a process of its own, start-up included; `cpu` the same by
processor time. tshark prints the fields in which devices identify themselves; nfstream labels flows
and knows no model or firmware. Then a capture of 400 MB is read once for the memory it takes. The
capture is made of frames of every protocol we read among plain polling, unless --capture names one.
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
MANY_BYTES = 400_000_000


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


def timed(command: Sequence[str]) -> tuple[float, float, str]:
    """Wall and processor seconds of a process, and what it printed last."""
    begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=900)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return time.perf_counter() - begin, cpu, done.stdout.strip().rpartition("\n")[2]


def largest_mb(path: Path) -> float:
    """Resident memory at most while a capture is read."""
    code = f"{OURS}; import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    return int(timed([sys.executable, "-c", code, str(path)])[2]) / 1024


def readers(path: Path) -> dict[str, list[str]]:
    out = {"isthmus": [sys.executable, "-c", OURS, str(path)]}
    if shutil.which("tshark"):
        out["tshark"] = ["tshark", "-n", "-r", str(path), "-Y", IDENTITY_FILTER, "-T", "fields", "-e", "frame.number"]
    if NFSTREAM.exists():
        out["nfstream"] = [str(NFSTREAM), "-c", THEIRS, str(path)]
    return out


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--capture", type=Path, help="measure on this one instead")
    given.add_argument("--rounds", type=int, default=5)
    given.add_argument("--megabytes", type=int, default=100, help="size of the capture that is made")
    args = given.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.capture or Path(folder) / "capture.pcap"
        packets = 0 if args.capture else traffic(path, args.megabytes * 1_000_000)
        packets = packets or int(timed(readers(path)["isthmus"])[2])
        walls: dict[str, list[float]] = {}
        cpus: dict[str, list[float]] = {}
        for _ in range(args.rounds):
            for name, command in readers(path).items():
                wall, cpu, _ = timed(command)
                walls.setdefault(name, []).append(packets / wall)
                cpus.setdefault(name, []).append(packets / cpu)
        speed = {name: round(median(each)) for name, each in walls.items()}
        by_cpu = {name: round(median(each)) for name, each in cpus.items()}
        many = Path(folder) / "many.pcap"
        many_packets = traffic(many, MANY_BYTES)
        memory = round(largest_mb(many))
    print(f"{packets} packets; the large capture has {many_packets}")
    peers = [name for name in speed if name != "isthmus"]
    print(
        json.dumps(
            {
                "bench": "capture",
                "figures": {
                    "packets_per_s": speed["isthmus"],
                    "packets_per_cpu_s": by_cpu["isthmus"],
                    "rss_mb_400": memory,
                },
                "control": {f"{name}_packets_per_s": speed[name] for name in peers}
                | {f"{name}_packets_per_cpu_s": by_cpu[name] for name in peers},
                "ratio": {name: round(speed["isthmus"] / speed[name], 2) for name in peers}
                | {f"{name}_cpu": round(by_cpu["isthmus"] / by_cpu[name], 2) for name in peers},
            }
        )
    )


if __name__ == "__main__":
    main()
