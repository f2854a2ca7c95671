"""Answers with the headers that every page carries."""

from __future__ import annotations

from typing import Final

from litestar import MediaType
from litestar.response import Redirect, Response
from litestar.status_codes import HTTP_303_SEE_OTHER

HEADERS: Final = {
    "content-security-policy": "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""Nothing is fetched from another place than this one, and no script or style stands in a page."""


def html(text: str, status: int = 200) -> Response[str]:
    """A page; never kept by the browser, as it is somebody's."""
    return Response(text, media_type=MediaType.HTML, status_code=status, headers={"cache-control": "no-store"})


def see(address: str) -> Redirect:
    """Go and look there, after an act."""
    return Redirect(
        address if address.startswith("/") and not address.startswith("//") else "/", status_code=HTTP_303_SEE_OTHER
    )
