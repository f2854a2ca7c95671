"""How much CPU a sample costs to pack and unpack, beside Arrow IPC with zstd in the same run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from isthmus.model.samples import ValueKind, columns
from isthmus.wire import frame as frames

ROWS, ROUNDS = 10_000, 50


def cpu_us_per_row(work: Callable[[], object]) -> float:
    work()
    start = time.process_time()
    for _ in range(ROUNDS):
        work()
    return (time.process_time() - start) / ROUNDS / ROWS * 1e6


def main() -> None:
    chance = np.random.default_rng(1)
    times = 1_700_000_000_000_000_000 + np.cumsum(chance.integers(900_000, 1_100_000, ROWS))
    walk = np.round(np.cumsum(chance.normal(size=ROWS)), 2)
    batch = columns(ValueKind.F64, chance.integers(0, 200, ROWS), times, np.zeros(ROWS), walk)
    packed = frames.pack(frames.of_samples(1, 1, 1, batch))

    def arrow() -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_batch(batch)
        return sink.getvalue().to_pybytes()

    pack = cpu_us_per_row(lambda: frames.pack(frames.of_samples(1, 1, 1, batch)))
    unpack = cpu_us_per_row(lambda: frames.samples(frames.unpack_from(packed)[0]))
    figures = {"pack_us": round(pack, 3), "unpack_us": round(unpack, 3), "bytes": round(len(packed) / ROWS, 2)}
    control = {"arrow_pack_us": round(cpu_us_per_row(arrow), 3), "arrow_bytes": round(len(arrow()) / ROWS, 2)}
    ratio = {"bytes": round(control["arrow_bytes"] / figures["bytes"], 2)}
    print(json.dumps({"bench": "frame", "figures": figures, "control": control, "ratio": ratio}))


if __name__ == "__main__":
    main()
