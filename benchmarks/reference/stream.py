"""Samples of a plant of any number of tags, batch by batch as they come, so that nothing of them fills memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from isthmus.model.samples import Batch, TagInfo, ValueKind, columns
from isthmus.model.time import NS_PER_S
from isthmus.site.historian.store import Store
from reference.history import T0_MS

START_NS = T0_MS * 1_000_000


def infos(tags: int) -> list[TagInfo]:
    """Names for so many numbers."""
    return [TagInfo(name=f"plant/{number}", kind=ValueKind.F64) for number in range(tags)]


def intern(store: Store, tags: int) -> int:
    """The id of the first of so many tags; the others follow it."""
    return store.tags.intern_all(infos(tags))[0]


def stream(  # noqa: PLR0913, PLR0917  what makes a plant
    first: int, tags: int, rows: int, batch: int, span_ns: int, seed: int = 7
) -> Iterator[Batch]:
    """`rows` samples spread over a span of time: walks of two decimals, one sample in a hundred late by up to an hour."""
    chance = np.random.default_rng(seed)
    level = chance.normal(50, 10, tags)
    for seq in range(1, rows // batch + 1):
        now_ms = (START_NS + span_ns * seq // (rows // batch)) // 1_000_000
        number = (seq * batch + np.arange(batch)) % tags
        level[number] += chance.normal(0, 0.5, batch)
        late = np.where(chance.random(batch) < 0.01, chance.integers(0, 3_600_000, batch), 0)
        times = (now_ms - late + np.sort(chance.integers(0, 1000, batch))) * 1_000_000
        values = np.round(level[number], 2)
        yield Batch(
            seed,
            1,
            seq,
            now_ms * 1_000_000 + NS_PER_S,
            columns(ValueKind.F64, first + number, times, np.zeros(batch), values),
        )
