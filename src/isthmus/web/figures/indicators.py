"""The ISO 22400 figures of a window: the fold's preview while it lasts, the logged fact when it is over."""

from __future__ import annotations

from typing import Final

import msgspec

from isthmus.model.records.production import Elements, Indicator
from isthmus.web.figures.shifts import Window
from isthmus.web.house import House

_ELEMENTS = tuple(field.name for field in msgspec.structs.fields(Elements))


LEAST_OBSERVED: Final = 0.1
"""Where less of the planned time was observed than this, a ratio would tell of the gap and not of the machine."""


def redoing(house: House, path: str, window: Window) -> bool:
    """Whether samples of a window came late and its figures do not hold them yet."""
    since = house.site.redoing.get(path)
    return since is not None and since < window.now_ns


def of_shift(house: House, path: str, window: Window) -> Indicator | None:
    """The indicators of one shift of one machine; None while nothing was folded for it.

    Its ratios are None while they cannot be told: most of the time was not observed, or late data is on its way in.
    """
    found = _folded(house, path, window)
    if found is None or found.coverage is None:
        return found
    if found.coverage >= LEAST_OBSERVED and not redoing(house, path, window):
        return found
    return msgspec.structs.replace(found, availability=None, effectiveness=None, quality=None, oee=None)


def _folded(house: House, path: str, window: Window) -> Indicator | None:
    for record in house.site.namespace.preview(path, "Indicator"):
        if isinstance(record, Indicator) and record.window == "shift" and record.start_ns == window.start_ns:
            return record
    rows = house.site.views.query(
        "SELECT * FROM indicators WHERE window = 'shift' AND path = ? AND start_ns = ? AND time_ns > ? "
        "ORDER BY time_ns DESC LIMIT 1",
        (path, window.start_ns, window.start_ns),
    )
    if not rows:
        return None
    row = dict(rows[0])
    row["elements"] = {name: row.pop(name) for name in _ELEMENTS}
    return msgspec.convert(row, Indicator)


def together(indicators: list[Indicator]) -> tuple[float | None, float | None]:
    """OEE and coverage of several machines as one, by their summed times, as ISO 22400 adds work units up.

    OEE is the ideal time of the good pieces over planned busy time, of the machines whose own can be told;
    coverage is what of all their planned time was observed.
    """
    planned = sum(indicator.pbt_ns for indicator in indicators)
    if not planned:
        return None, None
    unobserved = sum(indicator.elements.unobserved_ns for indicator in indicators)
    told = [indicator for indicator in indicators if indicator.oee is not None]
    of_told = sum(indicator.pbt_ns for indicator in told)
    oee = sum(indicator.good_ideal_ns for indicator in told) / of_told if of_told else None
    return oee, 1 - unobserved / planned
