"""What did not change while a device was away is told again when it is back.

A device that stamps its values by itself gives an unchanged value with its old time, which lies
before the mark of the loss: in history the tag would stay without communication until it changes,
which for the state of an idle machine may be hours. So the first value of each tag after a mark
is repeated at the moment of contact, when its own time is older than the mark. The repetition
carries the historian bit "interpolated" (Part 4, 7.39.1): a reader of single events passes over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from isthmus.model.samples import ValueKind, columns, kind_of
from isthmus.model.status import bad_mask

HELD: Final = 0x0402
"""Set in the status of a repeated value: a data value, held from an earlier one."""


class Held:
    """Since when each tag of a source is marked as lost; 0 for one that is not."""

    def __init__(self, tags: int) -> None:
        self._lost_ns = np.zeros(tags, np.int64)

    def lose(self, tags: Sequence[int], at_ns: int) -> None:
        """Some tags were marked at this moment."""
        self._lost_ns[list(tags)] = at_ns

    def after_loss(self, batch: pa.RecordBatch, now_ns: int) -> pa.RecordBatch:
        """The batch, with a last row for each tag whose newest value in it is older than its mark."""
        tag = batch.column("tag").to_numpy()
        if not self._lost_ns[tag].any():
            return batch
        if kind_of(batch) is ValueKind.WAVEFORM:
            self._lost_ns[tag] = 0  # a burst is of its own moment, and holds nothing
            return batch
        last = len(tag) - 1 - np.unique(tag[::-1], return_index=True)[1]
        lost_ns, time_ns = self._lost_ns[tag[last]], batch.column("time_ns").to_numpy()[last]
        bad = bad_mask(batch.column("status").to_numpy()[last])
        rows = last[(lost_ns > 0) & (time_ns <= lost_ns) & ~bad]
        # A value that is Bad leaves its mark: the next one that is not must still be able to lift it.
        self._lost_ns[tag[last[~bad]]] = 0
        if not len(rows):
            return batch
        again = batch.take(pa.array(rows))
        moment = np.maximum(now_ns, lost_ns.max() + 1)
        status = again.column("status").to_numpy() | np.uint32(HELD)
        held = columns(kind_of(batch), tag[rows], np.full(len(rows), moment), status, again.column("value"))
        return pa.concat_batches([batch, held])
