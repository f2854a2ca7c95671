"""The tag pages: find a tag; its trend, its samples, what people put right; of a fast signal its bursts.

What is new moves by itself: a list keeps its newest values, a page without a stretch of its own keeps up with
its tag. Stretches that somebody chose, samples to put right and forms stay as they were opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, cast
from urllib.parse import quote
from zlib import crc32

from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect, Response
from markupsafe import Markup

from isthmus.model.query import Last
from isthmus.model.samples import ValueKind
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE
from isthmus.web import put_right, render, roles
from isthmus.web import words as words_
from isthmus.web.accounts import Person, Session
from isthmus.web.figures import corrections, sources, waves
from isthmus.web.figures import tags as tags_
from isthmus.web.house import House
from isthmus.web.pages import nav
from isthmus.web.respond import html, in_thread, see

MOST: Final = 200
SPANS: Final[Mapping[str, tuple[str, int]]] = {
    "10": ("10 min", 10 * NS_PER_MINUTE),
    "60": ("1 hour", NS_PER_HOUR),
    "480": ("8 hours", 8 * NS_PER_HOUR),
    "1440": ("1 day", NS_PER_DAY),
    "10080": ("7 days", 7 * NS_PER_DAY),
}
_SAID: Final = {
    "right": "Put right; the old values are kept, and the figures follow within seconds.",
    "back": "Taken back; what was known before holds again, and the figures follow within seconds.",
}
_TABLE: Final = 48
_LARGEST: Final = 1 << 62
_LONGEST_NS: Final = 3660 * NS_PER_DAY


class _Window(NamedTuple):
    start_ns: int
    end_ns: int


class _Looked(NamedTuple):
    """The tag that a page is about, and what is said around it."""

    number: int
    one: tags_.TagNow
    page: dict[str, Any]
    former: bool


@get("/tags")
@in_thread
def tags_page(request: Request[Person, Session, Any], house: NamedDependency[House]) -> Response[str]:
    """Every tag that the site knows, by the words in its name."""
    words = _words(request.query_params)
    built = _list(house, words, tags_.names(house, words))
    return html(render.page(built, house, request.auth, here="/tags"))


def build_list(house: House, session: Session, below: str, asked: Mapping[str, str]) -> render.Built:
    """The rows of the list as they are now, for the stream."""
    del session, below
    words = _words(asked)
    return _list(house, words, tags_.names_lately(house, words))


@get("/tag/{name:path}")
@in_thread
def tag_page(
    name: FromPath[str], request: Request[Person, Session, Any], house: NamedDependency[House]
) -> Response[str]:
    """One tag."""
    asked = request.query_params
    built = build(house, request.auth, str(name), asked)
    if not built.found:
        raise NotFoundException(
            detail=f"No tag is called {str(name).removeprefix('/')}. Find it on the page of all tags."
        )
    return html(render.page(built, house, request.auth, here="/tags", said=_SAID.get(asked.get("said", ""), "")))


def build(house: House, session: Session, below: str, asked: Mapping[str, str]) -> render.Built:
    """Read one tag, or what it was before (press/force#17), and render the live parts."""
    called = below.removeprefix("/")
    number = tags_.number_of(house, called)
    if number is None:
        return render.Built("tag.html", dict, {}, found=False)
    info, now = house.site.tags.info(number), house.clock()
    former = info.name != called
    one = tags_.tag_now(house, called, info, own=False)
    page: dict[str, Any] = {
        "tag": one,
        "address": f"/tag/{quote(called)}",
        "machines": [each for each in house.site.plant.machines.values() if called in sources.tags_of(each)],
        "now": now,
        "spans": {key: said for key, (said, _) in SPANS.items()},
        "formers": [] if former else tags_.formers(house, called),
        "former": next((each for each in tags_.formers(house, info.name) if each.name == called), None),
        "now_called": info.name,
    }
    live = _bursts_live if info.kind is ValueKind.WAVEFORM else _samples_live
    return live(house, session, _Looked(number, one, page, former=former), asked, now)


@post("/tag/{name:path}")
@in_thread
def tag_act(
    name: FromPath[str],
    request: Request[Person, Session, Any],
    house: NamedDependency[House],
    form: NamedDependency[dict[str, str]],
) -> Redirect:
    """Put samples of a tag right, or take that back."""
    called = str(name).removeprefix("/")
    if form.get("act") == "back":
        put_right.take_back(house, request.user, called, number_of(form, "said_ns"), form.get("why", ""))
        said = "back"
    else:
        chosen = put_right.Chosen(
            called, number_of(form, "start_ns"), number_of(form, "end_ns"), number_of(form, "count")
        )
        if form.get("which", "all") != "all":
            at = number_of(form, "which")
            chosen = put_right.Chosen(called, at, at + 1)
        put_right.put_right(house, request.user, chosen, change_of(form), form.get("why", ""))
        said = "right"
    stretch = "".join(f"&{key}={form[key]}" for key in ("from", "to") if form.get(key, "").isdecimal())
    return see(f"/tag/{quote(called)}?said={said}{stretch}")


HANDLERS = (tags_page, tag_page, tag_act)


def change_of(form: Mapping[str, str]) -> put_right.Change:
    """What the samples really were. Raises ClientException."""
    kind = form.get("kind", "value")
    if kind not in ("value", "shift", "bad"):
        raise ClientException(detail="Choose a new value, something to add, or that there is nothing to believe.")
    word = form.get("value", "")
    if kind != "bad" and not word.strip():
        raise ClientException(detail="Give the value, or choose that there is nothing to believe.")
    return put_right.Change(cast('Literal["value", "shift", "bad"]', kind), word)


def number_of(form: Mapping[str, str], key: str) -> int:
    """A moment in ns, or a count, of a form. Raises ClientException."""
    text = form.get(key, "").strip()
    if not text.isdecimal() or len(text) > len(str(_LARGEST)) or int(text) > _LARGEST:
        raise ClientException(detail=f"{key.replace('_ns', '')} must be a whole number.")
    return int(text)


def _words(asked: Mapping[str, str]) -> str:
    return asked.get("find", "").strip()[:200]


def _list(house: House, words: str, names: list[str]) -> render.Built:
    now, cells = house.clock(), render.macros("cells/tags.html")
    found, total = tags_.listed(house, names[:MOST]), len(names)
    out = {f"tag-{number}": cells.row(one, words_, house.local, now) for number, one in found}
    out |= {"total": Markup("%s") % words_.plural(total, "tag"), **nav.counts(house, now)}
    # Which rows there are: a page that has others asks for them anew.
    of = f"{crc32(chr(10).join(names[:MOST]).encode()):x}-{total}"

    def frame() -> dict[str, Any]:
        return {"words_asked": words, "found": [number for number, _ in found], "total": total}

    return render.Built("tags.html", frame, out, {"of": of})


def _samples_live(house: House, session: Session, looked: _Looked, asked: Mapping[str, str], now: int) -> render.Built:
    """A plain tag: its newest value, and the line where the page keeps up with it."""
    one, cells = looked.one, render.macros("cells/tags.html")
    window = _window(house, asked, _newest(house, looked), now)
    follows = not looked.former and all(_moment(house, asked, key) is None for key in ("from", "to", "known"))
    said = f"{house.local.full(window.start_ns)[:-4]} to {house.local.full(window.end_ns)[:-4]}"
    out = {
        "newest": cells.newest(one, words_, house.local, now, None) if not looked.former else Markup(),
        "h-trend": Markup("%s, %s") % ("Stretch" if one.kind == ValueKind.STR else "Trend", said),
        **nav.counts(house, now),
    }
    drawn = float(one.value) if isinstance(one.value, int | float) else None
    data: dict[str, Any] = {"newest": str(one.time_ns)}
    if follows:
        data |= {
            # What a page without a line asks again for, once there is one.
            "of": "line" if drawn is not None else "",
            "trend": {
                "tag": one.name,
                "time_ns": one.time_ns,
                "value": drawn,
                "start_ns": str(window.start_ns),
                "end_ns": str(window.end_ns),
            },
        }

    def frame() -> Mapping[str, Any]:
        found = _samples(house, looked.number, one, window, asked, now)
        can = roles.may(session.person.role, "sample")
        page = {**looked.page, **found, "can": can and not looked.former, "follows": follows}
        page["span"] = asked["span"] if asked.get("span") in SPANS else ""
        return page | {"of": "line" if follows and found["trend"] and found["trend"].time_s else ""}

    return render.Built("tag.html", frame, out, data)


def _bursts_live(house: House, session: Session, looked: _Looked, asked: Mapping[str, str], now: int) -> render.Built:
    """A fast signal: when its newest burst began. A page that shows the newest asks for the next one itself."""
    del session
    newest = waves.newest_before(house, looked.number, now + NS_PER_HOUR)
    follows = not looked.former and all(_moment(house, asked, key) is None for key in ("at", "from", "to"))
    cells = render.macros("cells/tags.html")
    out = {"newest": cells.newest(looked.one, words_, house.local, now, newest), **nav.counts(house, now)}

    def frame() -> Mapping[str, Any]:
        return {**looked.page, **_bursts(house, looked.number, asked, now), "follows": follows}

    return render.Built("wave.html", frame, out, {"newest": str(newest), "of": str(newest) if follows else ""})


def _newest(house: House, looked: _Looked) -> int | None:
    """The newest sample; of a former tag that which history holds."""
    if not looked.former:
        return looked.one.time_ns
    table = house.site.historian.query(Last(), [looked.number], 0, house.clock() + NS_PER_HOUR)
    return max(table["time_ns"].to_pylist(), default=None)


def _samples(  # noqa: PLR0913, PLR0917  what a page needs
    house: House, number: int, one: tags_.TagNow, window: _Window, asked: Mapping[str, str], now: int
) -> dict[str, Any]:
    """The trend, the samples and what was put right of a plain tag."""
    known = _moment(house, asked, "known")
    count = corrections.count(house, number, *window)
    listed = corrections.stored(house, number, *window, known) if 0 < count <= corrections.MOST else []
    done = corrections.acts(house, number)
    # Where somebody put samples of the stretch right, the line as it came is drawn below.
    touched = any(act.first_ns < window.end_ns and act.last_ns >= window.start_ns for act in done)
    return {
        **_stretch(house, window, now),
        "known": known,
        "trend": tags_.trend(house, one.name, *window, _TABLE, known),
        "drawable": one.kind not in {ValueKind.STR, ValueKind.WAVEFORM},
        "then": 0 if touched and known is None else None,
        "count": len(listed) if listed else count,
        "listed": listed[: corrections.LISTED],
        "most": corrections.MOST,
        "too_many": count > corrections.MOST,
        "acts": done,
        "numeric": one.kind in {ValueKind.F64, ValueKind.I64},
    }


def _bursts(house: House, number: int, asked: Mapping[str, str], now: int) -> dict[str, Any]:
    """One burst of a fast signal and how strong those around it were."""
    step = waves.steps(house, number, _moment(house, asked, "at"))
    window = _window(house, asked, step.at_ns if step else None, now)
    if step and not window.start_ns <= step.at_ns < window.end_ns:
        half = (window.end_ns - window.start_ns) // 2
        window = _Window(max(step.at_ns - half, 0), step.at_ns + half)
    strengths, cut = waves.strengths(house, number, *window)
    return {
        **_stretch(house, window, now),
        "steps": step,
        "wave": waves.wave(house, number, step.at_ns, _TABLE) if step else None,
        "strengths": strengths,
        "cut": cut,
    }


def _stretch(house: House, window: _Window, now: int) -> dict[str, Any]:
    length = window.end_ns - window.start_ns
    return {
        "start": window.start_ns,
        "end": window.end_ns,
        "before": (window.start_ns - length, window.start_ns),
        "after": (window.end_ns, window.end_ns + length) if window.end_ns < now else None,
        "length": length,
        "from_field": house.local.field(window.start_ns),
        "to_field": house.local.field(window.end_ns),
        "zone": house.site.plant.time_zone,
    }


def _window(house: House, asked: Mapping[str, str], newest_ns: int | None, now: int) -> _Window:
    """The stretch that an address asks for; else the last hour, or the hour up to the newest sample."""
    start, end = _moment(house, asked, "from"), _moment(house, asked, "to")
    length = SPANS.get(asked.get("span", ""), SPANS["60"])[1]
    if start is not None and end is not None and start < end and not asked.get("span"):
        return _Window(max(start, end - _LONGEST_NS), end)
    last = now if newest_ns is None or newest_ns > now - NS_PER_HOUR else newest_ns + 1
    if asked.get("span") and end is not None:
        last = end
    return _Window(max(last - length, 0), last)


def _moment(house: House, asked: Mapping[str, str], key: str) -> int | None:
    """A moment of an address: ns, or as a field of a form writes it; None for what is none."""
    text = asked.get(key, "")
    if text.isdecimal():
        return int(text) if len(text) <= len(str(_LARGEST)) and int(text) <= _LARGEST else None
    return house.local.read(text) if text else None
