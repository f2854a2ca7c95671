"""Putting samples right on pages and by the API: one, or all of a stretch; and taking that back.

History keeps the old samples, and what was folded from them follows. Taking back is a further correction
that restores what was known before, so the record shows both.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from litestar.exceptions import ClientException

from isthmus.model.samples import ValueKind
from isthmus.model.status import BAD, GOOD
from isthmus.site.historian.corrections import Correction, Value, value_of
from isthmus.site.intake import corrections
from isthmus.web.accounts import Person
from isthmus.web.figures import corrections as figures
from isthmus.web.figures.tags import Sample
from isthmus.web.guard import demand
from isthmus.web.house import House

_LONGEST_WHY = 400


class Chosen(NamedTuple):
    """The samples that are meant: those of a tag within [start_ns, end_ns)."""

    tag: str
    start_ns: int
    end_ns: int
    seen: int | None = None
    """How many the person saw; None asks for no such check."""


class Change(NamedTuple):
    """What they really were: `word` as it was typed, a value or what is to be added; unused where there is none to believe."""

    kind: Literal["value", "shift", "bad"]
    word: str = ""


def put_right(house: House, person: Person, chosen: Chosen, change: Change, why: str) -> int:
    """Put samples right; how many. Raises ClientException in words, with nothing changed."""
    tag, why = _checked(house, person, chosen.tag, why)
    if not 0 < chosen.start_ns < chosen.end_ns or chosen.start_ns > house.clock():
        raise ClientException(detail="Only what was can be put right; choose one of the samples.")
    if figures.count(house, tag, chosen.start_ns, chosen.end_ns) > figures.MOST:
        raise ClientException(
            detail=f"At most {figures.MOST:,} samples are put right at once; choose a shorter stretch."
        )
    with house.saying:
        found = figures.samples(house, tag, chosen.start_ns, chosen.end_ns)
        if not found:
            raise ClientException(detail=f"{chosen.tag} has no sample at that time.")
        if chosen.seen is not None and chosen.seen != len(found):
            detail = f"There are {len(found):,} samples now and not {chosen.seen:,}: some came meanwhile. Look again."
            raise ClientException(detail=detail)
        worth = [(each, _value(house, tag, each, change)) for each in found]
        if change.kind == "shift":
            worth = [(each, value) for each, value in worth if value is not None]
        said_ns = house.clock()
        said = [
            Correction(
                tag=tag,
                time_ns=each.time_ns,
                value=value,
                status=BAD if value is None else GOOD,
                said_ns=said_ns,
                by=person.name,
                why=why,
            )
            for each, value in worth
        ]
        if not said or len(said) > figures.MOST:
            raise ClientException(
                detail=f"None of these samples of {chosen.tag} has a value to add to, or they are too many."
            )
        corrections.correct(house.site, said)
    return len(said)


def take_back(house: House, person: Person, name: str, said_ns: int, why: str) -> int:
    """Restore what was known before an act; how many samples. Raises ClientException when nothing of it stands."""
    tag, why = _checked(house, person, name, why)
    with house.saying:
        standing = figures.of_act(house, tag, said_ns)
        if not standing:
            raise ClientException(detail="This was taken back or put right again since. Load the page again.")
        first, last = min(each.time_ns for each in standing), max(each.time_ns for each in standing)
        before = {each.time_ns: each for each in figures.samples(house, tag, first, last + 1, said_ns - 1)}
        now = house.clock()
        said = [
            Correction(
                tag=tag,
                time_ns=each.time_ns,
                value=before[each.time_ns].value if each.time_ns in before else None,
                status=before[each.time_ns].status if each.time_ns in before else BAD,
                said_ns=now,
                by=person.name,
                why=why,
            )
            for each in standing
        ]
        corrections.correct(house.site, said)
    return len(said)


def _checked(house: House, person: Person, name: str, why: str) -> tuple[int, str]:
    """The tag's number and the reason. Raises PermissionDeniedException, ClientException."""
    demand(person, "sample")
    tag = house.site.tags.find(name)
    if tag is None:
        raise ClientException(detail=f"No tag is called {name!r} in history.")
    if house.site.tags.info(tag).kind is ValueKind.WAVEFORM:
        raise ClientException(detail="Bursts cannot be put right, only sent again.")
    if not why.strip():
        raise ClientException(detail="Say in a few words why; it stands in the history.")
    return tag, why.strip()[:_LONGEST_WHY]


def _value(house: House, tag: int, sample: Sample, change: Change) -> Value:
    """What a sample becomes; None for nothing to believe, or for nothing to add to. Raises ClientException."""
    info = house.site.tags.info(tag)
    if change.kind == "bad":
        return None
    try:
        if change.kind == "value":
            value = value_of(info.kind, change.word)
            if value is None and info.kind is not ValueKind.STR:
                return None
            return value
        if info.kind not in {ValueKind.F64, ValueKind.I64}:
            raise ClientException(detail=f"{info.name} is no number, so nothing can be added to it.")
        more = value_of(info.kind, change.word)
        old = sample.value
        if old is None or more is None or isinstance(more, str):
            return None
        return float(old + more) if info.kind is ValueKind.F64 else value_of(info.kind, str(int(old) + int(more)))
    except ValueError as error:
        raise ClientException(detail=f"{info.name}: {error}.") from error
