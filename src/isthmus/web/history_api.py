"""History by address: `GET /api/history/<question>`, as JSON, CSV, Arrow or Parquet.

The questions are those of model.query. Whoever is logged in may ask them, as whoever is may see a trend.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from litestar import MediaType, get
from litestar.di import NamedDependency
from litestar.exceptions import ClientException, NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Response

from isthmus.model import query as q
from isthmus.model.samples import TagInfo
from isthmus.model.time import NS_PER_DAY, NS_PER_HOUR, NS_PER_S, Interval, iso, parse
from isthmus.site.historian import Historian
from isthmus.web.api import Table, to_csv
from isthmus.web.figures.tags import number_of
from isthmus.web.house import House
from isthmus.web.respond import in_thread

MOST_TAGS: Final = 500
MOST_ROWS: Final = {"json": 100_000, "csv": 1_000_000, "arrow": 5_000_000, "parquet": 5_000_000}
"""Rows that one answer may have; more are refused before they are read."""
MOST_READINGS: Final = 4_000_000
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
Tags = Annotated[list[str] | None, QueryParameter(name="tag", description="source/tag; again for more, at most 500")]
From = Annotated[
    str, QueryParameter(name="from", description="ISO 8601 with a zone, or ns since 1970; default an hour before `to`")
]
To = Annotated[str, QueryParameter(name="to", description="as `from`, not included; default now")]
Known = Annotated[str, QueryParameter(name="known", description="leave out what people put right after this moment")]
EveryS = Annotated[
    float, QueryParameter(name="every_s", gt=0, description="length of a bucket or a window, s; default 60")
]
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


class Question(NamedTuple):
    """One address: what it asks, and which parameters beside tag, from, to, known and format it takes."""

    ask: Callable[[Asked], q.Operator]
    takes: tuple[str, ...] = ()


def _windows(asked: Asked) -> tuple[Interval, ...]:
    starts = range(asked.start_ns, asked.end_ns, asked.every_ns)
    return tuple(Interval(start, min(start + asked.every_ns, asked.end_ns)) for start in starts)


QUESTIONS: Final[Mapping[str, Question]] = {
    "last": Question(lambda _: q.Last()),
    "raw": Question(lambda a: q.Raw(before=a.before), ("before",)),
    "aggregate": Question(lambda a: q.Aggregate(bucket_ns=a.every_ns), ("every_s",)),
    "time-weighted-mean": Question(lambda a: q.TimeWeightedMean(bucket_ns=a.every_ns), ("every_s",)),
    "state-durations": Question(lambda a: q.StateDurations(windows=_windows(a)), ("every_s",)),
    "as-of": Question(lambda a: q.AsOf(at_ns=a.at_ns), ("at",)),
    "decimate": Question(lambda a: q.Decimate(points=a.points, method=a.method), ("points", "method")),
    "counter-delta": Question(lambda a: q.CounterDelta(bucket_ns=a.every_ns, width=a.bits), ("every_s", "bits")),
    "integral": Question(lambda a: q.Integral(bucket_ns=a.every_ns), ("every_s",)),
    "coverage": Question(lambda a: q.Coverage(bucket_ns=a.every_ns), ("every_s",)),
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
        return _file(to_csv(rows).encode(), "csv", "tags")
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
@in_thread
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
@in_thread
def history(  # noqa: PLR0913, PLR0917  each is a parameter of the address
    question: FromPath[str],
    house: NamedDependency[House],
    tag: Tags = None,
    start: From = "",
    end: To = "",
    known: Known = "",
    every_s: EveryS = 60,
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
    at_ns = tuple(_moment(each) for each in at or ())
    asked = Asked(
        start_ns, end_ns, max(int(every_s * NS_PER_S), 1), at_ns, points, method, bits,
        int(longer_s * NS_PER_S), limit, before,
    )  # fmt: skip
    names = _numbers(house, tag)
    _bound(house, question, asked, names, form_at)
    operator = found.ask(asked)
    historian: Historian = house.site.historian
    known_ns = _moment(known) if known else None
    table = historian.query(operator, list(names), start_ns, end_ns, known_ns=known_ns)
    if table.num_rows > MOST_ROWS[form_at]:
        raise _too_many(table.num_rows, form_at)
    return _answer(house, _named(table, names), form_at, question)


HANDLERS = (history_tags, history_corrections, history_bursts, history)


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
    if not names or len(names) > MOST_TAGS:
        raise ClientException(detail=f"Name one to {MOST_TAGS} tags: tag=press/speed&tag=press/parts")
    found = {name: number_of(house, name) for name in names}
    unknown = [name for name, number in found.items() if number is None]
    if unknown:
        raise NotFoundException(detail=f"No tag is called {unknown[0]!r}; /api/history/tags has them all.")
    return {number: name for name, number in found.items() if number is not None}


def _tag(number: int, name: str, info: TagInfo) -> dict[str, Any]:
    return {"tag": number, "name": name, "kind": str(info.kind), "unit": info.unit, "time_of": info.time_of}


def _bound(house: House, question: str, asked: Asked, names: Mapping[int, str], form_at: str) -> None:
    """Refuse before it is read what would not be given anyway."""
    if question == "raw":
        days = house.site.historian.query(q.Aggregate(bucket_ns=NS_PER_DAY), list(names), asked.start_ns, asked.end_ns)
        rows = int(pc.sum(days["n"]).as_py() or 0)
        if rows > MOST_ROWS[form_at]:
            raise _too_many(rows, form_at)
    buckets = (asked.end_ns - asked.start_ns) // asked.every_ns
    if "every_s" in QUESTIONS[question].takes and buckets * len(names) > _MOST_BUCKETS:
        raise ClientException(detail=f"{buckets:,} buckets of {len(names)} tags are too many; take a larger every_s.")


def _too_many(rows: int, form_at: str) -> ClientException:
    other = "" if form_at in {"arrow", "parquet"} else ", or format=parquet"
    return ClientException(
        detail=f"That are {rows:,} rows, and {form_at} gives {MOST_ROWS[form_at]:,} at most; ask for less{other}."
    )


def _named(table: pa.Table, names: Mapping[int, str]) -> pa.Table:
    """With the tags' names in front, where the answer has tags."""
    if "tag" not in table.column_names:
        return table
    name = pa.array([names[number] for number in table["tag"].to_pylist()], pa.string())
    return table.add_column(0, "name", name)


