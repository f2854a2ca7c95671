"""The connections page: sources, conduits and the ERP, in plain words with the technical detail below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.response import Response
from markupsafe import Markup

from isthmus.web import network, render, roles
from isthmus.web.accounts import Person, Session
from isthmus.web.figures import asked as asked_
from isthmus.web.figures import connections as connections_
from isthmus.web.figures import orders
from isthmus.web.house import House
from isthmus.web.pages import nav
from isthmus.web.respond import html, in_thread


@get("/connections")
@in_thread
def connections_page(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Response[str]:
    """The page, whole."""
    built = build(house, request.auth, "", request.query_params)
    return html(render.page(built, house, request.auth, here="/connections"))


def build(house: House, session: Session, below: str, asked: Mapping[str, str]) -> render.Built:
    """Read the connections and render the live parts."""
    del below, asked
    now = house.clock()
    told = connections_.all_connections(house, now)
    see_addresses = roles.may(session.person.role, "addresses")
    cells = render.macros("cells/connections.html")
    up = sum(one.source.up for one in told.sources)
    out: dict[str, Markup] = {
        "when": Markup("now %s") % house.local.second(now),
        "health": cells.health(up, len(told.sources)),
        "sources": cells.sources(told.sources, now, house, see_addresses),
        "conduits": cells.conduits(told, session, now, house.local),
        "erp": cells.erp(orders.erp_link(house), orders.all_reports(house), now, house.local),
        "asked": network.network(*asked_.asked(house), single=True) if told.sources else Markup(),
        "lost": cells.lost(told.lost, now, house.local),
        **nav.counts(house, now),
    }
    return render.Built("connections.html", dict, out)
