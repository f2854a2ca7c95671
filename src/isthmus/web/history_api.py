"""History by address: `GET /api/history/<question>`, as JSON, CSV, Arrow or Parquet.

The questions are those of model.query. Whoever is logged in may ask them, as whoever is may see a trend.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from litestar import MediaType, get
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Response, Stream

from isthmus.model import query as q
from isthmus.model.samples import TagInfo
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S, Interval, iso, parse
from isthmus.site.historian import Historian
from isthmus.web.api import Table, to_csv
from isthmus.web.figures.tags import number_of
from isthmus.web.history_files import on_disk, pieces
from isthmus.web.history_periods import WHOLE_NS, Every, by_period, periods, with_windows
from isthmus.web.house import House
from isthmus.web.respond import Queue, in_thread

MOST_TAGS: Final = 5_000
MOST_ROWS: Final = {"json": 100_000, "csv": 1_000_000, "arrow": 5_000_000, "parquet": 50_000_000}
"""Rows that one answer may have; more are refused before they are read."""
MOST_READINGS: Final = 4_000_000
_IN_LINE: Final = Queue("history", at_once=3, waiting=40)
_MOST_BUCKETS: Final = 5_000_000
_MOMENT_NS: Final = (-(1 << 62), 1 << 62)
_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}

Format = Annotated[
    Literal["json", "csv", "arrow", "parquet"],
    QueryParameter(name="format", description="json, csv, arrow (IPC stream) or parquet"),
]
TextFormat = Annotated[Literal["json", "csv"], QueryParameter(name="format", description="json or csv")]
BurstFormat = Annotated[
    Literal["json", "arrow", "parquet"], QueryParameter(name="format", description="json, arrow or parquet")
]
Tags = Annotated[
    list[str] | None,
    QueryParameter(
        name="tag", description="source/tag, or with * and ? all that fit, as press/*; again for more, at most 5,000"
    ),
]
From = Annotated[
    str, QueryParameter(name="from", description="ISO 8601 with a zone, or ns since 1970; default an hour before `to`")
]
To = Annotated[str, QueryParameter(name="to", description="as `from`, not included; default now")]
Known = Annotated[str, QueryParameter(name="known", description="leave out what people put right after this moment")]
EveryS = Annotated[
    float, QueryParameter(name="every_s", gt=0, description="length of a bucket or a window, s; default 60")
]
EveryOf = Annotated[
    Every,
    QueryParameter(
        name="every", description="instead of every_s: day, week, month, year or shift, by the plant's clock"
    ),
]
CalendarOf = Annotated[str, QueryParameter(name="calendar", description="whose shifts, where the plant has several")]
At = Annotated[list[str] | None, QueryParameter(name="at", description="a moment, as `from`; again for more")]
Points = Annotated[int, QueryParameter(name="points", ge=2, le=100_000, description="points a tag, default 600")]
Method = Annotated[Literal["minmax", "lttb"], QueryParameter(name="method", description="minmax or lttb")]
Bits = Annotated[
    int, QueryParameter(name="bits", ge=0, le=64, description="of the counter; 0, the default, never wraps")
]
LongerS = Annotated[float, QueryParameter(name="longer_s", ge=0, description="shortest gap told, s; default 60")]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=1000, description="most values told, default 10")]
Former = Annotated[
    bool, QueryParameter(name="former", description="also what tags were before their kind or unit changed")
]
Before = Annotated[bool, QueryParameter(name="before", description="also the sample in force at `from`")]


class Asked(NamedTuple):
    """What an address asks for, read and checked."""

    start_ns: int
    end_ns: int
    every_ns: int
    at_ns: tuple[int, ...]
    points: int
    method: Literal["minmax", "lttb"]
    bits: int
    longer_ns: int
    limit: int
    before: bool
    periods: tuple[Interval, ...] = ()
    """By the plant's clock, in the place of `every_ns`; they may reach beyond what is asked."""


class Question(NamedTuple):
    """One address: what it asks, and which parameters beside tag, from, to, known and format it takes."""

    ask: Callable[[Asked], q.Operator]
    takes: tuple[str, ...] = ()