def _answer(house: House, table: pa.Table, form_at: str, name: str) -> Response[Any]:
    if form_at == "json":
        return _json(house, [_plain(row) for row in table.to_pylist()])
    if form_at == "csv":
        return _file(_csv(table), "csv", name)
    sink = io.BytesIO()
    if form_at == "arrow":
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        pq.write_table(table, sink, compression="zstd")
    return _file(sink.getvalue(), form_at, name)


def _csv(table: pa.Table) -> bytes:
    """RFC 4180; no text begins like a formula."""
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            told = table.column(at)
            formula = pc.match_substring_regex(told, r"^[=+\-@\t]")
            table = table.set_column(
                at, field.name, pc.if_else(formula, pc.binary_join_element_wise("'", told, ""), told)
            )
    sink = io.BytesIO()
    pyarrow.csv.write_csv(table, sink)
    return sink.getvalue()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """NaN and infinities as words: JSON has none, and null would say that there was no value."""
    return {key: str(value) if isinstance(value, float) and value - value != 0 else value for key, value in row.items()}


def _json(house: House, rows: Sequence[Any]) -> Response[Any]:
    told = Table(now_ns=house.clock(), time_zone=house.site.plant.time_zone, rows=rows)
    return Response(told, headers={"cache-control": "no-store"})


def _file(data: bytes, form_at: str, name: str) -> Response[Any]:
    headers = {"content-disposition": f'attachment; filename="{name}.{form_at}"', "cache-control": "no-store"}
    return Response(data, media_type=MediaType.TEXT, headers=headers | {"content-type": _TYPES[form_at]})
