"""Two buttons of the connections page: cut the link to OT, and let the site take it again."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.response import Redirect

from isthmus.web import cut
from isthmus.web.accounts import Person, Session
from isthmus.web.house import House
from isthmus.web.respond import in_thread, see


@post("/act/cut")
@in_thread
def make(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Redirect:
    """Cut it."""
    cut.cut(house, request.user, form.get("conduit", ""), form.get("reason", ""))
    return see("/connections#conduits-of")


@post("/act/lift-cut")
@in_thread
def lift(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Redirect:
    """Ask for the lifting, or agree to it."""
    cut.lift(house, request.user, form.get("conduit", ""), form.get("reason", ""))
    return see("/connections#conduits-of")


HANDLERS = (make, lift)
