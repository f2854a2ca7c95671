"""Who comes in: every address wants a session but those that say so, and every form its own token."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any, Final
from urllib.parse import quote, urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.exceptions import NotAuthorizedException, PermissionDeniedException
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult
from litestar.response import Response

from isthmus.web import roles
from isthmus.web.accounts import Person, Session
from isthmus.web.house import House
from isthmus.web.respond import see
from isthmus.web.roles import Act

COOKIE: Final = "isthmus"
_MAX_FORM: Final = 64 * 1024


class Guard(AbstractAuthenticationMiddleware):
    """Finds the session of the cookie; addresses with `exclude_from_auth` do without."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        """The session, or NotAuthorizedException."""
        house: House = connection.app.state.house
        # In a thread: people may stand in a database on another machine.
        session = await asyncio.to_thread(house.accounts.session, connection.cookies.get(COOKIE, ""))
        if session is None:
            raise NotAuthorizedException
        return AuthenticationResult(user=session.person, auth=session)


async def check_form(request: Request[Any, Any, Any]) -> None:
    """Refuse a form that was not made by a page of ours for this session (CSRF).

    Raises PermissionDeniedException for another origin or a wrong token.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    origin = request.headers.get("origin")
    if origin and urlsplit(origin).netloc != request.headers.get("host"):
        raise PermissionDeniedException(detail="This form was sent from another site.")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise PermissionDeniedException(detail="This form was sent from another site.")
    session = request.scope.get("auth")
    if isinstance(session, Session):
        form = await request.form()
        if not hmac.compare_digest(str(form.get("form", "")), session.form):
            raise PermissionDeniedException(detail="This form is too old. Go back, load the page again and repeat it.")


async def the_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """The fields of a form as text."""
    form = await request.form()
    return {key: str(value) for key, value in form.items()}


def demand(person: Person, act: Act) -> None:
    """Raise PermissionDeniedException, saying who may, when this person may not."""
    if not roles.may(person.role, act):
        who = roles.who_may(act)
        msg = f"To {roles.WHO[act]} is for {who}; you are logged in as {roles.spoken(person.role)}."
        raise PermissionDeniedException(detail=msg)


def to_log_in(request: Request[Any, Any, Any], error: NotAuthorizedException) -> Response[Any]:
    """Pages lead to the log-in and back; the API and the stream say 401."""
    del error
    path = request.url.path
    if request.method == "GET" and not path.startswith(("/api/", "/live/")):
        after = path + (f"?{request.url.query}" if request.url.query else "")
        return see("/log-in" if after == "/" else f"/log-in?after={quote(after)}")
    return Response({"detail": "Log in first."}, status_code=401)
