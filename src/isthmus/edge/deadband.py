"""Lets a changed value through and holds back one that hardly moved, whole columns at a time.

A sample passes when its status differs from the last that passed, when its value moved by at least
the tag's deadband, when there is no number to compare, or when the heartbeat is due. Counters, states
and texts are never filtered: a count that was held back would be a part that was never made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.edge.source import Tag
from isthmus.model.samples import ValueKind, kind_of
from isthmus.model.time import NS_PER_S


class Deadband:
    """The last sample that passed, for each tag of one source."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._width = np.array([tag.deadband if tag.kind is ValueKind.F64 else 0.0 for tag in tags])
        self._heartbeat = np.array([int(tag.heartbeat_s * NS_PER_S) for tag in tags], np.int64)
        self._value = np.full(len(tags), np.nan)
        self._time = np.zeros(len(tags), np.int64)
        self._status = np.full(len(tags), -1, np.int64)
        self._idle = not self._width.any()

    def passing(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of `batch` that are worth a sample, in their order."""
        if self._idle or kind_of(batch) is not ValueKind.F64:
            return batch
        tag = batch.column("tag").to_numpy()
        if not self._width[tag].any():
            return batch
        value = batch.column("value").to_numpy(zero_copy_only=False)
        time = batch.column("time_ns").to_numpy()
        status = batch.column("status").to_numpy().astype(np.int64)
        keep = np.zeros(len(tag), np.bool_)
        # A tag that stands in the batch several times is judged row after row: all first rows, all second rows.
        turn = _turn(tag)
        for number in range(int(turn.max()) + 1):
            rows = np.flatnonzero(turn == number)
            keep[rows] = self._judge(tag[rows], time[rows], status[rows], value[rows])
        return batch if keep.all() else batch.filter(pa.array(keep))

    def forget(self) -> None:
        """Let the next sample of every tag through: the device was away, or the edge marked its tags."""
        self._status[:] = -1

    def _judge(
        self, tag: NDArray[np.int32], time: NDArray[np.int64], status: NDArray[np.int64], value: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Which rows pass; each tag stands in them once."""
        last, width = self._value[tag], self._width[tag]
        # NaN on one side passes: a number came or went. On both sides nothing changed.
        with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, and passes
            moved = ~(np.abs(value - last) < width) & ~(np.isnan(value) & np.isnan(last))
        due = np.abs(time - self._time[tag]) >= self._heartbeat[tag]  # also when the device's clock went back
        keep = moved | due | (status != self._status[tag]) | (width == 0)
        passed = tag[keep]
        self._value[passed], self._time[passed], self._status[passed] = value[keep], time[keep], status[keep]
        return keep


def _turn(tag: NDArray[np.int32]) -> NDArray[np.int64]:
    """For each row, how many rows of the same tag stand before it; shape (rows,)."""
    order = np.argsort(tag, kind="stable")
    ordered = tag[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(tag)), 0))
    turn = np.empty(len(tag), np.int64)
    turn[order] = np.arange(len(tag)) - start
    return turn
