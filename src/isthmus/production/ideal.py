"""How fast a piece can be made here: the ideal cycle of a product on a machine (ISO 22400-2 PRI)."""

from __future__ import annotations

from datetime import date

from isthmus.model.plant import IdealCycle, Machine, Plant
from isthmus.model.time import NS_PER_S, to_datetime


class Ideals:
    """Looks up the ideal time of a piece; the plant file's cycles, sorted once."""

    def __init__(self, plant: Plant, machine: Machine) -> None:
        self._zone = plant.zone
        self._names = (machine.path, machine.path.removeprefix(f"{plant.path}/"))
        self._cycles = {code: self._sorted(product.cycles) for code, product in plant.products.items()}
        self._otherwise = None if machine.ideal_cycle_s is None else round(machine.ideal_cycle_s * NS_PER_S)

    def of(self, product: str, time_ns: int) -> int | None:
        """Ideal time of one piece of a product at a moment, ns; None where the plant file names none.

        A cycle for this machine goes before one for every machine, the newest valid one first; then
        the machine's own ideal cycle.
        """
        cycles = self._cycles.get(product)
        if cycles:
            day = to_datetime(time_ns, self._zone).date()
            for cycle in cycles:
                if cycle.valid_from is None or cycle.valid_from <= day:
                    return round(cycle.seconds * NS_PER_S)
        return self._otherwise

    def _sorted(self, cycles: tuple[IdealCycle, ...]) -> list[IdealCycle]:
        mine = [cycle for cycle in cycles if cycle.machine in (*self._names, "*")]
        newest_first = sorted(mine, key=lambda cycle: cycle.valid_from or date.min, reverse=True)
        return sorted(newest_first, key=lambda cycle: cycle.machine == "*")
