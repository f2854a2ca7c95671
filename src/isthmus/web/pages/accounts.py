"""The accounts page: who may log in, as what, and one-time links for those who cannot."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, FromQuery
from litestar.response import Response

from isthmus.web import render, roles
from isthmus.web.accounts import AccountRefused, Person, Session
from isthmus.web.guard import demand
from isthmus.web.house import House
from isthmus.web.respond import html, in_thread, see
from isthmus.web.roles import Role


@get("/accounts")
@in_thread
def accounts_page(
    request: Request[Person, Session, Any], house: NamedDependency[House], said: FromQuery[str] = ""
) -> Response[str]:
    """Everybody with an account."""
    demand(request.user, "accounts")
    return _page(house, request.auth, said={"kept": "Kept.", "made": "The account is made."}.get(said, ""))


@post("/accounts")
@in_thread
def add(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Response[Any]:
    """A new account, with a one-time link instead of a password that somebody else knows."""
    demand(request.user, "accounts")
    person = Person(
        name=form.get("name", "").strip(),
        full_name=form.get("full_name", ""),
        role=_role(form),
        machine=_machine(house, form),
    )
    try:
        token = house.accounts.invite(person)
    except AccountRefused as refused:
        return _page(house, request.auth, wrong=str(refused), form=form, status=400)
    return _page(house, request.auth, said="The account is made.", link=_link(request, token), name=person.name)


@post("/accounts/{name:str}")
@in_thread
def change(
    name: FromPath[str],
    request: Request[Person, Session, Any],
    house: NamedDependency[House],
    form: NamedDependency[dict[str, str]],
) -> Response[Any]:
    """Change somebody's role, close or open the account, or give a new one-time link."""
    demand(request.user, "accounts")
    person = house.accounts.find(name)
    if person is None:
        raise NotFoundException(detail=f"Nobody is called {name}.")
    if form.get("act") == "link":
        link = _link(request, house.accounts.link_for(person.name))
        return _page(house, request.auth, link=link, name=person.name)
    opened = {"close": False, "open": True}.get(form.get("act", ""), person.open)
    wanted = msgspec.structs.replace(person, role=_role(form), machine=_machine(house, form), open=opened)
    try:
        house.accounts.change(wanted)
    except AccountRefused as refused:
        return _page(house, request.auth, wrong=str(refused), status=400)
    return see("/accounts?said=kept")


HANDLERS = (accounts_page, add, change)


def _page(  # noqa: PLR0913  each is one thing that the page may say
    house: House,
    session: Session,
    *,
    said: str = "",
    wrong: str = "",
    link: str = "",
    name: str = "",
    form: dict[str, str] | None = None,
    status: int = 200,
) -> Response[str]:
    text = render.plain(
        "accounts.html",
        house,
        session=session,
        here="/accounts",
        said=said,
        wrong=wrong,
        link=link,
        link_name=name,
        form=form or {},
        people=house.accounts.people(),
    )
    return html(text, status)


def _role(form: dict[str, str]) -> Role:
    role = form.get("role", "")
    if role not in roles.ROLES:
        raise ClientException(detail="Choose a role of the list.")
    return cast("Role", role)


def _machine(house: House, form: dict[str, str]) -> str:
    machine = form.get("machine", "")
    return machine if machine in house.site.plant.machines else ""


def _link(request: Request[Person, Session, Any], token: str) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}/enter/{token}"
