"""The orders page: progress by operation, how each report to the ERP fares, and what a person must decide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.response import Redirect, Response
from markupsafe import Markup

from isthmus.web import acts, render
from isthmus.web.accounts import Person, Session
from isthmus.web.figures import orders as orders_
from isthmus.web.house import House
from isthmus.web.pages import nav
from isthmus.web.respond import html, in_thread, see


@get("/orders")
@in_thread
def orders_page(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Response[str]:
    """The page, whole."""
    built = build(house, request.auth, "", request.query_params)
    said = "The decision is in the log; the report follows it." if "said" in request.query_params else ""
    return html(render.page(built, house, request.auth, here="/orders", said=said))


@post("/act/decide")
@in_thread
def decide(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Redirect:
    """A decision on a report that the ERP would not take."""
    acts.decide(house, request.user, form.get("key", ""), form.get("decision", ""), form.get("note", ""))
    return see("/orders?said=decided")


HANDLERS = (orders_page, decide)


def build(house: House, session: Session, below: str, asked: Mapping[str, str]) -> render.Built:
    """Read the orders and render the live parts."""
    del below
    now = house.clock()
    found = orders_.all_orders(house)
    only = asked.get("order", "")
    shown = [one for one in found if only in ("", one.order)]
    parked = [report for one in found for report in one.reports if orders_.needs_person(report)]
    states = Counter(report.state for one in found for report in one.reports)
    cells = render.macros("cells/orders.html")
    out: dict[str, Markup] = {
        "health": cells.health(orders_.erp_link(house), states, now, house.local),
        "parked": cells.parked(parked, session, now, house.local),
        "differs": cells.differs(orders_.differs(house)),
        "orders": cells.orders(shown, now, house.local, only),
        "when": Markup("now %s") % house.local.second(now),
        **nav.counts(house, now),
    }
    return render.Built("orders.html", lambda: {"only": only}, out)
