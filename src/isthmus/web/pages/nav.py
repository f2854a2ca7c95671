"""The parts of the frame that are live on every page: what waits behind each entry of the menu."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from isthmus.web.figures.attention import Need


def counts(needs: Sequence[Need]) -> dict[str, Markup]:
    """How many things need a person, by page; nothing where nothing does."""
    of = {"nav-plant": ("down",), "nav-orders": ("parked",)}
    out = {key: sum(need.kind in kinds for need in needs) for key, kinds in of.items()}
    out["nav-connections"] = len(needs) - sum(out.values())
    return {key: number(count) for key, count in out.items()}


def number(count: int) -> Markup:
    """The number behind an entry; nothing for none."""
    return Markup("%s") % (count or "")