def _windows(asked: Asked) -> tuple[Interval, ...]:
    if asked.periods:
        return asked.periods
    starts = range(asked.start_ns, asked.end_ns, asked.every_ns)
    return tuple(Interval(start, min(start + asked.every_ns, asked.end_ns)) for start in starts)


_EVERY: Final = ("every_s", "every", "calendar")
QUESTIONS: Final[Mapping[str, Question]] = {
    "last": Question(lambda _: q.Last()),
    "raw": Question(lambda a: q.Raw(before=a.before), ("before",)),
    "aggregate": Question(lambda a: q.Aggregate(bucket_ns=a.every_ns), _EVERY),
    "time-weighted-mean": Question(lambda a: q.TimeWeightedMean(bucket_ns=a.every_ns), _EVERY),
    "state-durations": Question(lambda a: q.StateDurations(windows=_windows(a)), _EVERY),
    "as-of": Question(lambda a: q.AsOf(at_ns=a.at_ns), ("at",)),
    "decimate": Question(lambda a: q.Decimate(points=a.points, method=a.method), ("points", "method")),
    "counter-delta": Question(lambda a: q.CounterDelta(bucket_ns=a.every_ns, width=a.bits), (*_EVERY, "bits")),
    "integral": Question(lambda a: q.Integral(bucket_ns=a.every_ns), _EVERY),
    "coverage": Question(lambda a: q.Coverage(bucket_ns=a.every_ns), _EVERY),
    "gaps": Question(lambda a: q.Gaps(longer_ns=a.longer_ns), ("longer_s",)),
    "top-reasons": Question(lambda a: q.TopReasons(limit=a.limit), ("limit",)),
}


@get("/api/history/tags")
@in_thread
def history_tags(
    house: NamedDependency[House],
    former: Former = False,  # noqa: FBT002  a parameter of the address
    form_at: TextFormat = "json",
) -> Response[Any]:
    """Every tag that history knows now; with `former` those before a change of kind or unit, under the name to ask by."""
    tags = house.site.tags
    rows = [_tag(number, info.name, info) for number, info in tags.all().items()]
    if former:
        rows += [
            {**_tag(each.id, f"{each.info.name}#{each.id}", each.info), "until": iso(each.valid_to_ns or 0)}
            for each in tags.former()
        ]
    if form_at == "csv":
        return Response(to_csv(rows).encode(), media_type=MediaType.TEXT, headers=_heads("tags", "csv"))
    return _json(house, rows)


@get("/api/history/corrections")
@in_thread
def history_corrections(house: NamedDependency[House]) -> Response[Any]:
    """Every sample that somebody put right: by whom, when and why. The old ones are still there."""
    rows = [
        {
            "name": house.site.tags.info(one.tag).name,
            "time_ns": one.time_ns,
            "value": one.value,
            "status": one.status,
            "by": one.by,
            "why": one.why,
            "said_ns": one.said_ns,
        }
        for one in house.site.historian.corrections()
    ]
    return _json(house, rows)


@get("/api/history/bursts")
@_IN_LINE
def history_bursts(
    house: NamedDependency[House],
    tag: Tags = None,
    start: From = "",
    end: To = "",
    form_at: BurstFormat = "json",
) -> Response[Any]:
    """Bursts of fast signals: time of the first reading, interval and readings."""
    start_ns, end_ns = _stretch(house, start, end)
    names = _numbers(house, tag)
    table = house.site.historian.bursts(list(names), start_ns, end_ns)
    readings = pc.sum(pc.list_value_length(table["value"])).as_py() or 0
    if form_at == "json" and readings > MOST_READINGS:
        raise ClientException(detail="That is too much for JSON; take format=parquet, or a shorter stretch.")
    return _answer(house, _named(table, names), form_at, "bursts")


