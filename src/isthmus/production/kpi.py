"""The indicators of ISO 22400-2 as pure functions. Times in any one unit; None where a ratio has no denominator.

Clause numbers are those of ISO 22400-2:2014, clause 9.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def ratio(part: float, whole: float) -> float | None:
    """Part of a whole, None when there is no whole: no planned time is not an availability of 0 or 1."""
    return part / whole if whole else None


def availability(apt: float, pbt: float) -> float | None:
    """Availability = APT / PBT: producing, of what was planned."""
    return ratio(apt, pbt)


def effectiveness(ideal: float, apt: float) -> float | None:
    """Effectiveness = PRI * PQ / APT, with PRI * PQ as the sum of the ideal times of all pieces.

    Never capped: above 1 the standard is wrong, and the page says so.
    """
    return ratio(ideal, apt)


def quality_ratio(good: float, produced: float) -> float | None:
    """Quality ratio = GQ / PQ."""
    return ratio(good, produced) if produced > 0 else None


def oee(ideal: float, pbt: float, good: float, produced: float) -> float | None:
    """OEE index = availability * effectiveness * quality ratio, from unrounded sums.

    APT cancels: (PRI * PQ / PBT) * (GQ / PQ). Nothing produced in planned time is 0; no planned time is None.
    """
    if not pbt:
        return None
    return ideal / pbt * good / produced if produced > 0 else 0.0


def nee(*, apt: float, aust: float, pbt: float, ideal: float, good: float, produced: float) -> float | None:  # noqa: PLR0913  the clause's own terms
    """NEE index = AUPT / PBT * effectiveness * quality ratio, with AUPT = APT + AUST: set-up is no loss here."""
    factors = (ratio(apt + aust, pbt), effectiveness(ideal, apt), quality_ratio(good, produced))
    known = [factor for factor in factors if factor is not None]
    return math.prod(known) if len(known) == len(factors) else None


def allocation_ratio(aubt: float, aoet: float) -> float | None:
    """Allocation ratio = AUBT / AOET: the machine's busy time, of the order's execution time."""
    return ratio(aubt, aoet)


def allocation_efficiency(aubt: float, pbt: float) -> float | None:
    """Allocation efficiency = AUBT / PBT."""
    return ratio(aubt, pbt)


def utilisation_efficiency(apt: float, aubt: float) -> float | None:
    """Utilisation efficiency = APT / AUBT."""
    return ratio(apt, aubt)


def technical_efficiency(apt: float, adet: float) -> float | None:
    """Technical efficiency = APT / (APT + ADET)."""
    return ratio(apt, apt + adet)


def setup_ratio(aust: float, apt: float) -> float | None:
    """Set-up ratio = AUST / AUPT, with AUPT = APT + AUST."""
    return ratio(aust, apt + aust)


def throughput_rate(produced: float, aoet: float) -> float | None:
    """Throughput rate = PQ / AOET."""
    return ratio(produced, aoet)


def scrap_ratio(scrap: float, produced: float) -> float | None:
    """Scrap ratio = SQ / PQ."""
    return ratio(scrap, produced)


def rework_ratio(rework: float, produced: float) -> float | None:
    """Rework ratio = RQ / PQ."""
    return ratio(rework, produced)


def first_pass_yield(good_parts: float, inspected_parts: float) -> float | None:
    """First pass yield = GP / IP."""
    return ratio(good_parts, inspected_parts)


def rolled_throughput_yield(yields: Iterable[float]) -> float:
    """The yield of steps in a row: the product of their first pass yields."""
    return math.prod(yields)


def corrective_maintenance_ratio(cmt: float, pmt: float) -> float | None:
    """Corrective maintenance ratio = CMT / (CMT + PMT)."""
    return ratio(cmt, cmt + pmt)


def mean_time_between_failures(up: Sequence[float]) -> float | None:
    """MTBF as the plain mean of the times between failures."""
    return ratio(math.fsum(up), len(up))


def mean_time_to_restoration(repairs: Sequence[float]) -> float | None:
    """MTTR as the plain mean of the repair times."""
    return ratio(math.fsum(repairs), len(repairs))


def inherent_availability(mtbf: float, mttr: float) -> float | None:
    """MTBF / (MTBF + MTTR)."""
    return ratio(mtbf, mtbf + mttr)


def plant_oee(machines: Iterable[tuple[float | None, float]]) -> float | None:
    """OEE of several machines or windows from (OEE, PBT): weighted by planned busy time, never a plain mean."""
    known = [(index, pbt) for index, pbt in machines if index is not None]
    return ratio(math.fsum(index * pbt for index, pbt in known), math.fsum(pbt for _, pbt in known))
