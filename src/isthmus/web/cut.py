"""The site's own cut of the link to OT: one person makes it, two lift it, and only OT opens the conduit again."""

from __future__ import annotations

from typing import Literal

from litestar.exceptions import ClientException

from isthmus.model.equipment import beside
from isthmus.model.records.people import SiteCut
from isthmus.web.accounts import Person
from isthmus.web.guard import demand
from isthmus.web.house import House

_LONGEST_REASON = 400


def cut(house: House, person: Person, conduit: str, reason: str) -> None:
    """Refuse the link from now on. Cutting again takes back a lifting that was asked for."""
    demand(person, "cut")
    with house.saying:
        _say(house, person, conduit, "cut", reason)


def lift(house: House, person: Person, conduit: str, reason: str) -> None:
    """Ask for the refusal to end, or end it where somebody else has asked. Raises ClientException else."""
    demand(person, "lift cut")
    with house.saying:
        step, by = _stands(house, conduit)
        if not step or step == "lifted":
            raise ClientException(detail="The site does not refuse this link. Load the page again.")
        if step == "lift asked" and by == person.name:
            raise ClientException(detail="You have asked for it; somebody else, under another account, must agree.")
        _say(house, person, conduit, "lift asked" if step == "cut" else "lifted", reason)


def _stands(house: House, conduit: str) -> tuple[str, str]:
    rows = house.site.views.query("SELECT step, by FROM connections_site_cut WHERE path = ?", (_path(house, conduit),))
    return (rows[0]["step"], rows[0]["by"]) if rows else ("", "")


def _say(house: House, person: Person, conduit: str, step: Literal["cut", "lift asked", "lifted"], reason: str) -> None:
    if not reason.strip():
        raise ClientException(detail="Say why; the reason stands in the log and on the page.")
    path = _path(house, conduit)
    known = {row["path"] for row in house.site.views.query("SELECT path FROM connections_link")}
    known |= {row["path"] for row in house.site.views.query("SELECT path FROM connections_gate")}
    if path not in known:
        raise ClientException(detail=f"No conduit is called {conduit}. Load the page again.")
    now = house.clock()
    said = SiteCut(
        path=path,
        time_ns=now,
        step=step,
        reason=reason.strip()[:_LONGEST_REASON],
        by=person.name,
        asked_by=_stands(house, conduit)[1] if step == "lifted" else "",
        said_ns=now,
    )
    house.site.append([said])


def _path(house: House, conduit: str) -> str:
    return beside(house.site.plant.path, "conduit", conduit)
