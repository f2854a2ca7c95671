"""The ISO 22400 figures of a window: the fold's preview while it lasts, the logged fact when it is over."""

from __future__ import annotations

import msgspec

from isthmus.model.records.production import Elements, Indicator
from isthmus.web.figures.shifts import Window
from isthmus.web.house import House

_ELEMENTS = tuple(field.name for field in msgspec.structs.fields(Elements))


def of_shift(house: House, path: str, window: Window) -> Indicator | None:
    """The indicators of one shift of one machine; None while nothing was folded for it."""
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

    OEE is the ideal time of the good pieces over planned busy time; coverage is what of that time was observed.
    """
    planned = sum(indicator.pbt_ns for indicator in indicators)
    if not planned:
        return None, None
    unobserved = sum(indicator.elements.unobserved_ns for indicator in indicators)
    return sum(indicator.good_ideal_ns for indicator in indicators) / planned, 1 - unobserved / planned