@get("/api/history/{question:str}")
@_IN_LINE
def history(  # noqa: PLR0913, PLR0917  each is a parameter of the address
    question: FromPath[str],
    house: NamedDependency[House],
    tag: Tags = None,
    start: From = "",
    end: To = "",
    known: Known = "",
    every_s: EveryS = 60,
    every: EveryOf = "",
    calendar: CalendarOf = "",
    at: At = None,
    points: Points = 600,
    method: Method = "minmax",
    bits: Bits = 0,
    longer_s: LongerS = 60,
    limit: Limit = 10,
    before: Before = False,  # noqa: FBT002  as above
    form_at: Format = "json",
) -> Response[Any]:
    """The answer to a question of history over [from, to)."""
    found = QUESTIONS.get(question)
    if found is None:
        raise NotFoundException(detail=f"History answers no question {question!r}; it knows {', '.join(QUESTIONS)}.")
    start_ns, end_ns = _stretch(house, start, end)
    if question in _HOLDS:
        end_ns = _until_now(house, start_ns, end_ns)
    at_ns = tuple(_moment(each) for each in at or ())
    asked = Asked(
        start_ns, end_ns, max(int(every_s * NS_PER_S), 1), at_ns, points, method, bits,
        int(longer_s * NS_PER_S), limit, before,
    )  # fmt: skip
    if every and "every" in found.takes:
        its = periods(house.site.plant, every, calendar, start_ns, end_ns)
        asked = asked._replace(every_ns=WHOLE_NS, periods=tuple(its))
    names = _numbers(house, tag)
    known_ns = _moment(known) if known else None
    if question == "raw" and form_at != "json":
        return _file(_raw(house, asked, names, form_at, known_ns), form_at, question)
    _bound(house, question, asked, names, form_at)
    table = _ask(house.site.historian, found, asked, list(names), known_ns)
    if table.num_rows > MOST_ROWS[form_at]:
        raise _too_many(table.num_rows, form_at)
    return _answer(house, _named(table, names), form_at, question)


_HOLDS: Final = frozenset({
    "time-weighted-mean", "state-durations", "integral", "coverage", "gaps", "top-reasons",
})  # fmt: skip
"""They carry the last value on to the end of what is asked; nothing is known of what is still to come."""

HANDLERS = (history_tags, history_corrections, history_bursts, history)


def _ask(historian: Historian, found: Question, asked: Asked, tags: list[int], known_ns: int | None) -> pa.Table:
    operator = found.ask(asked)
    if isinstance(operator, q.StateDurations):
        table = historian.query(operator, tags, asked.start_ns, asked.end_ns, known_ns=known_ns)
        return with_windows(table, operator.windows)
    if not asked.periods:
        return historian.query(operator, tags, asked.start_ns, asked.end_ns, known_ns=known_ns)

    def one(period: Interval) -> pa.Table:
        first, end = max(period.start_ns, asked.start_ns), min(period.end_ns, asked.end_ns)
        return historian.query(operator, tags, first, end, known_ns=known_ns)

    return by_period(asked.periods, one)


def _until_now(house: House, start_ns: int, end_ns: int) -> int:
    now = house.clock()
    if start_ns >= now:
        raise ClientException(detail="`from` lies ahead of now; nothing is known of what is still to come.")
    return min(end_ns, now)


def _stretch(house: House, start: str, end: str) -> tuple[int, int]:
    end_ns = _moment(end) if end else house.clock()
    start_ns = _moment(start) if start else end_ns - NS_PER_HOUR
    if start_ns >= end_ns:
        raise ClientException(detail="`from` must lie before `to`.")
    return start_ns, end_ns


def _moment(text: str) -> int:
    try:
        moment = int(text) if text.lstrip("-").isdigit() else parse(text.replace(" ", "+"))
    except ValueError:
        msg = f"{text!r} is no moment; write 2026-11-22T06:00:00Z, with Z or an offset, or ns since 1970."
        raise ClientException(detail=msg) from None
    if not _MOMENT_NS[0] < moment < _MOMENT_NS[1]:
        raise ClientException(detail=f"{text!r} lies outside what can be stored.")
    return moment


def _numbers(house: House, names: Sequence[str] | None) -> dict[int, str]:
    """The site's numbers of these tags. Raises ClientException and NotFoundException."""
    found = {each: number for name in names or () for each, number in _fitting(house, name).items()}
    if not found or len(found) > MOST_TAGS:
        raise ClientException(detail=f"Name one to {MOST_TAGS:,} tags: tag=press/speed&tag=press/parts, or tag=press/*")
    unknown = [name for name, number in found.items() if number is None]
    if unknown:
        raise NotFoundException(detail=f"No tag is called {unknown[0]!r}; /api/history/tags has them all.")
    return {number: name for name, number in found.items() if number is not None}


