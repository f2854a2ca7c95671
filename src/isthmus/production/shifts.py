"""The shifts of one machine's calendar, looked up often: worked out once for each stretch of days."""

from __future__ import annotations

from isthmus.model.calendar import ShiftInstance, shifts_between
from isthmus.model.plant import Machine, Plant
from isthmus.model.time import NS_PER_DAY, Interval

_CHUNK_NS = 8 * NS_PER_DAY


class Shifts:
    """What a calendar says, remembered. Holds nothing that a calendar would not say again."""

    def __init__(self, plant: Plant, machine: Machine) -> None:
        self._calendar = plant.calendar_of(machine)
        self._zone = plant.zone
        self._known: dict[int, list[ShiftInstance]] = {}

    def between(self, start_ns: int, end_ns: int) -> list[ShiftInstance]:
        """Every shift that touches [start_ns, end_ns), whole, in order of start."""
        first, last = start_ns // _CHUNK_NS, (end_ns - 1) // _CHUNK_NS
        found = {
            shift: None
            for chunk in range(first, last + 1)
            for shift in self._chunk(chunk)
            if shift.start_ns < end_ns and shift.end_ns > start_ns
        }
        return sorted(found, key=lambda shift: shift.start_ns)

    def planned(self, start_ns: int, end_ns: int) -> list[Interval]:
        """Planned busy time of every shift that touches the stretch, in order; overlapping shifts count once."""
        every = sorted(stretch for shift in self.between(start_ns, end_ns) for stretch in shift.planned)
        out: list[Interval] = []
        for stretch in every:
            if out and stretch.start_ns <= out[-1].end_ns:
                out[-1] = Interval(out[-1].start_ns, max(out[-1].end_ns, stretch.end_ns))
            else:
                out.append(stretch)
        return out

    def next_edge(self, time_ns: int) -> int:
        """The first start or end of a shift after a moment; a week on where there is none."""
        horizon = time_ns + 7 * NS_PER_DAY
        edges = [
            edge
            for shift in self.between(time_ns, horizon)
            for edge in (shift.start_ns, shift.end_ns)
            if time_ns < edge < horizon
        ]
        return min(edges, default=horizon)

    def _chunk(self, chunk: int) -> list[ShiftInstance]:
        if chunk not in self._known:
            if len(self._known) > 64:  # noqa: PLR2004  some years of calendar
                self._known.clear()
            start_ns = chunk * _CHUNK_NS
            self._known[chunk] = shifts_between(self._calendar, self._zone, start_ns, start_ns + _CHUNK_NS)
        return self._known[chunk]
