"""The parts of the frame that are live on every page: what waits behind each entry of the menu."""

from __future__ import annotations

from markupsafe import Markup

from isthmus.model.states import State
from isthmus.web.figures import attention, states
from isthmus.web.house import House


def counts(house: House, now_ns: int) -> dict[str, Markup]:
    """How many things need a person, by page; nothing where nothing does."""
    present = (states.now(house, path) for path in house.site.plant.machines)
    needs = attention.needs(house, [], now_ns)
    parked = sum(need.kind == "parked" for need in needs)
    out = {
        "nav-plant": sum(one is not None and one.state is State.DOWN for one in present),
        "nav-orders": parked,
        "nav-connections": len(needs) - parked,
    }
    return {key: number(count) for key, count in out.items()}


def number(count: int) -> Markup:
    """The number behind an entry; nothing for none."""
    return Markup("%s") % (count or "")
