"""How far a source has told its story, and how long a work unit waits for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from isthmus.model.time import NS_PER_S

_SETTLE_NS: Final = NS_PER_S
_GAINS: Final = 0.5


class Progress:
    """One source, as its samples arrive. Times of arrival are the site's clock, ns.

    A source is waited for while it is at most `lateness` behind, or while it catches up: an edge that
    was cut off sends its backlog in order, and what it will say next is not late. One that is silent,
    or whose clock is simply slow, is not waited for; what it says then counts as late. Each epoch is
    watched by itself, since after an outage live samples overtake the backlog in an epoch of their own.
    """

    def __init__(self, lateness_ns: int) -> None:
        self._lateness_ns = lateness_ns
        self._epochs: dict[int, _Epoch] = {}

    def note(self, epoch: int, told_ns: int, now_ns: int) -> None:
        """Samples arrived, the newest of them at `told_ns` of the source's time."""
        self._epochs.setdefault(epoch, _Epoch(self._lateness_ns)).note(told_ns, now_ns)

    def target(self, now_ns: int) -> int | None:
        """Up to where a unit may be folded for this source's sake; None when it is not waited for."""
        told = {epoch: one.target(now_ns) for epoch, one in tuple(self._epochs.items())}
        newest = max(told, default=0)
        for epoch in [epoch for epoch, at in told.items() if at is None and epoch < newest]:
            del self._epochs[epoch]
        return min((at for at in told.values() if at is not None), default=None)


class _Epoch:
    """One epoch of a source: how far it is, and whether it catches up."""

    def __init__(self, lateness_ns: int) -> None:
        self._lateness_ns = lateness_ns
        self._settle_ns = min(_SETTLE_NS, lateness_ns // 5)
        self._told_ns = self._arrived_ns = 0
        self._mark: tuple[int, int] | None = None
        """(arrival, how far behind) since when it is watched catching up; None while it is not behind."""
        self._gaining = False

    def note(self, told_ns: int, now_ns: int) -> None:
        self._told_ns, self._arrived_ns = told_ns, now_ns
        behind = now_ns - told_ns
        if behind <= self._lateness_ns:
            self._mark, self._gaining = None, False
        elif self._mark is None:
            self._mark, self._gaining = (now_ns, behind), True
        elif now_ns - self._mark[0] >= self._lateness_ns:
            since, was = self._mark
            self._gaining = was - behind >= _GAINS * (now_ns - since)
            self._mark = (now_ns, behind)

    def target(self, now_ns: int) -> int | None:
        near = now_ns - self._told_ns <= self._lateness_ns
        catching_up = self._gaining and now_ns - self._arrived_ns <= self._lateness_ns
        return self._told_ns - self._settle_ns if near or catching_up else None


def target(sources: Iterable[Progress], now_ns: int, lateness_ns: int) -> int:
    """Up to where a unit with these sources may be folded now."""
    told = [source.target(now_ns) for source in sources]
    waited_for = [one for one in told if one is not None]
    latest = now_ns if waited_for and len(waited_for) == len(told) else now_ns - lateness_ns
    return min([latest, *waited_for])
