"""The lot page: where a lot came from, and where it went."""

from __future__ import annotations

from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Response

from isthmus.web import render
from isthmus.web.accounts import Person, Session
from isthmus.web.figures import lots
from isthmus.web.house import House
from isthmus.web.pages import nav
from isthmus.web.respond import html, in_thread


@get("/lots")
@in_thread
def lots_page(
    request: Request[Person, Session, Any], house: NamedDependency[House], lot: FromQuery[str] = ""
) -> Response[str]:
    """The page, whole; it shows what was settled and is not live."""
    now = house.clock()
    lot = lot.strip()

    def frame() -> dict[str, Any]:
        found = lots.trace(house, lot) if lot else []
        ways = {way: [one for one in found if one.way == way] for way in ("made", "from", "into")}
        bought = sorted({(one.material, one.used) for way in ("made", "from") for one in ways[way] if one.used})
        made_here = {(one.product, one.lot) for one in found}
        return {
            "lot": lot,
            "ways": ways,
            "bought": [one for one in bought if one not in made_here],
            "now_ns": now,
            "known": lots.newest(house),
            "most": lots.MOST,
        }

    built = render.Built("lots.html", frame, {**nav.counts(house, now)})
    return html(render.page(built, house, request.auth, here="/orders"))
