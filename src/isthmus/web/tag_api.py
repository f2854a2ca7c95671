"""Putting samples right by address, and bursts as pages draw them.

A program logs in as a person does, asks `/api/session` for the word that every form of the session carries,
and sends it as `form` with what it says. The roles are those of the pages.
"""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromQuery, QueryParameter
from litestar.response import Response

from isthmus.model.samples import ValueKind
from isthmus.web import put_right, roles
from isthmus.web.accounts import Person, Session
from isthmus.web.api import Format, Table, to_csv
from isthmus.web.figures import waves
from isthmus.web.figures.tags import number_of as number_of_tag
from isthmus.web.house import House
from isthmus.web.pages.tags import change_of, number_of
from isthmus.web.respond import in_thread

_PLAIN = {"cache-control": "no-store"}


@get("/api/session")
@in_thread
def session(request: Request[Person, Session, Any]) -> Response[Any]:
    """Who one is, what one may do, and the word that each form of this session must carry."""
    person = request.user
    may = sorted(act for act in roles.MAY if roles.may(person.role, act))
    return Response({"name": person.name, "role": person.role, "may": may, "form": request.auth.form}, headers=_PLAIN)


@post("/api/history/correct", status_code=200)
@in_thread
def correct(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Response[Any]:
    """Put samples right: `tag`; `time_ns` of one, or `start_ns` and `end_ns`; `value`, or `kind=shift` or `kind=bad`; `why`."""
    if form.get("time_ns"):
        start = number_of(form, "time_ns")
        end = start + 1
    else:
        start, end = number_of(form, "start_ns"), number_of(form, "end_ns")
    count = number_of(form, "count") if form.get("count") else None
    chosen = put_right.Chosen(form.get("tag", ""), start, end, count)
    done = put_right.put_right(house, request.user, chosen, change_of(form), form.get("why", ""))
    return Response({"samples": done}, headers=_PLAIN)


@post("/api/history/take-back", status_code=200)
@in_thread
def take_back(
    request: Request[Person, Session, Any], house: NamedDependency[House], form: NamedDependency[dict[str, str]]
) -> Response[Any]:
    """Restore what was known before: `tag`, `said_ns` as `/api/history/corrections` tells it, `why`."""
    done = put_right.take_back(
        house, request.user, form.get("tag", ""), number_of(form, "said_ns"), form.get("why", "")
    )
    return Response({"samples": done}, headers=_PLAIN)


@get("/api/waveform")
@in_thread
def waveform(
    house: NamedDependency[House],
    tag: FromQuery[str],
    at_ns: FromQuery[int],
    points: Annotated[int, QueryParameter(name="points", ge=2, le=20_000)] = 1600,
) -> waves.Wave:
    """One burst, thinned to its extremes so that it looks the same; `/api/history/bursts` gives every reading."""
    found = waves.wave(house, _number(house, tag), at_ns, points)
    if found is None:
        raise NotFoundException(detail=f"No burst of {tag} began at {at_ns}.")
    return found


@get("/api/waveforms")
@in_thread
def waveforms(
    house: NamedDependency[House],
    tag: FromQuery[str],
    start_ns: FromQuery[int],
    end_ns: FromQuery[int],
    form_at: Format = "json",
) -> Response[Any]:
    """How strong each burst of a stretch was: root of the mean square, and peak."""
    if start_ns >= end_ns:
        raise ClientException(detail="start_ns must lie before end_ns.")
    rows, _ = waves.strengths(house, _number(house, tag), start_ns, end_ns)
    if form_at == "csv":
        headers = _PLAIN | {
            "content-disposition": 'attachment; filename="waveforms.csv"',
            "content-type": "text/csv; charset=utf-8",
        }
        return Response(to_csv(rows), headers=headers, media_type="text/csv")
    return Response(Table(now_ns=house.clock(), time_zone=house.site.plant.time_zone, rows=rows), headers=_PLAIN)


HANDLERS = (session, correct, take_back, waveform, waveforms)


def _number(house: House, tag: str) -> int:
    number = number_of_tag(house, tag)
    if number is None or house.site.tags.info(number).kind is not ValueKind.WAVEFORM:
        raise NotFoundException(detail=f"No fast signal is called {tag!r}.")
    return number
