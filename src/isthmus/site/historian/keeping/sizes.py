"""How many samples of each tag there are, and about how much room they take."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import numpy as np

from isthmus.site.historian.memory.rows import Words
from isthmus.site.historian.sealed.parquet import ALWAYS, FOR_EVER
from isthmus.site.historian.sealed.view import View


class TagSize(NamedTuple):
    """One tag's share of the sealed segments."""

    tag: int
    rows: int
    bytes: float
    """A share of each row group's bytes by rows: right to about the row group's size."""
    first_ns: int
    last_ns: int


def by_tag(view: View) -> list[TagSize]:
    """Every tag with sealed samples, the largest first."""
    rows: dict[int, int] = defaultdict(int)
    size: dict[int, float] = defaultdict(float)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for segment in view.segments:
        file = view.files.get(segment.path)
        for group, group_bytes in zip(file.groups(ALWAYS, FOR_EVER, ALWAYS, FOR_EVER), file.group_bytes, strict=True):
            found = file.read(Words(), [group])
            starts = np.flatnonzero(np.append(True, found.tag[1:] != found.tag[:-1]))
            for start, end in zip(starts.tolist(), [*starts[1:].tolist(), found.size], strict=True):
                tag = int(found.tag[start])
                rows[tag] += end - start
                size[tag] += group_bytes * (end - start) / found.size
                first[tag] = min(first.get(tag, FOR_EVER), int(found.time_ns[start]))
                last[tag] = max(last.get(tag, ALWAYS), int(found.time_ns[end - 1]))
    sizes = [TagSize(tag, rows[tag], size[tag], first[tag], last[tag]) for tag in rows]
    return sorted(sizes, key=lambda each: (-each.rows, each.tag))
