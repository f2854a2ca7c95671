"""Which numbers of a sequence were seen, as ranges: a source's frames, without one entry for each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator


class Ranges:
    """A set of positive ints that mostly come in order. Not safe for two threads at once."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    @property
    def last(self) -> int:
        """The highest number seen, 0 when none was."""
        return self._ends[-1] if self._ends else 0

    def add(self, first: int, last: int) -> None:
        """Every number from `first` to `last`, both included, was seen."""
        low = bisect_right(self._starts, first) - 1
        if low < 0 or self._ends[low] < first - 1:
            low += 1
        high = bisect_right(self._starts, last + 1)
        if low < high:
            first, last = min(first, self._starts[low]), max(last, self._ends[high - 1])
        self._starts[low:high], self._ends[low:high] = [first], [last]

    def start_of(self, number: int) -> int:
        """The first number of the unbroken run that `number`, which was seen, stands in."""
        return self._starts[bisect_right(self._starts, number) - 1]
