"""One window of time whose indicators are asked for: a shift, or the run of an order; what it has gathered."""

from __future__ import annotations

from typing import Literal

import msgspec

from isthmus.model.plant import KpiPolicy
from isthmus.model.records.production import Counted, Elements, Indicator
from isthmus.model.time import Interval
from isthmus.production import kpi
from isthmus.production.elements import pbt_ns

TOO_FAST = 1 + 1e-9
"""Effectiveness above this is told as a wrong standard; the rest is the rounding of a float."""


class Window(msgspec.Struct):
    """A shift or a run in progress."""

    kind: Literal["shift", "run"]
    name: str
    start_ns: int
    end_ns: int | None = None
    """None for a run, which ends when it does."""
    planned: list[Interval] | None = None
    """The shift's own planned busy time; None for a run, whose planned time is that of every shift."""
    elements: Elements = Elements()
    good: float = 0.0
    scrap: float = 0.0
    rework: float = 0.0
    ideal_ns: int = 0
    good_ideal_ns: int = 0
    unrated: float = 0.0
    """Pieces for which the plant file names no ideal cycle."""

    def count(self, counted: Counted, ideal_ns: int | None, policy: KpiPolicy) -> None:
        """Add pieces, each with its own ideal time: a mean over products would be wrong."""
        self.good += counted.good
        self.scrap += counted.scrap
        self.rework += counted.rework
        produced = counted.good + counted.scrap + counted.rework
        good = counted.good + (counted.rework if policy.rework_is_good else 0)
        if ideal_ns is None:
            self.unrated += produced
            return
        self.ideal_ns += round(produced * ideal_ns)
        self.good_ideal_ns += round(good * ideal_ns)


def indicator(  # noqa: PLR0913  a figure says all that it stands on
    window: Window, elements: Elements, *, path: str, end_ns: int, policy: KpiPolicy, ordinal: int = 0
) -> Indicator:
    """The indicators of a window that ended at `end_ns`, each by its clause in `kpi`."""
    pbt = pbt_ns(elements)
    produced = window.good + window.scrap + window.rework
    good = window.good + (window.rework if policy.rework_is_good else 0)
    rated = not window.unrated
    effectiveness = kpi.effectiveness(window.ideal_ns, elements.apt_ns) if rated else None
    return Indicator(
        path=path,
        time_ns=end_ns,
        ordinal=ordinal,
        start_ns=window.start_ns,
        window=window.kind,
        name=window.name,
        policy=f"{policy.name} · {policy.version}",
        elements=elements,
        pbt_ns=pbt,
        good=window.good,
        scrap=window.scrap,
        rework=window.rework,
        ideal_ns=window.ideal_ns,
        good_ideal_ns=window.good_ideal_ns,
        availability=kpi.availability(elements.apt_ns, pbt),
        effectiveness=effectiveness,
        quality=kpi.quality_ratio(good, produced),
        oee=kpi.oee(window.ideal_ns, pbt, good, produced) if rated else None,
        coverage=kpi.ratio(pbt - elements.unobserved_ns, pbt),
        warning=_warning(window, effectiveness),
    )


def _warning(window: Window, effectiveness: float | None) -> str:
    out = []
    if effectiveness is not None and effectiveness > TOO_FAST:
        out.append("standard wrong: effectiveness above 1")
    if window.unrated:
        out.append(f"no ideal cycle for {window.unrated:g} pieces: name one for the product or the machine")
    return "; ".join(out)
