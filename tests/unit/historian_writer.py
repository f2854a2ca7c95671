"""A writing process for the tests: appends for ever, and prints each frame's number once it is acknowledged.

historian_writer.py FOLDER FIRST_SEQ SEAL_ROWS
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_DAY, NS_PER_S
from isthmus.site.config import HistorianSection
from isthmus.site.historian.store import Store

T0 = 20_400 * NS_PER_DAY
TAGS, ROWS = 20, 400
STRIDE_S = 300


def frame_of(seq: int) -> Batch:
    """Rows that follow from the number alone; every seventh frame comes an hour late, some repeat a moment."""
    chance = np.random.default_rng(seq)
    tag = chance.integers(1, TAGS + 1, ROWS)
    at_s = seq * STRIDE_S + chance.integers(0, STRIDE_S, ROWS) - (3600 if seq % 7 == 0 else 0)
    values = np.round(chance.normal(0, 100, ROWS), 2)
    batch = columns(ValueKind.F64, tag, T0 + at_s * NS_PER_S, np.zeros(ROWS), values)
    return Batch(1, 1, seq, T0 + seq * STRIDE_S * NS_PER_S, batch)


def main() -> None:
    folder, seq, seal_rows = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with Store(folder, HistorianSection(seal_rows=seal_rows, future_s=1e9)) as store:
        store.tags.intern_all([TagInfo(name=f"plc/t{number}", kind=ValueKind.F64) for number in range(TAGS)])
        while True:
            store.append([frame_of(seq)])
            print(seq, flush=True)  # noqa: T201  the acknowledgement
            seq += 1


if __name__ == "__main__":
    main()
