"""History: every sample that ever arrived, on disk before it is acknowledged, in an open format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.query import Operator
from isthmus.model.samples import Batch
from isthmus.site.historian.corrections import Correction


class Historian(Protocol):
    """Every implementation passes tests/conformance/test_historian.py."""

    def append(self, batches: Sequence[Batch]) -> None:
        """Take samples and bursts in; they are on disk when this returns. `tag` is the site's tag id.

        A batch whose (source, epoch, seq) was taken before is passed over. Of two samples with one
        (tag, time) the later arrival stands. Raises OSError (disk full) with nothing taken.
        """
        ...

    def taken(self, source: int, epoch: int, seq: int) -> bool:
        """Whether a batch of that name was taken in before."""
        ...

    def query(
        self, operator: Operator, tags: Sequence[int], start_ns: int, end_ns: int, *, known_ns: int | None = None
    ) -> pa.Table:
        """Answer a question of model.query over [start_ns, end_ns). Any thread may ask.

        With `known_ns` corrections that people said after that moment are left out.
        """
        ...

    def bursts(self, tags: Sequence[int], start_ns: int, end_ns: int) -> pa.Table:
        """The bursts of these tags that begin within [start_ns, end_ns): columns of model.waveforms, by tag and time."""
        ...

    def burst_times(self, tag: int, start_ns: int, end_ns: int) -> NDArray[np.int64]:
        """When the bursts of a tag began, within [start_ns, end_ns), in order; cheap, no reading is read for it."""
        ...

    def correct(self, said: Sequence[Correction]) -> None:
        """Put samples right for good; the old versions stay. Raises UsageError with nothing stored, OSError."""
        ...

    def corrections(self) -> list[Correction]:
        """Everything that people put right, in the order in which they said it."""
        ...

    def maintain(self) -> None:
        """Do what is due: seal, roll up, compact, let old days go. Called by a background thread."""
        ...
