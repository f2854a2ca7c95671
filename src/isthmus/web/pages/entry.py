"""Coming in and going out: log-in, one-time links, the page on which a role begins, a person's own settings."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from litestar import Request, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect, Response

from isthmus.web import render, roles
from isthmus.web.accounts import AccountRefused, Look, Person, Session
from isthmus.web.guard import COOKIE
from isthmus.web.house import House
from isthmus.web.respond import html, in_thread, see


@get("/")
@in_thread
def landing(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Redirect:
    """Each role begins its day on its own page; an operator with a machine on that machine's."""
    person = request.user
    if person.machine in house.site.plant.machines:
        return see(f"/machine/{house.below(person.machine)}")
    # An audit on its own has no plant to begin with.
    return see(roles.ROLES[person.role][1] if house.site.plant.calendars else "/assets")


@get("/log-in", exclude_from_auth=True)
@in_thread
def log_in_page(house: NamedDependency[House], after: FromQuery[str] = "/") -> Response[str]:
    """Name and password."""
    nobody = not house.accounts.has_administrator()
    return html(render.plain("log_in.html", house, after=after, wrong="", name="", nobody=nobody))


@post("/log-in", exclude_from_auth=True)
@in_thread
def log_in(
    request: Request[Any, Any, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Response[Any]:
    """Check them."""
    name, after = form.get("name", "").strip(), form.get("after", "/")
    address = request.client.host if request.client else "?"
    try:
        token = house.accounts.log_in(name, form.get("password", ""), address)
    except AccountRefused as refused:
        text = render.plain("log_in.html", house, after=after, wrong=str(refused), name=name, nobody=False)
        return html(text, 403)
    return _entered(house, token, after)


@post("/log-out")
@in_thread
def log_out(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Redirect:
    """End the session."""
    house.accounts.log_out(request.cookies.get(COOKIE, ""))
    gone = see("/log-in")
    gone.delete_cookie(COOKIE)
    return gone


@get("/enter/{token:str}", exclude_from_auth=True)
@in_thread
def link_page(token: FromPath[str], house: NamedDependency[House]) -> Response[str]:
    """A one-time link: choose a password, and for the first administrator a name."""
    holds, name = house.accounts.link_is_open(token)
    status = 200 if holds else 410
    return html(render.plain("enter.html", house, token=token, holds=holds, name=name, wrong="", form={}), status)


@post("/enter/{token:str}", exclude_from_auth=True)
@in_thread
def use_link(
    token: FromPath[str], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Response[Any]:
    """Use it up."""
    holds, name = house.accounts.link_is_open(token)
    first = Person(name=form.get("name", ""), full_name=form.get("full_name", ""), role="administrator")
    try:
        if form.get("password") != form.get("again"):
            msg = "The two passwords differ."
            raise AccountRefused(msg)  # noqa: TRY301  told like every other refusal
        session = house.accounts.use_link(token, first, form.get("password", ""))
    except AccountRefused as refused:
        text = render.plain("enter.html", house, token=token, holds=holds, name=name, wrong=str(refused), form=form)
        return html(text, 400)
    return _entered(house, session, "/")


@get("/settings")
@in_thread
def settings_page(
    request: Request[Person, Session, Any], house: NamedDependency[House], said: FromQuery[str] = ""
) -> Response[str]:
    """How the pages look, and one's password."""
    told = {"kept": "Kept."}.get(said, "")
    return html(render.plain("settings.html", house, session=request.auth, here="/settings", said=told, wrong=""))


@post("/settings")
@in_thread
def settings(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Response[Any]:
    """Keep how the pages look."""
    theme = form.get("theme", "auto")
    look = Look(theme=theme if theme in ("auto", "light", "dark") else "auto", green=form.get("green") == "on")
    house.accounts.change(msgspec.structs.replace(request.user, look=look))
    return see("/settings?said=kept")


@post("/password")
@in_thread
def password(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Response[Any]:
    """A new password; every session of the person ends but this one, which begins anew."""
    address = request.client.host if request.client else "?"
    try:
        if form.get("password") != form.get("again"):
            msg = "The two passwords differ."
            raise AccountRefused(msg)  # noqa: TRY301  told like every other refusal
        house.accounts.log_in(request.user.name, form.get("old", ""), address)
        house.accounts.set_password(request.user.name, form.get("password", ""))
        token = house.accounts.log_in(request.user.name, form.get("password", ""), address)
    except AccountRefused as refused:
        text = render.plain("settings.html", house, session=request.auth, here="/settings", said="", wrong=str(refused))
        return html(text, 400)
    return _entered(house, token, "/settings?said=kept")


@get("/health", exclude_from_auth=True, sync_to_thread=False)
def health() -> dict[str, str]:
    """For a watchdog: the pages are served."""
    return {"pages": "served"}


HANDLERS = (landing, log_in_page, log_in, log_out, link_page, use_link, settings_page, settings, password, health)


def _entered(house: House, token: str, after: str) -> Redirect:
    """Go on to where the person wanted to be, with the session's cookie."""
    gone = see(_inside(after))
    cookie = Cookie(
        key=COOKIE,
        value=token,
        httponly=True,
        samesite="lax",
        secure=house.section.secure,
        path="/",
        max_age=int(house.section.session_hours * 3600),
    )
    gone.set_cookie(cookie)
    return gone


def _inside(after: str) -> str:
    """`after` when it is an address of ours, else the beginning."""
    parts = urlsplit(after)
    ours = not parts.scheme and not parts.netloc and after.startswith("/") and "\\" not in after
    sane = PurePosixPath(parts.path).is_absolute() and "//" not in parts.path and parse_qs(parts.query) is not None
    return after if ours and sane else "/"
