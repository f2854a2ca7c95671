"""Which samples are believed. Those that are not are set aside whole, and a person is told."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from isthmus.model.samples import Batch, kind_of
from isthmus.model.time import NS_PER_S, iso
from isthmus.site.historian.memory.rows import FORM_OF, NONE

_MOST_TAGS: Final = 20


class Trouble(StrEnum):
    """What a store has to tell a person. None of it stops the store."""

    UNSET_CLOCK = "unset clock"
    """Samples stamped before the first believed day were set aside: a clock that was never set."""
    FUTURE = "future"
    """Samples stamped further ahead of their arrival than allowed were set aside."""
    UNKNOWN_TAG = "unknown tag"
    """Samples under a number that no tag has were set aside."""
    OTHER_KIND = "other kind"
    """Samples of another value kind than their tag's were set aside."""
    ASIDE_FULL = "set-aside samples full"
    """What was set aside longest ago was deleted to keep within its bound."""
    DAMAGED = "damaged"
    """Bytes on disk are not what was written; they were set aside, what follows them was kept."""
    MISSING = "missing"
    """A segment that the manifest names is not there or cannot be read."""
    CLOCK = "clock"
    """The site's own clock is not believed, so that old days are kept beyond their time."""
    DISK = "disk"
    """The disk refused a background task; it is tried again."""


class Told(NamedTuple):
    """One thing to tell a person: what, where and the mend, in words."""

    trouble: Trouble
    what: str
    source: int | None = None
    """The number of the source (wire.frame.source_id), None where it is no source's."""
    rows: int = 0
    tags: tuple[int, ...] = ()
    """The site's tag ids, at most twenty of them."""


class Refused(NamedTuple):
    """Rows of one batch that are not believed."""

    trouble: Trouble
    batch: Batch
    """The batch with only these rows."""


class Bounds(NamedTuple):
    """What is believed of a sample's time."""

    earliest_ns: int
    ahead_ns: int


def sift(batch: Batch, forms: NDArray[np.uint8], bounds: Bounds) -> tuple[Batch, list[Refused]]:
    """The batch with only what is believed, and what is not. `forms` is TagBook.forms."""
    if not batch.columns.num_rows or _believed(batch, forms, bounds):
        return batch, []
    reason = np.zeros(batch.columns.num_rows, np.uint8)
    order = list(_reasons(batch, forms, bounds))
    for number, (_, where) in enumerate(order, 1):
        reason[where & (reason == 0)] = number
    if not reason.any():
        return batch, []
    refused = [
        Refused(trouble, _only(batch, reason == number))
        for number, (trouble, _) in enumerate(order, 1)
        if (reason == number).any()
    ]
    return _only(batch, reason == 0), refused


def _believed(batch: Batch, forms: NDArray[np.uint8], bounds: Bounds) -> bool:
    """Whether all of it is believed, in a few steps: it nearly always is."""
    tag = batch.columns.column("tag").to_numpy()
    time_ns = batch.columns.column("time_ns").to_numpy()
    return bool(
        tag.min() >= 0
        and tag.max() < len(forms)
        and (forms[tag] == FORM_OF[kind_of(batch.columns)]).all()
        and time_ns.min() >= bounds.earliest_ns
        and time_ns.max() <= batch.received_ns + bounds.ahead_ns
    )


def _reasons(batch: Batch, forms: NDArray[np.uint8], bounds: Bounds) -> Iterator[tuple[Trouble, NDArray[np.bool_]]]:
    tag = batch.columns.column("tag").to_numpy()
    time_ns = batch.columns.column("time_ns").to_numpy()
    inside = (tag >= 0) & (tag < len(forms))
    form = np.full(len(tag), NONE, np.uint8)
    form[inside] = forms[tag[inside]]
    yield Trouble.UNKNOWN_TAG, form == NONE
    yield Trouble.OTHER_KIND, form != FORM_OF[kind_of(batch.columns)]
    yield Trouble.UNSET_CLOCK, time_ns < bounds.earliest_ns
    yield Trouble.FUTURE, time_ns > batch.received_ns + bounds.ahead_ns


def _only(batch: Batch, mask: NDArray[np.bool_]) -> Batch:
    return batch._replace(columns=batch.columns.filter(pa.array(mask)))


_WHY: Final = {
    Trouble.UNSET_CLOCK: "their time lies before {earliest}; the device's clock was never set. Set its clock, or take "
    "the time of arrival for its tags",
    Trouble.FUTURE: "their time lies more than {ahead:g} s ahead of their arrival. Set the clock of the device or of "
    "the edge",
    Trouble.UNKNOWN_TAG: "no tag has their number",
    Trouble.OTHER_KIND: "their values are of another kind than their tag's",
}


def sentence(refused: Refused, bounds: Bounds) -> Told:
    """What a person is told of refused rows."""
    batch = refused.batch
    why = _WHY[refused.trouble].format(earliest=iso(bounds.earliest_ns), ahead=bounds.ahead_ns / NS_PER_S)
    rows = batch.columns.num_rows
    tags = tuple(np.unique(batch.columns.column("tag").to_numpy())[:_MOST_TAGS].tolist())
    what = f"{rows} sample{'s were' if rows != 1 else ' was'} set aside: {why}"
    return Told(refused.trouble, what, batch.source, rows, tags)
