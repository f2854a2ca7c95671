"""The asset pages: inventory, one asset, the map of connections, and findings to work through."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Response

from isthmus.model.inventory import ATTRIBUTES, DETAIL, FINDINGS, FIRST, ROLES, SENSITIVE, spoken
from isthmus.web import acts, network, render, roles
from isthmus.web.accounts import Person, Session
from isthmus.web.figures import assets, sources, tags
from isthmus.web.guard import demand
from isthmus.web.house import House
from isthmus.web.pages import nav
from isthmus.web.respond import html, in_thread, see

_EDITED = ("criticality", "number", "owner", "location", "role", "tags", "logging", "accounts", "backup", "notes")
"""What people know and no packet says."""
_SIGNALS = 200
"""Shown of one asset; a machine's own page shows them live."""


@get("/assets")
@in_thread
def inventory(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Response[str]:
    """The inventory, a page of it."""
    details = roles.may(request.user.role, "asset details")
    asked = assets.asked(request.query_params, details=details)
    context = {
        "asked": asked,
        "found": assets.listed(house, asked, details=details),
        "choices": assets.choices(house),
        "sorts": {key: said for key, (said, _) in assets.SORTS.items() if details or key not in ("address", "weak")},
        "complete": assets.completeness(house),
        "details": details,
        "known_roles": ROLES,
        "page_size": assets.PAGE,
    }
    return _page(request, house, "assets.html", context)


@get("/asset/{name:str}")
@in_thread
def one_asset(
    request: Request[Person, Session, Any], house: NamedDependency[House], name: FromPath[str]
) -> Response[str]:
    """One asset with its evidence."""
    found = assets.whole(house, name)
    if found is None:
        raise NotFoundException
    details = roles.may(request.user.role, "asset details")
    values = sorted((value for value in found.values if details or value.name not in SENSITIVE), key=_place)
    source = found.known.best("source")
    signals = tags.source_tags(house, source) if source else []
    context = {
        "one": found,
        "source": source,
        "signals": signals[:_SIGNALS],
        "more_signals": max(0, len(signals) - _SIGNALS),
        "machines": [(house.below(one.path), one.name) for one in sources.machines_of(house, source)],
        "tables": [
            ("", [value for value in values if value.name not in DETAIL]),
            ("What else its protocol says", [value for value in values if value.name in DETAIL]),
        ],
        "missing": [spoken(field) for field in ATTRIBUTES if all(value.name != field for value in found.values)],
        "details": details,
        "decides": roles.may(request.user.role, "asset decisions"),
        "sources": assets.source_names(house),
        "edited": _EDITED,
        "spoken": spoken,
        "known_roles": ROLES,
        "now": house.clock(),
    }
    return _page(request, house, "asset.html", context)


def _place(value: assets.Value) -> tuple[int, str]:
    return (FIRST.index(value.name) if value.name in FIRST else len(FIRST), spoken(value.name))


@get("/assets/map")
@in_thread
def the_map(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Response[str]:
    """Who speaks with whom, by zone."""
    demand(request.user, "asset details")
    nodes, edges, single = assets.drawn(house)
    drawing = network.network(nodes, edges, single=single)
    return _page(
        request,
        house,
        "asset_map.html",
        {
            "drawing": drawing,
            "nodes": nodes,
            "edges": edges,
            "single": single,
            "heard": any("said" not in edge for edge in edges),
        },
    )


@get("/assets/findings")
@in_thread
def findings(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Response[str]:
    """What waits for a decision, the worst first."""
    demand(request.user, "asset details")
    query = request.query_params
    state, severity, what = query.get("state", "staged"), query.get("severity", ""), query.get("what", "")
    state = "" if state == "all" else state
    found, total = assets.findings(house, state, severity, what)
    context = {
        "found": found,
        "total": total,
        "state": state or "all",
        "severity": severity,
        "what": what,
        "kinds": {key: said for key, said in FINDINGS.items() if key != "firmware"},
        "sources": assets.source_names(house),
        "names": assets.names(house, [name for finding, _ in found for name in finding.assets[:4]]),
        "decides": roles.may(request.user.role, "asset decisions"),
    }
    return _page(request, house, "findings.html", context)


@post("/act/asset")
@in_thread
def decide(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Redirect:
    """A decision on an asset or a finding, or what people know of an asset."""
    fields = {name: form[f"set-{name}"].strip()[:200] for name in _EDITED if form.get(f"set-{name}", "").strip()}
    acts.decide_asset(
        house,
        request.user,
        kind=form.get("kind", ""),
        name=form.get("name", ""),
        decision=form.get("decision", ""),
        fields=fields,
        reason=form.get("reason", ""),
        until=form.get("until", ""),
    )
    return see(form.get("back", "/assets"))


HANDLERS = (inventory, one_asset, the_map, findings, decide)


def _page(
    request: Request[Person, Session, Any], house: House, template: str, context: dict[str, Any]
) -> Response[str]:
    now = house.clock()
    cells = nav.counts(house, now)
    cells["nav-findings"] = nav.number(assets.waiting(house))
    said = "The decision is in the log." if "said" in request.query_params else ""
    built = render.Built(template, lambda: context, cells)
    here = {"findings.html": "/assets/findings"}.get(template, "/assets")
    return html(render.page(built, house, request.auth, here=here, said=said))
