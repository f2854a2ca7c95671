"""Joins many small batches to few that make frames of a bounded size, and many losses to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from isthmus.edge.lane import Dropped
from isthmus.model.samples import kind_of

GROUP_ROWS: Final = 10_000
FRAME_BYTES: Final = 4 * 1024 * 1024


def grouped(batches: Sequence[pa.RecordBatch], tags: int) -> list[pa.RecordBatch]:
    """Joined by value kind, in pieces that make frames of a bounded size.

    Raises ValueError for a tag number that is not below `tags`, or a batch of no known kind.
    """
    by_kind: dict[str, list[pa.RecordBatch]] = {}
    for batch in batches:
        by_kind.setdefault(kind_of(batch), []).append(batch)
    out = []
    for held in by_kind.values():
        whole = pa.concat_batches(held) if len(held) > 1 else held[0]
        tag = whole.column("tag").to_numpy()
        if tag.min() < 0 or tag.max() >= tags:
            msg = f"a tag number beyond its {tags} tags"
            raise ValueError(msg)
        rows = max(1, min(GROUP_ROWS, FRAME_BYTES * whole.num_rows // max(whole.nbytes, 1)))
        out += [whole.slice(start, rows) for start in range(0, whole.num_rows, rows)]
    return out


def joined(before: Dropped, after: Dropped) -> Dropped:
    """Two losses of one source as one. The numbers between may be of two epochs: the counts are exact."""
    return Dropped(
        after.source,
        min(before.start_ns, after.start_ns),
        max(before.end_ns, after.end_ns),
        before.frames + after.frames,
        before.rows + after.rows,
        min(before.first_seq, after.first_seq),
        max(before.last_seq, after.last_seq),
    )
