"""How much a server takes in one request: what it says of itself, and what is known of its make.

What makers say in manuals, and what is known from the field, differ from what their servers report;
the smaller number holds. Sources: Siemens S7-1200 and S7-1500 manuals (items, sessions), public
connector profiles for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from isthmus.edge.opcua_client.link import Link

Make = Literal["auto", "s7-1200", "s7-1500", "kepware", "ignition", "prosys", "other"]


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a server takes; 0 means that it says no limit."""

    per_read: int = 0
    per_browse: int = 0
    per_call: int = 0
    """Monitored items in one request."""
    per_subscription: int = 0
    items: int = 0
    """Monitored items in all."""
    filters: bool = True
    """Whether it can hold back changes within a deadband."""


_MAKES: Final[Mapping[str, Known]] = {
    "s7-1200": Known(per_read=200, per_browse=100, per_call=100, per_subscription=1000, items=1000, filters=False),
    "s7-1500": Known(per_read=1000, per_browse=500, per_call=500, per_subscription=1000, items=10_000),
    "kepware": Known(per_read=1000, per_browse=1000, per_call=1000),
    "ignition": Known(per_read=1000, per_browse=100, per_call=100),
    "prosys": Known(per_read=1000, per_browse=1000, per_call=800),
    "other": Known(per_read=500, per_browse=200, per_call=500),
}
_HINTS: Final = (
    ("s7-1200", "s7-1200"),
    ("s7-1500", "s7-1500"),
    ("kep", "kepware"),
    ("ignition", "ignition"),
    ("prosys", "prosys"),
)
_LIMITS: Final = (11705, 11710, 11714)
"""MaxNodesPerRead, MaxNodesPerBrowse, MaxMonitoredItemsPerCall of the server's OperationLimits (Part 5, 6.3.11)."""
_PRODUCT_NAME, _PRODUCT_URI, _MAKER = 2261, 2262, 2263


def make_of(words: str) -> str:
    """The make that a server's product name, URI and maker point to.

    >>> make_of("SIMATIC S7-1500 urn:Siemens")
    's7-1500'
    """
    lower = words.lower()
    return next((make for hint, make in _HINTS if hint in lower), "other")


def tightest(*known: Known) -> Known:
    """Of each limit the smallest; 0 limits nothing.

    >>> tightest(Known(per_call=100), Known(per_call=500, items=10)).per_call
    100
    """

    def least(numbers: Iterable[int]) -> int:
        return min(filter(None, numbers), default=0)

    return Known(
        per_read=least(one.per_read for one in known),
        per_browse=least(one.per_browse for one in known),
        per_call=least(one.per_call for one in known),
        per_subscription=least(one.per_subscription for one in known),
        items=least(one.items for one in known),
        filters=all(one.filters for one in known),
    )


async def ask(link: Link, make: Make, per_request: int) -> Known:
    """What this server takes. `per_request` is the plan's own limit, 0 for none."""
    from asyncua import ua  # noqa: PLC0415  heavy; see the package

    words = await link.read([ua.NodeId(node) for node in (_PRODUCT_NAME, _PRODUCT_URI, _MAKER)])
    said = await link.read([ua.NodeId(node) for node in _LIMITS])
    per_read, per_browse, per_call = (int(value or 0) for value in said)
    reported = Known(per_read=per_read, per_browse=per_browse, per_call=per_call)
    known = _MAKES[make if make != "auto" else make_of(" ".join(str(word) for word in words))]
    own = Known(per_read=per_request, per_browse=per_request, per_call=per_request)
    return tightest(known, reported, own)