def _fitting(house: House, name: str) -> dict[str, int | None]:
    """A tag by its name, or those that a pattern fits."""
    number = number_of(house, name)
    if number is not None or not {"*", "?"} & set(name):
        return {name: number}
    pattern = re.compile(fnmatch.translate(name.replace("[", "[[]")))
    return {info.name: each for each, info in house.site.tags.all().items() if pattern.match(info.name)}


def _tag(number: int, name: str, info: TagInfo) -> dict[str, Any]:
    return {"tag": number, "name": name, "kind": str(info.kind), "unit": info.unit, "time_of": info.time_of}


def _bound(house: House, question: str, asked: Asked, names: Mapping[int, str], form_at: str) -> None:
    """Refuse before it is read what would not be given anyway."""
    if question == "raw":
        _counted(house, asked, names, form_at)
    points = {"decimate": asked.points, "as-of": len(asked.at_ns)}.get(question, 0)
    if points * len(names) > _MOST_BUCKETS:
        raise ClientException(detail=f"{points:,} points of {len(names):,} tags are too many; ask for fewer.")
    buckets = (asked.end_ns - asked.start_ns) // asked.every_ns
    if "every_s" in QUESTIONS[question].takes and buckets * len(names) > _MOST_BUCKETS:
        raise ClientException(detail=f"{buckets:,} buckets of {len(names)} tags are too many; take a larger every_s.")


def _counted(house: House, asked: Asked, names: Mapping[int, str], form_at: str) -> pa.Table:
    """The rows of each tag and day. Raises ClientException when they are more than one answer may have."""
    days = house.site.historian.query(q.Aggregate(bucket_ns=NS_PER_DAY), list(names), asked.start_ns, asked.end_ns)
    rows = int(pc.sum(days["n"]).as_py() or 0)
    if rows > MOST_ROWS[form_at]:
        raise _too_many(rows, form_at)
    return days


def _raw(
    house: House, asked: Asked, names: Mapping[int, str], form_at: str, known_ns: int | None
) -> Iterator[pa.Table]:
    """Every sample, piece by piece."""
    for piece in pieces(_counted(house, asked, names, form_at), list(names), asked.start_ns, asked.end_ns):
        operator = q.Raw(before=asked.before and piece.start_ns == asked.start_ns)
        table = house.site.historian.query(operator, piece.tags, piece.start_ns, piece.end_ns, known_ns=known_ns)
        yield _named(table, names)


def _too_many(rows: int, form_at: str) -> ClientException:
    other = "" if form_at in {"arrow", "parquet"} else ", or format=parquet"
    return ClientException(
        detail=f"That are {rows:,} rows, and {form_at} gives {MOST_ROWS[form_at]:,} at most; ask for less{other}."
    )


def _named(table: pa.Table, names: Mapping[int, str]) -> pa.Table:
    """With the tags' names in front, where the answer has tags."""
    if "tag" not in table.column_names:
        return table
    numbers = pa.array(list(names), pa.int32())
    return table.add_column(
        0, "name", pc.take(pa.array(list(names.values()), pa.string()), pc.index_in(table["tag"], numbers))
    )


def _answer(house: House, table: pa.Table, form_at: str, name: str) -> Response[Any]:
    if form_at == "json":
        return _json(house, [_plain(row) for row in table.to_pylist()])
    return _file([table], form_at, name)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """NaN and infinities as words: JSON has none, and null would say that there was no value."""
    return {key: str(value) if isinstance(value, float) and value - value != 0 else value for key, value in row.items()}


def _json(house: House, rows: Sequence[Any]) -> Response[Any]:
    told = Table(now_ns=house.clock(), time_zone=house.site.plant.time_zone, rows=rows)
    return Response(told, headers={"cache-control": "no-store"})


def _file(tables: Iterable[pa.Table], form_at: str, name: str) -> Stream:
    return Stream(on_disk(tables, form_at), headers=_heads(name, form_at))


def _heads(name: str, form_at: str) -> dict[str, str]:
    told = {"content-disposition": f'attachment; filename="{name}.{form_at}"', "cache-control": "no-store"}
    return told | {"content-type": _TYPES[form_at]}
